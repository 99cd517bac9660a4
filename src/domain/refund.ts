import assert from 'node:assert'
import { keyOf } from './acceptance.ts'
import type { Exponent } from './currency.ts'
import type { Details } from './details.ts'
import { feeOfRefund, type FeePolicies, type GivenBack } from './fee.ts'
import { refundCost, refundHoldEntry, type Entry, type RefundParts } from './ledger.ts'
import { inCurrency, type Decimal } from './money.ts'
import type { BookedType, StoredStatus } from './payment.ts'
import type { Refusal } from './refusal.ts'
import { differing, type SentFields } from './sent-fields.ts'

/** A refund as it was asked for. */
export interface RefundDraft {
  readonly parentId: bigint
  /** Null: all that is left. */
  readonly amount: Decimal | null
  readonly idempotencyKey: string | null
  /** Why; kept for good. */
  readonly reason: string
  /** What the caller calls it, unique as of any payment; null or not there: nothing. */
  readonly reference?: string | null
  readonly metadata?: Details['metadata']
  /** The fields of the request as they were sent, the amount among them. */
  readonly sent: SentFields
  /** The place of its request in a trace; not there: it is not traced. */
  readonly traceparent?: string
}

/** A payment whose money goes back; its row is locked. */
export interface Parent extends GivenBack {
  readonly id: bigint
  readonly userId: bigint
  readonly status: StoredStatus
  /** Of its user's currency. */
  readonly exponent: Exponent
  /** Where it was carried out, and so what gives it back. */
  readonly gateway: string
}

/** A refund as it is written, or a refusal of one that is kept. */
export interface RefundPayment extends RefundParts {
  readonly type: 'refund'
  readonly parentId: bigint
  readonly idempotencyKey: string | null
  readonly refusedFor: 'insufficient_funds' | null
  readonly said: RefundTexts
  readonly sent: SentFields
}

/** What is kept of a refund beside its money. */
type RefundTexts = Pick<Details, 'reference' | 'metadata'> & Pick<RefundDraft, 'reason'>

/** An earlier payment of a user under a key; of one that is no refund only its type counts. */
export type EarlierPayment =
  RefundPayment | { readonly id: bigint; readonly type: Exclude<BookedType, 'refund'> }

export interface RefundBooks {
  readonly parents: ReadonlyMap<bigint, Parent>
  /** What the parents' users can spend; they are locked, and none is missing. */
  readonly available: ReadonlyMap<bigint, bigint>
  /** Earlier payments by `keyOf` the parent's user. */
  readonly earlier: ReadonlyMap<string, EarlierPayment>
  /** Payments that did not fail, by `keyOf` the parent's user and their reference. */
  readonly references?: ReadonlyMap<string, bigint>
  /** At least one unused payment id for each draft. */
  readonly ids: readonly bigint[]
  /** Whether a gateway carries out refunds. */
  readonly refundsAt: (gateway: string) => boolean
}

export type RefundAnswer =
  | {
      readonly kind: 'accepted'
      readonly payment: RefundPayment
      /** Of its currency. */
      readonly exponent: Exponent
      readonly replayed: boolean
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly replayed: boolean }

/** By how much the reservations of a parent rise; below zero they fall. */
export interface Reservation {
  readonly parentId: bigint
  readonly amount: bigint
  readonly fee: bigint
}

/** What a batch of refunds comes to: the answers in order, and everything to write. */
export interface RefundVerdict {
  readonly answers: readonly RefundAnswer[]
  readonly payments: readonly RefundPayment[]
  readonly holds: readonly Entry[]
  /** One for each payment that holds, in their order. */
  readonly reserved: readonly Reservation[]
  readonly idsUsed: number
}

/**
 * What can still be refunded of a payment: what was neither given back, nor promised, nor came
 * back.
 */
export function refundable({
  type,
  status,
  amount,
  refundReserved,
  returned,
}: Omit<Parent, 'exponent' | 'gateway'>): bigint {
  const left = amount - refundReserved - returned
  return type === 'deposit' && status === 'success' && left > 0n ? left : 0n
}

/**
 * Decide refunds in order: earlier ones use up what can be refunded and spent before later ones,
 * and one with an earlier one's key is its replay. A refusal for lack of funds under a key is kept,
 * as that of a withdrawal is; one because nothing is left is not, because it says nothing about
 * the user's money, and becomes a yes only when another refund fails.
 */
export function decideRefunds(
  drafts: readonly RefundDraft[],
  books: RefundBooks,
  policies: FeePolicies,
): RefundVerdict {
  const batch: Batch = {
    policies,
    ids: books.ids,
    refundsAt: books.refundsAt,
    parents: new Map(books.parents),
    available: new Map(books.available),
    decided: new Map(books.earlier),
    references: new Map(books.references),
    payments: [],
    holds: [],
    reserved: [],
  }
  const answers = drafts.map((draft) => decide(batch, draft))
  const { payments, holds, reserved } = batch
  return { answers, payments, holds, reserved, idsUsed: payments.length }
}

/** What the drafts of a batch have come to so far. */
interface Batch {
  readonly policies: FeePolicies
  readonly ids: readonly bigint[]
  readonly refundsAt: (gateway: string) => boolean
  readonly parents: Map<bigint, Parent>
  readonly available: Map<bigint, bigint>
  readonly decided: Map<string, EarlierPayment>
  readonly references: Map<string, bigint>
  readonly payments: RefundPayment[]
  readonly holds: Entry[]
  readonly reserved: Reservation[]
}

function decide(batch: Batch, draft: RefundDraft): RefundAnswer {
  const parent = batch.parents.get(draft.parentId)
  if (parent === undefined) return refuse({ code: 'payment_not_found' })
  const money = draft.amount === null ? null : inCurrency(draft.amount, parent.exponent)
  if (money !== null && !money.ok) {
    const code = money.problem
    return refuse({ code, errors: [{ field: 'amount', code }], exponent: parent.exponent })
  }
  if (draft.idempotencyKey !== null) {
    const earlier = batch.decided.get(keyOf(parent.userId, draft.idempotencyKey))
    if (earlier !== undefined) return replay(draft, earlier, parent.exponent)
  }
  const taken = referenceTaken(batch, parent, draft)
  if (taken !== null) return refuse(taken)
  if (!batch.refundsAt(parent.gateway)) return refuse({ code: 'no_route' })
  const { exponent } = parent
  const atMost = refundable(parent)
  const amount = money?.minor ?? atMost
  if (amount > atMost || amount === 0n) return refuse({ code: 'not_refundable', atMost, exponent })

  const feeReturned = feeOfRefund(parent, amount, batch.policies)
  const refund = { draft, parent, amount, feeReturned }
  const available = batch.available.get(parent.userId)
  assert(available !== undefined, 'a payment has a user')
  const required = amount - feeReturned
  if (available < required) {
    if (draft.idempotencyKey === null)
      return refuse({ code: 'insufficient_funds', required, exponent })
    return answerOf(store(batch, refund, 'insufficient_funds'), exponent, false)
  }
  const payment = store(batch, refund, null)
  reserve(batch, parent, payment)
  return answerOf(payment, exponent, false)
}

/** Why a refund may not be called so; null: it may, or it has no name. */
function referenceTaken(
  { references }: Batch,
  { userId }: Parent,
  { reference = null }: RefundDraft,
): Refusal | null {
  const paymentId = reference === null ? undefined : references.get(keyOf(userId, reference))
  if (paymentId === undefined) return null
  return { code: 'reference_taken', errors: [{ field: 'reference', code: 'taken' }], paymentId }
}

/** A refund that can be made. */
interface Refund {
  readonly draft: RefundDraft
  readonly parent: Parent
  readonly amount: bigint
  readonly feeReturned: bigint
}

function store(
  batch: Batch,
  { draft, parent, amount, feeReturned }: Refund,
  refusedFor: RefundPayment['refusedFor'],
): RefundPayment {
  const { idempotencyKey, reason, reference = null, metadata = null, sent } = draft
  const id = batch.ids[batch.payments.length]
  if (id === undefined) throw new Error('fewer ids than drafts')
  const { id: parentId, userId } = parent
  const about = { id, userId, type: 'refund' as const, parentId, amount, feeReturned }
  const said = { reason, reference, metadata }
  const payment = { ...about, idempotencyKey, refusedFor, said, sent }
  batch.payments.push(payment)
  if (idempotencyKey !== null) batch.decided.set(keyOf(userId, idempotencyKey), payment)
  return payment
}

/** Hold what a refund costs, and reserve what it takes of its parent. */
function reserve(batch: Batch, parent: Parent, refund: RefundPayment): void {
  const { amount, feeReturned: fee } = refund
  batch.holds.push(refundHoldEntry(refund))
  batch.reserved.push({ parentId: parent.id, amount, fee })
  const { reference } = refund.said
  if (reference !== null) batch.references.set(keyOf(parent.userId, reference), refund.id)
  const available = batch.available.get(parent.userId) ?? 0n
  batch.available.set(parent.userId, available - refundCost(refund))
  const refundReserved = parent.refundReserved + amount
  const feeReserved = parent.feeReserved + fee
  batch.parents.set(parent.id, { ...parent, refundReserved, feeReserved })
}

/** The answer to a request whose key was used before: the first answer, or what differs. */
function replay(draft: RefundDraft, earlier: EarlierPayment, exponent: Exponent): RefundAnswer {
  const errors = []
  if (earlier.type !== 'refund') errors.push({ field: 'type', code: 'differs' })
  else {
    if (draft.parentId !== earlier.parentId) errors.push({ field: 'payment_id', code: 'differs' })
    errors.push(...differing(draft.sent, earlier.sent))
  }
  if (errors.length === 0 && earlier.type === 'refund') return answerOf(earlier, exponent, true)
  return refuse({ code: 'idempotency_key_reuse', errors, paymentId: earlier.id })
}

function answerOf(payment: RefundPayment, exponent: Exponent, replayed: boolean): RefundAnswer {
  if (payment.refusedFor === null) return { kind: 'accepted', payment, exponent, replayed }
  const { refusedFor: code, id: paymentId } = payment
  const required = refundCost(payment)
  return { kind: 'refused', refusal: { code, paymentId, required, exponent }, replayed }
}

function refuse(refusal: Refusal): RefundAnswer {
  return { kind: 'refused', refusal, replayed: false }
}

/**
 * Whether a refund that failed can be made again: for the same amount, with what it returns of the
 * commission by what was given back since. `fee` is that.
 */
export function decideRepeat(
  amount: bigint,
  parent: Parent,
  available: bigint,
  policies: FeePolicies,
): { readonly kind: 'repeat'; readonly fee: bigint } | RepeatRefused {
  const { exponent } = parent
  const atMost = refundable(parent)
  if (amount > atMost) {
    return { kind: 'refused', refusal: { code: 'not_refundable', atMost, exponent } }
  }
  const fee = feeOfRefund(parent, amount, policies)
  const required = amount - fee
  if (required <= available) return { kind: 'repeat', fee }
  return { kind: 'refused', refusal: { code: 'insufficient_funds', required, exponent } }
}

interface RepeatRefused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}
