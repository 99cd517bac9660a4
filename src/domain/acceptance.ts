import { commission, type Fee } from './fee.ts'
import { holdEntry, total, type Entry } from './ledger.ts'
import type { Payment, PaymentType } from './payment.ts'
import type { Refusal } from './refusal.ts'

/** A payment as it was asked for; the amount in minor units, already known to be in range. */
export interface Draft {
  readonly type: PaymentType
  readonly userId: bigint
  readonly amount: bigint
  readonly idempotencyKey: string | null
}

export type DraftField = keyof Draft

/** A no to a draft. Which fields are at fault; where a request has them, only its way in knows. */
export interface DraftRefusal extends Omit<Refusal, 'errors'> {
  readonly faults?: readonly { readonly field: DraftField; readonly code: string }[]
}

/** What a caller is told, in the order of the drafts. `replayed`: decided by an earlier request. */
export type Answer =
  | { readonly kind: 'accepted'; readonly payment: AcceptedPayment; readonly replayed: boolean }
  | { readonly kind: 'refused'; readonly refusal: DraftRefusal; readonly replayed: boolean }

/**
 * The answer about a user whom somebody else has locked: nothing was decided, and nothing is
 * stored.
 */
export const BUSY: Answer = { kind: 'refused', refusal: { code: 'busy' }, replayed: false }

/**
 * The part of a payment that an answer is made of, the same for the first answer and every replay.
 */
export type AcceptedPayment = Pick<
  Payment,
  'id' | 'userId' | 'amount' | 'commission' | 'idempotencyKey'
> & { readonly type: PaymentType; readonly refusedFor: 'insufficient_funds' | null }

/** What a batch of drafts is decided on; the users are locked where the decision depends on it. */
export interface Books {
  /** What each user can spend, in minor units; a user that is not in the map does not exist. */
  readonly available: ReadonlyMap<bigint, bigint>
  /** Earlier payments by `keyOf`. */
  readonly earlier: ReadonlyMap<string, AcceptedPayment>
  /** At least one unused payment id for each draft. */
  readonly ids: readonly bigint[]
}

/** What a batch comes to: the answers, and everything to write. */
export interface Verdict {
  readonly answers: readonly Answer[]
  readonly payments: readonly AcceptedPayment[]
  readonly holds: readonly Entry[]
  readonly idsUsed: number
}

/** The scope of an idempotency key: two users may use the same key. */
export function keyOf(userId: bigint, idempotencyKey: string): string {
  return `${userId} ${idempotencyKey}`
}

/**
 * Decide every draft of a batch in order: earlier drafts spend before later ones, and a later draft
 * with an earlier one's key is its replay. Refusals harm no neighbour.
 *
 * A refusal for lack of funds under a key is stored as a failed payment, so that a retry never
 * turns a "no" that the caller acted on into a "yes". Without a key nothing could replay it:
 * nothing stored.
 */
export function decideBatch(drafts: readonly Draft[], books: Books, fee: Fee): Verdict {
  const batch: Batch = {
    fee,
    ids: books.ids,
    available: new Map(books.available),
    decided: new Map(books.earlier),
    payments: [],
    holds: [],
  }
  const answers = drafts.map((draft) => decide(batch, draft))
  const { payments, holds } = batch
  return { answers, payments, holds, idsUsed: payments.length }
}

/** What the drafts of a batch have come to so far. */
interface Batch {
  readonly fee: Fee
  readonly ids: readonly bigint[]
  readonly available: Map<bigint, bigint>
  readonly decided: Map<string, AcceptedPayment>
  readonly payments: AcceptedPayment[]
  readonly holds: Entry[]
}

function decide(batch: Batch, draft: Draft): Answer {
  const { userId, amount, idempotencyKey } = draft
  const balance = batch.available.get(userId)
  if (balance === undefined) return refuse({ code: 'user_not_found' })
  if (idempotencyKey !== null) {
    const earlier = batch.decided.get(keyOf(userId, idempotencyKey))
    if (earlier !== undefined) return replay(draft, earlier)
  }
  const share = commission(amount, batch.fee)
  if (draft.type === 'deposit') {
    if (share >= amount) return refuse({ code: 'amount_below_commission' })
    return { kind: 'accepted', payment: store(batch, draft, share, null), replayed: false }
  }
  const required = total({ amount, commission: share })
  if (balance < required) {
    if (idempotencyKey === null) return refuse({ code: 'insufficient_funds', required })
    return answerOf(store(batch, draft, share, 'insufficient_funds'), false)
  }
  batch.available.set(userId, balance - required)
  const payment = store(batch, draft, share, null)
  batch.holds.push(holdEntry(payment))
  return { kind: 'accepted', payment, replayed: false }
}

function store(
  batch: Batch,
  draft: Draft,
  share: bigint,
  refusedFor: AcceptedPayment['refusedFor'],
): AcceptedPayment {
  const { type, userId, amount, idempotencyKey } = draft
  const id = batch.ids[batch.payments.length]
  if (id === undefined) throw new Error('fewer ids than drafts')
  // Spelled out: spreading the draft would cost as much as everything else here.
  const payment = { id, userId, type, amount, commission: share, idempotencyKey, refusedFor }
  batch.payments.push(payment)
  if (idempotencyKey !== null) batch.decided.set(keyOf(userId, idempotencyKey), payment)
  return payment
}

/** The answer to a request whose key was used before: the first answer, or what differs. */
function replay(draft: Draft, earlier: AcceptedPayment): Answer {
  const differs = (['type', 'amount'] as const).filter((field) => draft[field] !== earlier[field])
  if (differs.length > 0) {
    const faults = differs.map((field) => ({ field, code: 'differs' }))
    return refuse({ code: 'idempotency_key_reuse', faults, paymentId: earlier.id })
  }
  return answerOf(earlier, true)
}

function answerOf(payment: AcceptedPayment, replayed: boolean): Answer {
  if (payment.refusedFor === null) return { kind: 'accepted', payment, replayed }
  const refusal = { code: payment.refusedFor, paymentId: payment.id, required: total(payment) }
  return { kind: 'refused', refusal, replayed }
}

function refuse(refusal: DraftRefusal): Answer {
  return { kind: 'refused', refusal, replayed: false }
}
