import type { RefundAnswer, RefundDraft } from '../../src/domain/refund.ts'
import { minorOf } from './currencies.ts'
import { must } from './promises.ts'
import type { Tables } from './tables.ts'

/** The witness of those who ask for refunds: what each answer promised. */
export interface RefundJournal {
  answered(draft: RefundDraft, answer: RefundAnswer): void
  /** Every keyed request with the answer it was given, to be asked again. */
  definite(): readonly { readonly draft: RefundDraft; readonly answer: RefundAnswer }[]
  checkAtRest(): void
}

/** Judge every answer at once by the books, and by what the same key was answered before. */
export function refundJournal(tables: Tables): RefundJournal {
  const first = new Map<string, { draft: RefundDraft; answer: RefundAnswer }>()
  const promised = new Set<bigint>()

  const remember = (draft: RefundDraft, answer: RefundAnswer): void => {
    const userId = tables.payments.get(draft.parentId)?.userId
    const key = `${userId} ${draft.idempotencyKey}`
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, { draft, answer })
    else must(essence(earlier.answer) === essence(answer), 'a key has one answer', answer)
  }
  return {
    answered(draft, answer) {
      const { parentId, idempotencyKey: key } = draft
      if (answer.kind === 'refused') {
        checkRefusal(tables, draft, answer)
        const { code } = answer.refusal
        if (code === 'insufficient_funds' && key !== null) remember(draft, answer)
        return
      }
      const { id, amount } = answer.payment
      const payment = tables.payments.get(id)
      must(payment?.type === 'refund', 'a refund that was accepted exists', answer)
      must(payment?.parentId === parentId, 'a refund is of what was asked for', answer)
      must(payment?.amount === amount, 'a refund is as large as was said', answer)
      const asked = draft.amount === null ? null : minorOf(draft.amount, payment?.currency ?? null)
      must(asked === null || asked === amount, 'a refund is as large as was asked for', answer)
      must(payment?.idempotencyKey === key, 'a refund has its key', answer)
      must(payment?.refusedFor === null, 'what was refused is never accepted', answer)
      if (key === null) must(!promised.has(id), 'without a key every refund is new', answer)
      else remember(draft, answer)
      promised.add(id)
    },
    definite: () => [...first.values()],
    checkAtRest() {
      for (const id of promised) {
        must(tables.payments.get(id) !== undefined, 'what was accepted is never lost', id)
      }
    },
  }
}

function essence(answer: RefundAnswer): string {
  if (answer.kind === 'accepted') return `accepted ${answer.payment.id} ${answer.payment.amount}`
  return `${answer.refusal.code} ${answer.refusal.paymentId} ${answer.refusal.required}`
}

function checkRefusal(
  tables: Tables,
  { parentId, idempotencyKey: key }: RefundDraft,
  answer: Extract<RefundAnswer, { kind: 'refused' }>,
): void {
  const { code, paymentId } = answer.refusal
  const payment = tables.payments.get(paymentId ?? -1n)
  if (code === 'payment_not_found') {
    must(tables.payments.get(parentId) === undefined, 'a payment that exists is found', answer)
  } else if (code === 'idempotency_key_reuse') {
    must(payment?.idempotencyKey === key, 'a used key names its payment', answer)
  } else if (code === 'insufficient_funds' && key !== null) {
    must(payment?.refusedFor === 'insufficient_funds', 'a refusal is stored', answer)
  }
}
