// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

/** A decimal number such as `200` or `10.50`: money is never a float. */
export type Decimal = string

export interface AcceptedDeposit {
  readonly payment_id: number
  readonly user_id: number
  /** Ask for the payment to see more. */
  readonly status: 'processing'
  /** The amount. */
  readonly deposit: Decimal
}

export interface AcceptedRefund {
  readonly payment_id: number
  readonly user_id: number
  readonly parent_id: number
  /** Ask for the payment to see more. */
  readonly status: 'processing'
  /** What goes back. */
  readonly refund: Decimal
}

export interface AcceptedWithdrawal {
  readonly payment_id: number
  readonly user_id: number
  /** Ask for the payment to see more. */
  readonly status: 'processing'
  /** The amount. */
  readonly withdraw: Decimal
}

export type AppliedFilter = Readonly<Record<string, string | Decimal>>

export type BookedType = 'deposit' | 'withdraw' | 'refund' | 'return'

export interface CanceledPayment {
  readonly payment_id: number
  readonly user_id: number
  readonly status: 'failed'
  readonly last_error: 'canceled'
}

export type CarriedType = 'deposit' | 'withdraw' | 'refund'

export interface CorrectedDeadLetter {
  readonly id: number
  /** Nothing is left to do about it. A letter that was redriven stays so in the list. */
  readonly state: 'resolved' | 'redriven'
  readonly payment_id: number
  readonly payment: 'failed'
  readonly reference_taken_by?: number
}

export interface DeadLetter {
  readonly id: number
  readonly payment_id: number
  readonly user_id: number
  /** The amount of the payment. */
  readonly amount: Decimal
  /** Its commission. */
  readonly commission: Decimal
  readonly payment_type: CarriedType
  readonly class: DeadLetterClass
  readonly error: string
  readonly attempts: number
  readonly state: DeadLetterState
  readonly created_at: string
  readonly closed_at: string | null
  readonly closed_by: string | null
  readonly closed_reason: string | null
  /** Of these amounts (ISO 4217). */
  readonly currency: string
}

/** `failed`: no money moved. `unknown`: it may have; the hold is kept. */
export type DeadLetterClass = 'failed' | 'unknown'

export type DeadLetterState = 'open' | 'redriven' | 'resolved'

export interface OpenedUser {
  readonly id: number
  /** What can be spent. */
  readonly balance: Decimal
  /** Where one was given. */
  readonly currency?: string
  /** Where one was given. */
  readonly external_id?: string
  readonly metadata?: Readonly<Record<string, string>> | null
}

export interface PayerAction {
  readonly type: 'redirect'
  /** The page to send the payer to. */
  readonly url: string
  /** Null: unknown. */
  readonly expires_at: string | null
}

export interface Payment {
  readonly payment_id: number
  readonly user_id: number
  readonly type: BookedType
  /** What the gateway charges, pays out or gives back. */
  readonly amount: Decimal
  /** Taken from a deposit, added to a withdrawal; earned only on success. */
  readonly commission: Decimal
  readonly status: PaymentStatus
  /** Attempts that count against the limit. */
  readonly attempts: number
  /** Why it failed, or why the last attempt did. */
  readonly last_error: string | null
  readonly transaction_status: 'processing' | 'success' | 'failed'
  /** The gateway's own reference. */
  readonly gateway_ref: string | null
  readonly created_at: string
  readonly finished_at: string | null
  /** When it is tried or looked up next; null when final or being processed. */
  readonly next_attempt_at: string | null
  /** Of a deposit: what was refunded. */
  readonly refunded: Decimal
  /** What of it came back without being asked for. */
  readonly returned: Decimal
  /** Of a refund or a return: what it is of. */
  readonly parent_id: number | null
  /** Of a refund or a return: what of the commission goes back with it. */
  readonly fee_returned: Decimal | null
  /** Of a return: how it came back. */
  readonly return_kind:
    'payout_returned' | 'charged_back' | 'refunded_there' | 'dispute_won' | 'was_refund' | null
  /** What the caller calls it. */
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Readonly<Record<string, string>> | null
  /** The gateway's token. */
  readonly payment_method: string | null
  readonly return_url: string | null
  /** Of these amounts (ISO 4217). */
  readonly currency: string
  /** Where it is carried out, for its whole life. */
  readonly gateway: string
  /** While it is `pending`: what its payer has to do; null: nothing. */
  readonly action: PayerAction | null
}

/**
 * `success` and `failed` are final. `pending`: the gateway has taken it and has not finished it;
 * perhaps the payer has to do something first, which is in `action`. `unknown`: the gateway may
 * have executed it; its money stays held and lookups go on.
 */
export type PaymentStatus = 'new' | 'processing' | 'pending' | 'success' | 'failed' | 'unknown'

export interface RedrivenDeadLetter {
  readonly id: number
  readonly state: 'redriven'
  readonly payment_id: number
  /** The payment that repeats a failed one; null: the same payment goes on. */
  readonly new_payment_id: number | null
}

export interface ResolvedDeadLetter {
  readonly id: number
  readonly state: 'resolved'
  readonly payment_id: number
  /** What the payment is now. */
  readonly payment: 'success' | 'failed'
}

export interface Timeline {
  readonly payment_id: number
  /** As it is stored. */
  readonly status: 'new' | 'success' | 'failed' | 'unknown'
  /** Why it is in its state, and what happens next, when. */
  readonly explanation: string
  readonly events: readonly TimelineEvent[]
}

export interface TimelineEvent {
  readonly at: string
  /**
   * `accepted`, `refused`; `charge`, `lookup` (a call of the gateway with its evidence),
   * `worker_lost`; `hold`, `settle`, `release`, `settle_late` (postings); `dead_letter`,
   * `dead_letter_closed`; `redrive`, `resolve`, `cancel`, `return`, `correct`, `edit` (acts of
   * operators); `refund`, `came_back` (what goes back of it, or what this one is).
   */
  readonly event: string
  /** What was asked for. */
  readonly amount?: Decimal
  /** The commission, or what of it a posting earned. */
  readonly commission?: Decimal
  /** The failed payment that it repeats. */
  readonly repeats?: number | null
  /** The number of the claim. */
  readonly fence?: number
  /** The number of the call within the claim. */
  readonly call?: number
  readonly outcome?: string
  readonly reason?: string | null
  /** False: not a byte of it left. */
  readonly sent?: boolean
  readonly http_status?: number | null
  readonly took_ms?: number
  /** It came after its claim was lost. */
  readonly late?: boolean
  /** What evidence did that came late; null: it was in time. */
  readonly effect?: string | null
  /** By how much the posting changed what can be spent. */
  readonly balance?: Decimal
  /** By how much the posting changed what is held. */
  readonly held?: Decimal
  /** What of the posting nobody could pay; not there: nothing. */
  readonly losses?: Decimal
  /** The refund or the return. */
  readonly payment_id?: number
  /** The payment that it is of. */
  readonly parent_id?: number
  /** How it came back. */
  readonly return_kind?: string | null
  /** The dead letter it is about. */
  readonly letter_id?: number | null
  readonly class?: 'failed' | 'unknown'
  readonly error?: string
  readonly actor?: string | null
  readonly request_id?: string
  /** The run it was a part of. */
  readonly redrive_id?: number | null
  readonly before?: Readonly<Record<string, string | null>>
  readonly after?: Readonly<Record<string, string | null>>
}

export interface Transaction {
  /** Null for the opening balance. */
  readonly payment_id: number | null
  /** opening, hold, release, settle or settle_late. */
  readonly kind: string
  /** By how much this entry changed the balance. */
  readonly balance: Decimal
  /** By how much this entry changed what is held. */
  readonly held: Decimal
  /** The commission earned with this entry. */
  readonly commission: Decimal
  readonly created_at: string
}

export interface User {
  readonly id: number
  /** What can be spent: what is held is already taken off. */
  readonly balance: Decimal
  /** Reserved for withdrawals and refunds that are not final. */
  readonly held: Decimal
  readonly created_at: string
  /** What you call the user. */
  readonly external_id: string | null
  readonly metadata: Readonly<Record<string, string>> | null
  /** Of these amounts (ISO 4217). */
  readonly currency: string
}

/** Members whose numbers are amounts. */
export const MONEY = new Set([
  'amount',
  'at_most',
  'balance',
  'commission',
  'deposit',
  'fee_returned',
  'held',
  'losses',
  'refund',
  'refunded',
  'required',
  'returned',
  'withdraw',
])
