// Written by `npm run sdk-types` from docs/openapi.json; do not edit.

import type { Decimal } from './answers.ts'

/** Stable. More may come: treat one that you do not know by its status. */
export type ErrorCode =
  | 'request_unreadable'
  | 'body_unreadable'
  | 'body_invalid'
  | 'query_invalid'
  | 'cursor_invalid'
  | 'amount_malformed'
  | 'idempotency_key_invalid'
  | 'actor_invalid'
  | 'notice_refused'
  | 'unauthorized'
  | 'insufficient_funds'
  | 'forbidden'
  | 'host_refused'
  | 'origin_refused'
  | 'route_not_found'
  | 'user_not_found'
  | 'payment_not_found'
  | 'letter_not_found'
  | 'endpoint_not_found'
  | 'session_not_found'
  | 'gateway_not_found'
  | 'key_not_found'
  | 'delivery_not_found'
  | 'verification_not_found'
  | 'redrive_not_found'
  | 'replay_not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'letter_not_open'
  | 'payment_final'
  | 'evidence_contradicts'
  | 'maybe_executed'
  | 'redrive_impossible'
  | 'not_deliverable'
  | 'endpoints_full'
  | 'secrets_full'
  | 'secret_unreadable'
  | 'endpoint_not_called'
  | 'endpoint_disabled'
  | 'reference_taken'
  | 'external_id_taken'
  | 'payments_open'
  | 'redrive_started'
  | 'redrive_expired'
  | 'redrive_not_running'
  | 'replay_started'
  | 'replay_expired'
  | 'replay_not_running'
  | 'not_refundable'
  | 'in_flight'
  | 'not_ended'
  | 'refund_in_doubt'
  | 'return_is_refund'
  | 'not_returnable'
  | 'return_differs'
  | 'gateway_ref_taken'
  | 'reason_stays'
  | 'redrive_open'
  | 'correction_is_redrive'
  | 'correction_differs'
  | 'not_correctable'
  | 'body_too_large'
  | 'uri_too_long'
  | 'media_type_unsupported'
  | 'expectation_failed'
  | 'amount_range'
  | 'balance_range'
  | 'amount_precision'
  | 'currency_unknown'
  | 'currency_mismatch'
  | 'url_refused'
  | 'gateway_unknown'
  | 'no_route'
  | 'amount_below_commission'
  | 'card_number'
  | 'idempotency_key_reuse'
  | 'rate_limited'
  | 'headers_too_large'
  | 'internal_error'
  | 'balance_pending'
  | 'overloaded'
  | 'gateway_unavailable'
  | 'outcome_unknown'
  | 'busy'
  | 'database_unavailable'
  | 'shutting_down'

export interface FieldError {
  /** JSON Pointer (RFC 6901) of the field at fault. */
  readonly pointer: string
  readonly code: string
}

export interface Problem {
  /** A link to what the code means and what to do about it. */
  readonly type: string
  readonly status: number
  /** For people. Programs should read `code`. */
  readonly detail: string
  /** The request id, as it stands in the logs. */
  readonly instance: string
  readonly code: ErrorCode
  readonly errors?: readonly FieldError[]
  /** The payment first made with the key. */
  readonly payment_id?: number
  /** The user opened with the key, or who has the external id. */
  readonly user_id?: number
  /** What the payment costs with its commission. */
  readonly required?: Decimal
  /** What could have been refunded or come back at most. */
  readonly at_most?: Decimal
  /** The gateways that carry out such payments. */
  readonly gateways?: readonly string[]
  /** When the first of what is in the way ends. */
  readonly until?: string
  /** What the gateway said, by the evidence that is kept. */
  readonly evidence?: 'success' | 'declined' | 'in_doubt'
  readonly title: string
}
