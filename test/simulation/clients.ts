import { isDeepStrictEqual } from 'node:util'
import { HOME, minorAsked } from './currencies.ts'
import { must } from './promises.ts'
import type { Answer, PaymentDraft, DraftRefusal } from '../../src/domain/acceptance.ts'
import type { PaymentRow, Tables } from './tables.ts'

/** The clients' witness: what was sent, and what each answer promised. */
export interface ClientJournal {
  sent(draft: PaymentDraft): void
  answered(draft: PaymentDraft, answer: Answer): void
  /** Every keyed request with the definite answer it was given, to be asked again. */
  definite(): readonly { readonly draft: PaymentDraft; readonly answer: Answer }[]
  checkAtRest(): void
}

/** Judge every answer at once by the books, and by what the same key was answered before. */
export function clientJournal(tables: Tables): ClientJournal {
  const first = new Map<string, { draft: PaymentDraft; answer: Answer }>()
  const keyless = { sent: new Map<string, number>(), acknowledged: new Map<string, number>() }
  const promised = new Set<bigint>()

  /** A draft with its amount in minor units of its account; -1: it is none. */
  const asStored = (draft: PaymentDraft): PaymentDraft => {
    const currency = tables.users.get(draft.userId)?.currency ?? null
    return { ...draft, amount: minorAsked(draft, currency) ?? -1n }
  }

  return {
    sent(draft) {
      if (draft.idempotencyKey === null) count(keyless.sent, likeness(asStored(draft)))
    },
    answered(draft, answer) {
      if (answer.kind === 'refused') return checkRefusal(tables, first, asStored(draft), answer)
      const payment = tables.payments.get(answer.payment.id)
      must(payment !== undefined, 'what was accepted exists', answer)
      checkAccepted(asStored(draft), payment as PaymentRow)
      if (draft.idempotencyKey === null) {
        must(!promised.has(answer.payment.id), 'without a key every request is new', answer)
        count(keyless.acknowledged, likeness(asStored(draft)))
      } else {
        remember(first, asStored(draft), answer)
      }
      promised.add(answer.payment.id)
    },
    definite: () => [...first.values()],
    checkAtRest() {
      for (const id of promised) {
        must(tables.payments.get(id) !== undefined, 'what was accepted is never lost', id)
      }
      checkKeyless(tables, keyless)
    },
  }
}

function likeness({
  userId,
  type,
  amount,
}: Pick<PaymentRow, 'userId' | 'type' | 'amount'>): string {
  return `${userId} ${type} ${amount}`
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function checkAccepted(draft: PaymentDraft, payment: PaymentRow): void {
  const same =
    payment.userId === draft.userId &&
    payment.type === draft.type &&
    payment.amount === draft.amount &&
    payment.idempotencyKey === draft.idempotencyKey
  must(same, 'what was accepted is what was asked for', payment)
  must(payment.refusedFor === null, 'what was refused is never accepted', payment)
}

function remember(
  first: Map<string, { draft: PaymentDraft; answer: Answer }>,
  draft: PaymentDraft,
  answer: Answer,
): void {
  const key = `${draft.userId} ${draft.idempotencyKey}`
  const earlier = first.get(key)
  if (earlier === undefined) {
    first.set(key, { draft, answer })
    return
  }
  must(essence(earlier.answer) === essence(answer), 'a key has one answer', { earlier, answer })
}

/** The answer without whether it is a replay. */
function essence(answer: Answer): string {
  if (answer.kind === 'accepted')
    return `accepted ${answer.payment.id} ${answer.payment.commission}`
  return `${answer.refusal.code} ${answer.refusal.paymentId} ${answer.refusal.required}`
}

/** What was said about a payment as it was first sent. */
function sentOf(tables: Tables, id: bigint | undefined): object {
  return tables.details.get(id ?? -1n)?.sent ?? {}
}

/** What an amount, a currency or a reference was refused for is so. */
function checkUnfit(
  tables: Tables,
  { userId, amount, asked, given }: PaymentDraft,
  { code, paymentId = -1n }: DraftRefusal,
): void {
  const currency = tables.users.get(userId)?.currency ?? HOME
  if (code === 'currency_mismatch') {
    must(asked?.currency !== currency, 'a currency is another than the account’s', asked)
  } else if (code === 'amount_precision') {
    must(amount === -1n, 'an amount has more decimals than its currency', asked)
  } else if (code === 'reference_taken') {
    const payment = tables.payments.get(paymentId)
    const same = tables.details.get(paymentId)?.reference === given?.details.reference
    must(payment?.userId === userId, 'a reference is taken by the same user', paymentId)
    must(same || payment?.redriveOf !== null, 'a taken reference names its payment', paymentId)
  }
}

function checkRefusal(
  tables: Tables,
  first: Map<string, { draft: PaymentDraft; answer: Answer }>,
  draft: PaymentDraft,
  answer: Extract<Answer, { kind: 'refused' }>,
): void {
  const { code, paymentId } = answer.refusal
  const payment = tables.payments.get(paymentId ?? -1n)
  checkUnfit(tables, draft, answer.refusal)
  if (code === 'user_not_found') {
    must(tables.users.get(draft.userId) === undefined, 'a user that exists is found', draft)
  } else if (code === 'idempotency_key_reuse') {
    must(payment?.idempotencyKey === draft.idempotencyKey, 'a used key names its payment', answer)
    const same = payment?.amount === draft.amount && payment.type === draft.type
    const asSaid = isDeepStrictEqual(sentOf(tables, paymentId), draft.given?.sent ?? {})
    must(!same || !asSaid, 'the same request is a replay', answer)
    const earlier = first.get(`${draft.userId} ${draft.idempotencyKey}`)
    const again = earlier !== undefined && isDeepStrictEqual(earlier.draft, draft)
    must(!again, 'whatever is edited, an honest retry is a replay', answer)
  } else if (code === 'insufficient_funds' && draft.idempotencyKey !== null) {
    must(payment?.refusedFor === 'insufficient_funds', 'a refusal is stored', answer)
    remember(first, draft, answer)
  }
}

/** Requests without a key: at least those acknowledged, at most those sent. */
function checkKeyless(
  tables: Tables,
  keyless: { sent: Map<string, number>; acknowledged: Map<string, number> },
): void {
  const stored = new Map<string, number>()
  for (const payment of tables.payments.rows.values()) {
    // Operators repeat payments and give them back: those are nobody's request.
    if (payment.redriveOf !== null || payment.parentId !== null) continue
    if (payment.idempotencyKey === null) count(stored, likeness(payment))
  }
  for (const [like, times] of stored) {
    must(times <= (keyless.sent.get(like) ?? 0), 'no request is carried out twice', like)
  }
  for (const [like, times] of keyless.acknowledged) {
    must(times <= (stored.get(like) ?? 0), 'what was accepted is never lost', like)
  }
}
