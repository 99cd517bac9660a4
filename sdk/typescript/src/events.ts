// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

import type { Decimal, BookedType } from './answers.ts'

export interface BooksEventData {
  /** `recent`: the check of what may have changed. `full`: of everything. */
  readonly scope: 'recent' | 'full'
  readonly checked_at: string
  /** Rows that violate a rule. */
  readonly violations: number
  readonly rules: readonly BrokenRule[]
}

/** A rule that some rows violate. */
export interface BrokenRule {
  readonly rule: string
  readonly violations: number
}

/** The letter as it was right after the change. */
export interface DeadLetterEventData {
  readonly id: number
  readonly payment_id: number
  readonly user_id: number
  readonly payment_type: BookedType
  /** Of its payment. */
  readonly amount: Decimal
  /** Of its payment. */
  readonly commission: Decimal
  /** Of these amounts (ISO 4217). */
  readonly currency: string
  readonly class: 'failed' | 'unknown'
  readonly error: string
  readonly attempts: number
  readonly state: 'open' | 'redriven' | 'resolved'
  readonly created_at: string
  readonly closed_at: string | null
  readonly closed_by: string | null
  readonly closed_reason: string | null
}

export interface Event {
  /** The same wherever the event is seen: `webhook-id` of webhooks. */
  readonly id: string
  readonly type: EventType
  /** The payment that it is about. */
  readonly payment_id: number | null
  /**
   * Counts the changes of the payment. A number that is missing is a change that nobody wanted to
   * know of. Null where the event is about something else.
   */
  readonly sequence: number | null
  readonly timestamp: string
  readonly data: PaymentEventData | DeadLetterEventData | WebhookEndpointEventData | BooksEventData
}

/**
 * `payment.succeeded`: The payment was executed, by the word of the gateway or of an operator. It
 * is final. `payment.failed`: The payment was not executed, and never will be. It is final.
 * `payment.pending`: The gateway has taken the payment and not finished it. `payment.unknown`:
 * Nobody knows whether the gateway executed the payment. Its hold stays. `payment.resolved`: A
 * payment that was `unknown` has ended. How is told by the event that follows.
 * `payment.refunded`: A refund of the payment succeeded: `refunded` is what has gone back so far.
 * `payment.returned`: Money came back by itself, or was won back: `returned` is what has come
 * back so far. `dead_letter.opened`: A payment failed or could not be finished, and left a dead
 * letter. `dead_letter.closed`: The dead letter was redriven, resolved, corrected, or answered by
 * the gateway. `webhook_endpoint.disabled`: An endpoint is not called any more: it is gone, or
 * nothing arrives there. `books.broken`: A check of the books found something that it had not
 * found a minute before.
 */
export type EventType =
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

/** The payment as it was right after the change. */
export interface PaymentEventData {
  readonly payment_id: number
  readonly user_id: number
  readonly type: BookedType
  /** What was asked for. */
  readonly amount: Decimal
  /** What it costs beside that. */
  readonly commission: Decimal
  /** Of these amounts (ISO 4217). */
  readonly currency: string
  readonly status: 'processing' | 'pending' | 'success' | 'failed' | 'unknown'
  readonly attempts: number
  readonly last_error: string | null
  readonly gateway_ref: string | null
  readonly created_at: string
  readonly finished_at: string | null
  /** What refunds have given back so far. */
  readonly refunded: Decimal
  /** What has come back by itself so far. */
  readonly returned: Decimal
  /** Of a refund or a return: the payment that it is of. */
  readonly parent_id: number | null
  readonly fee_returned: Decimal | null
  readonly return_kind: string | null
  readonly reference: string | null
  readonly description: string | null
  readonly metadata: Readonly<Record<string, string>> | null
  /**
   * True: description and metadata are too long for an event and were left out. Read the payment
   * for them.
   */
  readonly cut: boolean
  /** As that of the event. */
  readonly sequence: number
}

export interface WebhookEndpointEventData {
  readonly endpoint_id: number
  /** Its origin: the rest of a URL may be a secret. */
  readonly url: string | null
  readonly reason: 'gone' | 'silent'
}
