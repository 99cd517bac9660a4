import assert from 'node:assert'
import { refundReleaseEntry, releaseEntry, type Entry } from './ledger.ts'
import { isOpen, type BookedType, type StoredStatus } from './payment.ts'
import type { Refusal } from './refusal.ts'
import type { Reservation } from './refund.ts'

/** The error of a payment that somebody canceled before it was sent. */
export const CANCELED = 'canceled'

/** A payment that may be canceled, as it is under the locks of its task and then of its user. */
export interface Cancelable {
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly status: StoredStatus
  readonly amount: bigint
  readonly commission: bigint
  readonly feeReturned: bigint
  readonly parentId: bigint | null
  readonly lastError: string | null
}

/** Its task; `sent`: some charge of it may have left, because its first one is dated. */
export interface TaskFacts {
  readonly leased: boolean
  readonly sent: boolean
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
}

type CancelDecision =
  /** It ends `failed` with `CANCELED`, without a letter; its task leaves. */
  | {
      readonly kind: 'cancel'
      readonly entries: readonly Entry[]
      readonly unreserved: Reservation | null
    }
  /** The gateway is asked to end it, and only its answer does. */
  | { readonly kind: 'ask' }
  /** It was canceled before: the same answer again. */
  | { readonly kind: 'canceled' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/**
 * Whether a payment can be canceled. Only what was provably never sent ends here; `asks`: its
 * gateway can be asked to end what it has not finished.
 */
export function decideCancel(
  payment: Cancelable,
  task: TaskFacts | null,
  asks: boolean,
): CancelDecision {
  if (!isOpen(payment.status)) {
    const { status, lastError } = payment
    if (status === 'failed' && lastError === CANCELED) return { kind: 'canceled' }
    return { kind: 'refused', refusal: { code: 'payment_final' } }
  }
  if (task === null || task.leased) return { kind: 'refused', refusal: { code: 'in_flight' } }
  if (task.sent) {
    if (task.pending && asks) return { kind: 'ask' }
    return { kind: 'refused', refusal: { code: 'in_flight' } }
  }
  return { kind: 'cancel', ...undone(payment) }
}

/** What gives back the hold of a payment that is not executed, and what it reserved. */
function undone(payment: Cancelable) {
  const { type, parentId, amount, feeReturned } = payment
  if (type === 'refund') {
    assert(parentId !== null, 'a refund has a parent')
    const unreserved = { parentId, amount: -amount, fee: -feeReturned }
    return { entries: [refundReleaseEntry(payment)], unreserved }
  }
  const held = type === 'withdraw' ? [releaseEntry({ ...payment, type })] : []
  return { entries: held, unreserved: null }
}
