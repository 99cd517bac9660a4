import { send } from '../../app/api.ts'
import { go } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { Payment, Timeline } from '../../app/shapes.ts'
import { exponentOf, fromMinor, toMinor } from '../../exact/money.ts'
import { hrefOf } from '../../exact/route.ts'
import { ask } from '../../parts/dialog.tsx'
import { money, typedAmount, words } from '../../words/words.ts'
import { refusedHere } from '../../exact/answer.ts'
import { insisted, insistField, reasonField } from '../../parts/asking.ts'

/** What the books can be told of what happened at the gateway without us. */
export function Booking({ payment, timeline }: { payment: Payment; timeline: Timeline }) {
  const w = words.value
  const { status, type } = payment
  if (!may('operate') || (type !== 'deposit' && type !== 'withdraw')) return null
  const letter = timeline.events.findLast(({ event }) => event === 'dead_letter')?.letter_id ?? null
  const corrected = timeline.events.some(({ event }) => event === 'correct')
  if (status === 'success') {
    return (
      <button type="button" onClick={() => askReturn(payment)}>
        {w.bookReturn}
      </button>
    )
  }
  if (status !== 'failed' || letter === null || corrected) return null
  return (
    <button type="button" onClick={() => askCorrect(payment, letter)}>
      {w.correct}
    </button>
  )
}

function askCorrect({ payment_id: id, type, amount, currency }: Payment, letter: number): void {
  const w = words.value
  const sum = `${money(amount, currency)} ${currency}`
  ask({
    title: w.correctTitle(id),
    says: type === 'deposit' ? w.correctDepositSays(sum) : w.correctWithdrawalSays(sum),
    fields: [
      { name: 'gateway_ref', label: w.gatewayRef, optional: true, hint: w.correctRefHint },
      { name: 'besides', label: w.besidesRedrive, kind: 'box', after: 'correction_is_redrive' },
      insistField('evidence_contradicts'),
      reasonField(),
    ],
    verb: w.correct,
    danger: true,
    run: ({ gateway_ref: ref = '', besides = '', reason = '', insist }, key) => {
      const body = {
        reason,
        ...(ref === '' ? {} : { gateway_ref: ref }),
        ...insisted(insist),
        ...(besides === 'yes' ? { besides_redrive: true } : {}),
      }
      return send('POST', `/dlq/${letter}/correct`, body, key)
    },
  })
}

/** In which ways money of a payment comes back. */
const KINDS = {
  deposit: ['charged_back', 'refunded_there', 'dispute_won'],
  withdraw: ['payout_returned'],
} as const

function askReturn(payment: Payment): void {
  const w = words.value
  const { payment_id: id, type, currency } = payment
  const sum = money(payment.amount, currency)
  // A dispute may take more than is left.
  const left = leftOf(payment)
  ask({
    title: w.returnTitle(id),
    says: type === 'deposit' ? w.returnDepositSays : w.returnWithdrawalSays,
    fields: [
      {
        name: 'kind',
        label: w.returnKind,
        choices: KINDS[type === 'deposit' ? 'deposit' : 'withdraw'].map((kind) => [
          kind,
          w.returnKinds[kind],
        ]),
      },
      {
        name: 'amount',
        label: `${w.amount}, ${currency}`,
        initial: left > 0n ? fromMinor(left, exponentOf(currency)) : '',
        hint: w.returnAmountHint(`${sum} ${currency}`),
      },
      { name: 'gateway_ref', label: w.gatewayRef, hint: w.returnRefHint },
      { name: 'besides', label: w.besidesRefund, kind: 'box', after: 'refund_in_doubt' },
      reasonField(),
    ],
    verb: w.bookReturn,
    danger: true,
    run: async ({ kind = '', amount = '', gateway_ref: ref = '', ...typed }, key) => {
      const read = typedAmount(amount, currency)
      if (read === null) return refusedHere(w.amountBad(currency))
      const { besides = '', reason = '' } = typed
      const insists = besides === 'yes' ? { besides_refund: true } : {}
      const body = { kind, amount: read, gateway_ref: ref, reason, ...insists }
      return send('POST', `/payments/${id}/returns`, body, key)
    },
    done: (made) => go(hrefOf('payments', (made as { payment_id: number }).payment_id)),
  })
}

/** What of a payment has not gone back yet, in minor units. */
export function leftOf({ amount, refunded, returned, currency }: Payment): bigint {
  const [whole = 0n, ...back] = [amount, refunded, returned].map((one) =>
    toMinor(one, exponentOf(currency)),
  )
  return back.reduce((left, one) => left - one, whole)
}
