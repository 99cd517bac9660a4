// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

import type {
  Decimal,
  BookedType,
  DeadLetterClass,
  DeadLetterState,
  PaymentStatus,
} from './answers.ts'

export interface CancelRequest {
  /** Why; kept in the record for good. */
  readonly reason: string
}

export interface CorrectRequest {
  /** Why; kept in the record for good. */
  readonly reason: string
  /** The gateway's own reference, where you know it. */
  readonly gateway_ref?: string
  /** You know what the evidence says, and insist. It is recorded. */
  readonly against_evidence?: boolean
  /**
   * It is none of the redrives that succeeded without a reference of their own: you have compared
   * them at the gateway.
   */
  readonly besides_redrive?: boolean
}

export interface DepositRequest {
  readonly user_id: number
  /**
   * What to charge. It has at most the decimals of its currency: 2 in USD, none in JPY, 3 in KWD.
   */
  readonly deposit: Decimal
  /** The currency that the account must be in (ISO 4217); when left out, any. */
  readonly currency?: string
  /** Where it is to be carried out; when left out, wherever such payments are. */
  readonly gateway?: string
  /** What you call it: unique among the user's payments that did not fail. */
  readonly reference?: string
  /** For people: up to 500 characters. No card numbers. */
  readonly description?: string
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>>
  /** The gateway's token of a card or an account, never the number of a card. */
  readonly payment_method?: string
  /** Where the gateway sends the payer back to. */
  readonly return_url?: string
}

export interface ListDeadLetters {
  /** Letters per page. 1 to 500; 50 if left out. */
  readonly limit?: number
  /** Letters to skip. 0 to 10000; 0 if left out. */
  readonly offset?: number
  /** `failed`: no money moved. `unknown`: it may have; the hold is kept. */
  readonly class?: DeadLetterClass
  readonly state?: DeadLetterState
}

export interface ListPayments {
  /** Payments of one user. */
  readonly user_id?: number
  /**
   * `success` and `failed` are final. `pending`: the gateway has taken it and has not finished
   * it; perhaps the payer has to do something first, which is in `action`. `unknown`: the gateway
   * may have executed it; its money stays held and lookups go on.
   */
  readonly status?: PaymentStatus
  readonly type?: BookedType
  /** With this reference, failed ones too. */
  readonly reference?: string
  /** The one made under this key of the user in `user_id`. */
  readonly idempotency_key?: string
  /** With this reference of the gateway's. */
  readonly gateway_ref?: string
  /** Accepted at this time or later. */
  readonly from?: string
  /** Accepted before this time. */
  readonly to?: string
  /** Payments per page. 1 to 500; 50 if left out. */
  readonly limit?: number
}

export interface ListTransactions {
  /** Entries per page. 1 to 500; 50 if left out. */
  readonly limit?: number
}

export interface ListUsers {
  /** The one user that you call so. */
  readonly external_id?: string
  /** Created at this time or later. */
  readonly from?: string
  /** Created before this time. */
  readonly to?: string
  /** Users per page. 1 to 500; 50 if left out. */
  readonly limit?: number
}

export interface OpenUserRequest {
  /**
   * The opening balance, 0 or more. It has at most the decimals of its currency: 2 in USD, none
   * in JPY, 3 in KWD.
   */
  readonly balance: Decimal
  /** The currency of the account (ISO 4217); when left out, that of the books. */
  readonly currency?: string
  /** What you call the user: unique among all users, and never changed. */
  readonly external_id?: string
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface PaymentUpdate {
  /** For people: up to 500 characters. No card numbers. */
  readonly description?: string | null
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>> | null
}

export interface RedriveRequest {
  /** Why; kept in the record for good. */
  readonly reason: string
  /** You know what the evidence says, and insist. It is recorded. */
  readonly against_evidence?: boolean
}

export interface RefundRequest {
  /**
   * What to give back; without it, all that is left. It has at most the decimals of its currency:
   * 2 in USD, none in JPY, 3 in KWD.
   */
  readonly amount?: Decimal
  /** Why; kept in the record for good. */
  readonly reason: string
}

export interface ResolveRequest {
  readonly outcome: 'success' | 'failed'
  /** Why; kept in the record for good. */
  readonly reason: string
  /** The gateway's own reference, where you know it. */
  readonly gateway_ref?: string
  /** You know what the evidence says, and insist. It is recorded. */
  readonly against_evidence?: boolean
}

export interface UserUpdate {
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>> | null
}

export interface WithdrawalRequest {
  readonly user_id: number
  /**
   * What to pay out. It has at most the decimals of its currency: 2 in USD, none in JPY, 3 in
   * KWD.
   */
  readonly amount: Decimal
  /** The currency that the account must be in (ISO 4217); when left out, any. */
  readonly currency?: string
  /** Where it is to be carried out; when left out, wherever such payments are. */
  readonly gateway?: string
  /** What you call it: unique among the user's payments that did not fail. */
  readonly reference?: string
  /** For people: up to 500 characters. No card numbers. */
  readonly description?: string
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>>
  /** The gateway's token of a card or an account, never the number of a card. */
  readonly payment_method?: string
  /** Where the gateway sends the payer back to. */
  readonly return_url?: string
}
