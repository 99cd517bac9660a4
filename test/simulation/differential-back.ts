import { correct } from '../../src/dead-letters/correct.ts'
import { editPayment } from '../../src/operators/edit-texts.ts'
import type { ReturnDraft } from '../../src/domain/returns.ts'
import { cancelPayments } from '../../src/operators/cancel.ts'
import { acceptRefunds } from '../../src/refunds/refund.ts'
import { bookReturns } from '../../src/refunds/returns.ts'
import { refundDraft } from './asked.ts'
import { PAYMENTS, show, someLetters, WHO, type History } from './history.ts'

/** A payment that there may be, most often one of these. */
function somePayment({ between, pick }: History, these: readonly bigint[] = []): bigint {
  return these.length === 0 || between(0, 5) === 0 ? BigInt(between(1, PAYMENTS)) : pick(these)
}

async function refundSome(history: History): Promise<string> {
  const { db, between, pick, fate, policies } = history
  const drafts = Array.from({ length: between(1, 5) }, () => {
    const amount = pick([null, '0.01', '12.34', '25.25', '99.99'])
    const key = pick([null, null, `d${between(0, 20)}`, `r${between(0, 30)}`])
    return refundDraft(somePayment(history, history.succeeded), amount, key)
  })
  fate.next = pick(['kept', 'kept', 'kept', 'away', 'reply_lost'])
  const answers = await acceptRefunds({ db, ...policies }, drafts)
  for (const answer of answers) {
    if (answer.kind === 'accepted') history.refunds.push(answer.payment)
  }
  return show(answers)
}

async function cancelSome(history: History): Promise<string> {
  const { db, between, pick, fate } = history
  const some = Array.from({ length: between(1, 5) }, () =>
    somePayment(history, history.accepted.slice(-5)),
  )
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  const answers = await cancelPayments(db, { ...WHO, redriveId: null }, [...new Set(some)])
  // The document of the payment holds its random key.
  return show(answers.map((one) => (one.kind === 'refused' ? one.refusal : one.payment.id)))
}

async function bookSome(history: History): Promise<string> {
  const { db, between, pick, fate, policies } = history
  const drafts = Array.from({ length: between(1, 4) }, (): ReturnDraft => {
    const refund = between(0, 3) === 0 ? pick(history.refunds.slice(-3)) : undefined
    return refund === undefined ? someReturn(history) : seenRefund(history, refund)
  })
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  const world = { db, ...policies, currency: 'USD' }
  return show(await bookReturns(world, { ...WHO, redriveId: null }, drafts))
}

/** A refund of ours as somebody sees it at the gateway, who takes it for something else. */
function seenRefund({ pick }: History, refund: History['refunds'][number]): ReturnDraft {
  const { id, parentId, amount } = refund
  const kind = pick(['refunded_there', 'charged_back'] as const)
  return { parentId, kind, amount, ref: `gw-${id}`, besidesRefund: pick([true, true, false]) }
}

function someReturn(history: History): ReturnDraft {
  const { between, pick } = history
  return {
    parentId: somePayment(history, history.succeeded),
    ref: `ref-${between(0, 4)}`,
    kind: pick([
      'payout_returned',
      'charged_back',
      'charged_back',
      'refunded_there',
      'dispute_won',
    ]),
    amount: BigInt(pick([1, 20, 1_001, 1_234, 2_525, 9_999])),
    besidesRefund: pick([true, false]),
  }
}

async function correctSome(history: History): Promise<string> {
  const { db, world, pick, between, fate } = history
  fate.next = pick(['kept', 'kept', 'away', 'reply_lost'])
  const letters = someLetters(history)
  const requests = [...new Set(letters)].map((letterId) => {
    return {
      letterId,
      gatewayRef: pick([null, 'gw-1', `gw-${between(1, PAYMENTS)}`]),
      againstEvidence: pick([false, true]),
      besidesRedrive: pick([false, true]),
    }
  })
  return show(
    await correct({ db, terms: () => world.policy }, { ...WHO, redriveId: null }, requests),
  )
}

async function editOne(history: History): Promise<string> {
  const { db, pick } = history
  const edit = pick([
    { description: 'blue' },
    { description: null },
    { metadata: { order: '7', 'a,b': '"{}' } },
    { metadata: null, description: 'red' },
  ])
  const by = { actor: 'jane', requestId: 'r' }
  return (await editPayment(db, somePayment(history), edit, by))?.code ?? 'edited'
}

/** What people do about money that goes back, and about what is said of payments. */
export const GIVING_BACK = [
  refundSome,
  refundSome,
  refundSome,
  cancelSome,
  bookSome,
  bookSome,
  correctSome,
  correctSome,
  editOne,
] as const
