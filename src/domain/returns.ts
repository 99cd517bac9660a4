import assert from 'node:assert'
import { feeOfReturn, least, type FeePolicies } from './fee.ts'
import {
  chargebackEntry,
  disputeWonEntry,
  payoutReturnedEntry,
  refundCost,
  refundReleaseEntry,
  type Entry,
  type RefundParts,
  type Shares,
} from './ledger.ts'
import type { TaskFacts } from './cancel.ts'
import type { Parent } from './refund.ts'
import type { Refusal } from './refusal.ts'

/**
 * What came back without our doing, as somebody says: a payout, a deposit that was charged back or
 * refunded at the gateway itself, or money of these that came back from a dispute.
 */
export type SaidKind = 'payout_returned' | 'charged_back' | 'refunded_there' | 'dispute_won'

export const SAID_KINDS: readonly SaidKind[] = [
  'payout_returned',
  'charged_back',
  'refunded_there',
  'dispute_won',
]

/** `was_refund` takes back a return of a deposit that turned out to be a refund of ours. */
export type ReturnKind = SaidKind | 'was_refund'

/** Whether money went out with it, to the payer; otherwise it came in. */
export function wentOut(kind: ReturnKind): boolean {
  return kind === 'charged_back' || kind === 'refunded_there'
}

/** A return as the gateway or an operator reports it; more than 0, in minor units. */
export interface ReturnDraft {
  readonly parentId: bigint
  /** The gateway's reference of the return: a parent has one return under it. */
  readonly ref: string
  readonly kind: SaidKind
  readonly amount: bigint
  /**
   * Somebody has compared it with the refunds that are in doubt, and it is none of them; or its
   * gateway tells which refunds are ours.
   */
  readonly besidesRefund?: boolean
  /** Of a dispute won: the reference of the return whose money it is; not there: of any. */
  readonly undoes?: string
  /** A person typed the reference; not there: the gateway itself says it. */
  readonly typed?: true
}

/** A refund of a deposit that is not finished. */
export interface OpenRefund extends RefundParts {
  readonly task: TaskFacts | null
}

/** A payment of which something came back; its row, its user and its refunds' tasks are locked. */
export interface ReturnParent extends Parent {
  /** It failed, and that the gateway executed it is booked. */
  readonly corrected: boolean
  /** What of that booking nobody could pay, less what has come back for it since. */
  readonly lost: bigint
  /** Of its refunds, those that are done. */
  readonly refunded: bigint
  /** Who paid for its returns so far, less what came back from disputes. */
  readonly paid: Shares
  /** What was refunded there, whether or not it came back from there since. */
  readonly refundedThere: bigint
  readonly openRefunds: readonly OpenRefund[]
}

/** A return as it is written: a payment that is final from the start. */
export interface ReturnPayment {
  readonly id: bigint
  readonly userId: bigint
  readonly type: 'return'
  readonly parentId: bigint
  readonly ref: string
  readonly kind: ReturnKind
  readonly amount: bigint
  /** Of the commission, what went back with it; of a dispute won, what was earned again. */
  readonly feeReturned: bigint
}

export interface ReturnBooks {
  readonly parents: ReadonlyMap<bigint, ReturnParent>
  /** What the parents' users can spend; they are locked, and none is missing. */
  readonly available: ReadonlyMap<bigint, bigint>
  /** Earlier returns by `returnKeyOf`. */
  readonly earlier: ReadonlyMap<string, Pick<ReturnPayment, 'id' | 'kind' | 'amount'>>
  /** Of refunds: what the gateway calls them, by `returnKeyOf`. They are no returns. */
  readonly refunds: ReadonlySet<string>
  /** Refunds that the gateway made without saying what it calls them. */
  readonly unnamed: readonly UnnamedRefund[]
  /** Of references that a person typed: the payment that the gateway calls so, by `returnKeyOf`. */
  readonly named: ReadonlyMap<string, bigint>
  /** At least one unused payment id for each draft. */
  readonly ids: readonly bigint[]
}

/** A refund that is done, and that no reference tells from another one there. */
interface UnnamedRefund {
  readonly id: bigint
  readonly parentId: bigint
  readonly amount: bigint
}

export type ReturnAnswer =
  /** `canceled`: the refunds of the deposit that were never sent, and now never are. */
  | {
      readonly kind: 'booked'
      readonly payment: ReturnPayment
      readonly canceled: readonly bigint[]
    }
  /** It was booked before. */
  | { readonly kind: 'known'; readonly paymentId: bigint }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** What a batch of returns comes to: the answers in order, and everything to write. */
export interface ReturnVerdict {
  readonly answers: readonly ReturnAnswer[]
  readonly payments: readonly ReturnPayment[]
  /** The releases of refunds that are canceled, and the returns, in the order of their effect. */
  readonly entries: readonly Entry[]
  /** The parents that changed, as they are from now on. */
  readonly parents: readonly ReturnParent[]
  readonly idsUsed: number
}

/** The scope of a return's reference: the gateway names a return once for each payment. */
export function returnKeyOf(parentId: bigint, ref: string): string {
  return `${parentId} ${ref}`
}

/**
 * Decide returns in order. What the gateway says came back is booked at once and never waits for a
 * balance: a user pays at most what is available and what the deposit was still worth to it, and
 * the rest is a loss. What comes back of a payout that was corrected at a loss pays that first.
 */
export function decideReturns(
  drafts: readonly ReturnDraft[],
  books: ReturnBooks,
  policies: FeePolicies,
): ReturnVerdict {
  const batch: Batch = {
    policies,
    ids: books.ids,
    parents: new Map(books.parents),
    available: new Map(books.available),
    decided: new Map(books.earlier),
    refunds: books.refunds,
    unnamed: books.unnamed,
    named: books.named,
    changed: new Set(),
    payments: [],
    entries: [],
  }
  const answers = drafts.map((draft) => decide(batch, draft))
  const { payments, entries } = batch
  const parents = [...batch.changed].flatMap((id) => batch.parents.get(id) ?? [])
  return { answers, payments, entries, parents, idsUsed: payments.length }
}

/** What the drafts of a batch have come to so far. */
interface Batch {
  readonly policies: FeePolicies
  readonly ids: readonly bigint[]
  readonly parents: Map<bigint, ReturnParent>
  readonly available: Map<bigint, bigint>
  readonly decided: Map<string, Pick<ReturnPayment, 'id' | 'kind' | 'amount'>>
  readonly refunds: ReadonlySet<string>
  readonly unnamed: readonly UnnamedRefund[]
  readonly named: ReadonlyMap<string, bigint>
  readonly changed: Set<bigint>
  readonly payments: ReturnPayment[]
  readonly entries: Entry[]
}

function decide(batch: Batch, draft: ReturnDraft): ReturnAnswer {
  const { parentId, ref, kind, amount } = draft
  assert(amount > 0n, 'a return is more than nothing')
  const parent = batch.parents.get(parentId)
  if (parent === undefined) return refuse({ code: 'payment_not_found' })
  const earlier = batch.decided.get(returnKeyOf(parentId, ref))
  if (earlier !== undefined) {
    if (earlier.kind === kind && earlier.amount === amount) {
      return { kind: 'known', paymentId: earlier.id }
    }
    return refuse({ code: 'return_differs', paymentId: earlier.id })
  }
  // The same money went back by our own doing, and is booked as that.
  if (batch.refunds.has(returnKeyOf(parentId, ref))) return refuse({ code: 'return_is_refund' })
  // The gateway would tell the same money once more, under the return's own reference.
  const holder = batch.named.get(returnKeyOf(parentId, ref))
  if (holder !== undefined) return refuse({ code: 'gateway_ref_taken', paymentId: holder })
  const atMost = least(returnable(parent, kind), undoable(batch, draft))
  if (amount > atMost) return refuse({ code: 'not_returnable', atMost, exponent: parent.exponent })
  const inDoubt = refundInDoubt(batch, parent, draft)
  if (inDoubt !== null) return refuse({ code: 'refund_in_doubt', paymentId: inDoubt })
  return kind === 'dispute_won'
    ? won(batch, parent, draft)
    : kind === 'payout_returned'
      ? payoutReturned(batch, parent, draft)
      : chargedBack(batch, parent, draft)
}

/**
 * What of a payment can have come back in this way: no more than went there. What a payer disputes
 * is bounded by nothing that came back before, and rates change: only what is more than twice the
 * deposit is a mistake.
 */
export function returnable(parent: ReturnParent, kind: SaidKind): bigint {
  const { type, status, corrected, amount, returned, refundedThere } = parent
  const of = kind === 'payout_returned' ? 'withdraw' : 'deposit'
  if (type !== of || (status !== 'success' && !corrected)) return 0n
  if (kind === 'charged_back') return 2n * amount
  if (kind === 'dispute_won') return returned
  return amount - (kind === 'refunded_there' ? least(refundedThere, returned) : returned)
}

/**
 * No more comes back from a dispute than was booked as taken by it, where it is said which. What
 * turned out to be a refund of ours was taken back by that.
 */
function undoable({ decided, refunds }: Batch, { parentId, undoes, amount }: ReturnDraft): bigint {
  if (undoes === undefined) return amount
  const key = returnKeyOf(parentId, undoes)
  const taken = refunds.has(key) ? undefined : decided.get(key)
  return taken !== undefined && wentOut(taken.kind) ? taken.amount : 0n
}

/**
 * The refund of ours that a refund at the gateway may be: as much of the same deposit, perhaps sent
 * and not finished, or done without a reference. Null: there is none, or somebody has told the two
 * apart.
 */
function refundInDoubt({ unnamed }: Batch, parent: ReturnParent, draft: ReturnDraft) {
  const { parentId, kind, amount } = draft
  if (kind !== 'refunded_there' || draft.besidesRefund === true) return null
  const open = parent.openRefunds.find((refund) => !isUnsent(refund) && refund.amount === amount)
  const done = unnamed.find((refund) => refund.parentId === parentId && refund.amount === amount)
  return open?.id ?? done?.id ?? null
}

/** It was provably never sent, and nobody is about to. */
function isUnsent({ task }: OpenRefund): boolean {
  return task !== null && !task.leased && !task.sent
}

function payoutReturned(batch: Batch, parent: ReturnParent, draft: ReturnDraft): ReturnAnswer {
  const fee = feeOfReturn(parent, draft.amount, batch.policies)
  const payment = store(batch, draft, parent, fee)
  const entry = payoutReturnedEntry(payment, draft.amount, fee, parent.lost)
  book(batch, entry)
  const returned = parent.returned + draft.amount
  const lost = parent.lost - entry.losses
  change(batch, { ...parent, returned, returnedFee: parent.returnedFee + fee, lost })
  return { kind: 'booked', payment, canceled: [] }
}

function chargedBack(batch: Batch, given: ReturnParent, draft: ReturnDraft): ReturnAnswer {
  const { parent, canceled } = withoutUnsent(batch, given)
  const available = batch.available.get(parent.userId)
  assert(available !== undefined, 'a payment has a user')
  const shares = chargebackShares(parent, draft.amount, available, batch.policies)
  const payment = store(batch, draft, parent, shares.fee)
  book(batch, chargebackEntry(payment, shares))
  change(batch, {
    ...parent,
    returned: parent.returned + draft.amount,
    returnedFee: parent.returnedFee + shares.fee,
    paid: plus(parent.paid, shares),
    refundedThere: parent.refundedThere + (draft.kind === 'refunded_there' ? draft.amount : 0n),
  })
  return { kind: 'booked', payment, canceled }
}

function won(batch: Batch, parent: ReturnParent, draft: ReturnDraft): ReturnAnswer {
  const shares = disputeShares(parent.paid, draft.amount)
  const payment = store(batch, draft, parent, shares.fee)
  book(batch, disputeWonEntry(payment, shares))
  change(batch, {
    ...parent,
    returned: parent.returned - draft.amount,
    returnedFee: parent.returnedFee - shares.fee,
    paid: minus(parent.paid, shares),
  })
  return { kind: 'booked', payment, canceled: [] }
}

/**
 * Who pays for `amount` of a deposit that was charged back. The user at most what is available, and
 * at most what the deposit is still worth: its amount without what was refunded or came back
 * before, and without the part that is paid out of the commission. A refund that was sent counts as
 * made, so that nobody pays twice for one deposit when it turns out to have been. Whatever is left
 * is a loss.
 */
export function chargebackShares(
  parent: ReturnParent,
  amount: bigint,
  available: bigint,
  policies: FeePolicies,
): Shares {
  const left = parent.amount - parent.refundReserved - parent.returned
  const covered = left > 0n ? least(amount, left) : 0n
  const fee = covered > 0n ? feeOfReturn(parent, covered, policies) : 0n
  const user = least(available, covered - fee)
  return { user, fee, loss: amount - fee - user }
}

/** Who gets `amount` that came back from a dispute: losses first, then the user, then the fees. */
export function disputeShares(paid: Shares, amount: bigint): Shares {
  const loss = least(amount, paid.loss)
  const user = least(amount - loss, paid.user)
  const fee = amount - loss - user
  assert(fee <= paid.fee, 'no more comes back from disputes than was taken')
  return { user, fee, loss }
}

/** Cancel the refunds of a deposit that were provably never sent: their holds are free again. */
function withoutUnsent(batch: Batch, parent: ReturnParent) {
  const unsent = parent.openRefunds.filter(isUnsent)
  let { refundReserved, feeReserved } = parent
  for (const refund of unsent) {
    book(batch, refundReleaseEntry(refund))
    refundReserved -= refund.amount
    feeReserved -= refund.amount - refundCost(refund)
  }
  const openRefunds = parent.openRefunds.filter((refund) => !unsent.includes(refund))
  const changed = { ...parent, refundReserved, feeReserved, openRefunds }
  return { parent: changed, canceled: unsent.map(({ id }) => id) }
}

function store(
  batch: Batch,
  { ref, kind, amount }: ReturnDraft,
  { id: parentId, userId }: ReturnParent,
  feeReturned: bigint,
): ReturnPayment {
  const id = batch.ids[batch.payments.length]
  if (id === undefined) throw new Error('fewer ids than drafts')
  const payment = { id, userId, type: 'return', parentId, ref, kind, amount, feeReturned } as const
  batch.payments.push(payment)
  batch.decided.set(returnKeyOf(parentId, ref), payment)
  return payment
}

function book(batch: Batch, entry: Entry): void {
  batch.entries.push(entry)
  const available = batch.available.get(entry.userId) ?? 0n
  batch.available.set(entry.userId, available + entry.user)
}

function change(batch: Batch, parent: ReturnParent): void {
  batch.parents.set(parent.id, parent)
  batch.changed.add(parent.id)
}

function plus(one: Shares, other: Shares): Shares {
  return { user: one.user + other.user, fee: one.fee + other.fee, loss: one.loss + other.loss }
}

function minus(one: Shares, other: Shares): Shares {
  return { user: one.user - other.user, fee: one.fee - other.fee, loss: one.loss - other.loss }
}

function refuse(refusal: Refusal): ReturnAnswer {
  return { kind: 'refused', refusal }
}
