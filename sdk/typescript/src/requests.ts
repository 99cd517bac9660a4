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
  /**
   * With this error, as `GET /dlq/groups` names it. With `class` and `state`, of which the newest
   * 10,000 of each shard are looked at.
   */
  readonly error?: string
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
  /** Refunds and returns of one payment. */
  readonly parent_id?: number
  /**
   * With this reference, failed ones too. Of one that more than 1,000 payments have, a payment
   * that repeats another is found with at most 1,000 of them in between.
   */
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

export interface ListWebhookDeliveries {
  readonly state?: 'pending' | 'delivered' | 'failed'
  /** Deliveries. 1 to 500; 50 if left out. */
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
  /** What you call it: unique among the user's payments that did not fail. */
  readonly reference?: string
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** Events that match all of it; {}: all that are kept. */
export interface ReplayFilter {
  /** Types or kinds; of those that the endpoint is told of. */
  readonly types?: readonly (
    | 'payment.succeeded'
    | 'payment.failed'
    | 'payment.pending'
    | 'payment.unknown'
    | 'payment.resolved'
    | 'payment.refunded'
    | 'payment.returned'
    | 'dead_letter.opened'
    | 'dead_letter.closed'
    | 'webhook_endpoint.disabled'
    | 'books.broken'
    | 'payment.*'
    | 'dead_letter.*'
    | 'webhook_endpoint.*'
    | 'books.*'
  )[]
  /**
   * Without what has arrived, what is on its way and what another replay will send: what failed,
   * or was not sent.
   */
  readonly only?: 'undelivered'
  readonly created_after?: string
  readonly created_before?: string
}

/** First: see which events match, send nothing. */
export interface ReplayPlanRequest {
  readonly filter: ReplayFilter
  readonly dry_run: true
}

/** Then: send exactly the events of a snapshot again. */
export interface ReplayStartRequest {
  readonly snapshot: number
  /** Why; kept in the record for good. */
  readonly reason: string
  /** Events per second; 100 if left out. */
  readonly rate_per_second?: number
}

export type ReplayWebhookEventsRequest = ReplayPlanRequest | ReplayStartRequest

export interface ResolveRequest {
  readonly outcome: 'success' | 'failed'
  /** Why; kept in the record for good. */
  readonly reason: string
  /** The gateway's own reference, where you know it. */
  readonly gateway_ref?: string
  /** You know what the evidence says, and insist. It is recorded. */
  readonly against_evidence?: boolean
}

export interface RetryWebhookDeliveryRequest {
  /** Why; kept in the record for good. */
  readonly reason?: string
}

export interface RotateSecretRequest {
  /**
   * For how long the secret before signs as well; 86400 if left out. 0: from now on the new one
   * alone signs, and none of those before.
   */
  readonly overlap_seconds?: number
}

export interface UserUpdate {
  /** For you alone: a flat object of texts, up to 20 members. No card numbers. */
  readonly metadata?: Readonly<Record<string, string>> | null
}

export interface WebhookEndpointChange {
  /** Types of events, or all of a kind, such as `payment.*`. */
  readonly types?: readonly (
    | 'payment.succeeded'
    | 'payment.failed'
    | 'payment.pending'
    | 'payment.unknown'
    | 'payment.resolved'
    | 'payment.refunded'
    | 'payment.returned'
    | 'dead_letter.opened'
    | 'dead_letter.closed'
    | 'webhook_endpoint.disabled'
    | 'books.broken'
    | 'payment.*'
    | 'dead_letter.*'
    | 'webhook_endpoint.*'
    | 'books.*'
  )[]
  /** For people. */
  readonly description?: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload?: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered?: boolean
  /**
   * Calls a second at most, on average, over all processes; null: as many as there are. Further
   * events wait and lose nothing.
   */
  readonly rate_per_second?: number | null
  /**
   * Another URL, for an endpoint that has one. Every call that begins after the answer goes
   * there, of deliveries that are under way as well; the secret stays. Never null: disable an
   * endpoint that is not to be called.
   */
  readonly url?: string
  /** A disabled endpoint is not called. Its events are kept. */
  readonly state?: 'enabled' | 'disabled'
}

export interface WebhookEndpointRequest {
  /**
   * Where events are sent: https, without credentials, and no private address. In development
   * also http to this machine. Null or left out: nobody is called; read `GET /events`.
   */
  readonly url?: string | null
  /** Types of events, or all of a kind, such as `payment.*`. */
  readonly types: readonly (
    | 'payment.succeeded'
    | 'payment.failed'
    | 'payment.pending'
    | 'payment.unknown'
    | 'payment.resolved'
    | 'payment.refunded'
    | 'payment.returned'
    | 'dead_letter.opened'
    | 'dead_letter.closed'
    | 'webhook_endpoint.disabled'
    | 'books.broken'
    | 'payment.*'
    | 'dead_letter.*'
    | 'webhook_endpoint.*'
    | 'books.*'
  )[]
  /** For people. */
  readonly description?: string | null
  /** `full`: the payment as it was; `thin`: only which payment it is. */
  readonly payload?: 'full' | 'thin'
  /**
   * True: an event of a payment is sent when the one before has arrived or was given up. Between
   * payments there is no order.
   */
  readonly ordered?: boolean
  /**
   * Calls a second at most, on average, over all processes; null: as many as there are. Further
   * events wait and lose nothing.
   */
  readonly rate_per_second?: number | null
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
