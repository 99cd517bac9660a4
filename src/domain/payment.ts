export type PaymentType = 'deposit' | 'withdraw'

/** What is in the books: what was asked for, refunds of it, and what came back by itself. */
export type BookedType = PaymentType | 'refund' | 'return'

/** What a gateway carries out; a return has happened already. */
export type CarriedType = PaymentType | 'refund'

/**
 * What the gateway is asked to do. Each has its own credentials, limits and troubles at many
 * gateways, so whatever is learned of a gateway is learned of one operation.
 */
export type Operation = 'charge' | 'payout' | 'refund'

/** Every operation, in the order in which they are looked at. */
export const OPERATIONS: readonly Operation[] = ['charge', 'payout', 'refund']

/** The gateway of all that names none. */
export const GATEWAY = 'http'

/** One operation of one gateway: whatever is learned, limited or counted is so by route. */
export interface Route {
  readonly gateway: string
  readonly operation: Operation
}

/** What the gateway is asked to do for a payment of this type. */
export function operationOf(type: CarriedType): Operation {
  if (type === 'refund') return 'refund'
  return type === 'deposit' ? 'charge' : 'payout'
}

/** The type of the payments for which the gateway is asked to do this. */
export function typeOf(operation: Operation): CarriedType {
  if (operation === 'refund') return 'refund'
  return operation === 'charge' ? 'deposit' : 'withdraw'
}

/** What is stored. `success` and `failed` are final. */
export type StoredStatus = 'new' | 'success' | 'failed' | 'unknown'

/**
 * What is shown: an open payment that a worker has in hand is being processed, and one that the
 * gateway has taken and not finished is pending.
 */
export type PaymentStatus = StoredStatus | 'processing' | 'pending'

/** How a payment may have ended. */
export type EndStatus = Extract<StoredStatus, 'success' | 'failed'>

/** A payment as it is stored; amounts in minor units. */
export interface Payment {
  readonly id: bigint
  readonly userId: bigint
  readonly type: CarriedType
  readonly status: StoredStatus
  readonly amount: bigint
  readonly commission: bigint
  readonly feeBps: number
  /** Counted attempts, once it is final; while it is open its task counts them. */
  readonly attempts: number
  readonly createdAt: Date
  readonly finishedAt: Date | null
  readonly gatewayKey: string
  readonly idempotencyKey: string | null
  /** What is shown of why it failed. */
  readonly lastError: string | null
  /** Why it was refused when it arrived; null: it was accepted. */
  readonly refusedFor: string | null
  readonly gatewayRef: string | null
  /** Of its user's account; null: that of the books. */
  readonly currency: string | null
  /** Where it is carried out, for its whole life. */
  readonly gateway: string
}

/**
 * Every legal change of a stored status. What is not in the table cannot happen: the statements
 * that change a status take from here which ones they may leave.
 */
export const TRANSITIONS: Readonly<Record<StoredStatus, readonly StoredStatus[]>> = {
  new: ['success', 'failed', 'unknown'],
  unknown: ['success', 'failed', 'new'],
  success: [],
  failed: [],
}

/** Whether a payment with this status still has work to do. */
export function isOpen(status: StoredStatus): boolean {
  return TRANSITIONS[status].length > 0
}

/** The status to show, by what its task says: a worker holds it, or the gateway works on it. */
export function shownStatus(
  status: StoredStatus,
  task: { readonly leased: boolean; readonly pending: boolean } | undefined,
): PaymentStatus {
  if (status !== 'new' || task === undefined) return status
  if (task.pending) return 'pending'
  return task.leased ? 'processing' : status
}

/** The status of the payment's transaction on the ledger, in the words of the original API. */
export function transactionStatus(status: StoredStatus): 'processing' | 'success' | 'failed' {
  return isOpen(status) ? 'processing' : (status as 'success' | 'failed')
}
