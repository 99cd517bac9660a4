import type { Exponent } from './currency.ts'
import { AMOUNTS_MAX, formatMoney } from './money.ts'
import { urlSentence } from './webhook-url.ts'

/**
 * Every reason to say no, with its HTTP status and what to tell the caller. `docs/errors.md` lists
 * the same codes with advice, and a test compares the two. A refusal is a value, never an
 * exception.
 */
export const REFUSALS = {
  request_unreadable: [400, 'The bytes are not an HTTP request that this service reads.'],
  body_unreadable: [400, 'The body cannot be read as one JSON document.'],
  body_invalid: [400, 'The body does not have the fields of this operation.'],
  query_invalid: [400, 'A query parameter is unknown or malformed.'],
  cursor_invalid: [400, 'The cursor was not made by this list with these filters.'],
  amount_malformed: [400, 'An amount is a decimal number such as 10, 10.5 or "10.50".'],
  idempotency_key_invalid: [
    400,
    'An Idempotency-Key is sent once and has 1 to 255 visible ASCII characters.',
  ],
  actor_invalid: [
    400,
    'An X-Actor is sent once, has 1 to 100 visible ASCII characters, and is not a reserved name.',
  ],
  notice_refused: [400, 'This is no notice of that gateway: it is not signed, or not from there.'],
  unauthorized: [401, 'Send a valid API key as Authorization: Bearer pay_…'],
  insufficient_funds: [402, 'The balance does not cover the amount and its commission.'],
  forbidden: [403, 'The API key lacks the scope that this needs.'],
  host_refused: [403, 'The Host is no name of this machine, and only this machine may ask.'],
  origin_refused: [403, 'A page of another site may not change anything here.'],
  route_not_found: [404, 'There is nothing at this path. See /docs for what there is.'],
  user_not_found: [404, 'No user has this id.'],
  payment_not_found: [404, 'No payment has this id.'],
  letter_not_found: [404, 'No dead letter has this id.'],
  endpoint_not_found: [404, 'No webhook endpoint has this id.'],
  session_not_found: [404, 'No session has this id, or it has ended.'],
  gateway_not_found: [404, 'No gateway of this name can do that here.'],
  key_not_found: [404, 'No API key has this id.'],
  delivery_not_found: [404, 'This event was never on its way to this endpoint.'],
  verification_not_found: [404, 'No check of the books has this id.'],
  redrive_not_found: [404, 'No redrive has this id.'],
  replay_not_found: [404, 'This endpoint has no replay of this id.'],
  method_not_allowed: [405, 'This path does not take this method. See the Allow header.'],
  request_timeout: [408, 'The request did not arrive in time.'],
  letter_not_open: [409, 'The dead letter was redriven or resolved already.'],
  payment_final: [409, 'The payment is final, and this would change what it came to.'],
  evidence_contradicts: [
    409,
    'What the gateway said speaks against this. Look at the timeline; say against_evidence to ' +
      'insist.',
  ],
  maybe_executed: [
    409,
    'The failed payment may have been executed. Look at its timeline; say against_evidence to ' +
      'insist.',
  ],
  redrive_impossible: [
    409,
    'The gateway can neither be asked about the payment nor safely charged again. Resolve the ' +
      'letter.',
  ],
  not_deliverable: [409, 'This delivery is under way right now. Ask again in a minute.'],
  endpoints_full: [409, 'There are as many webhook endpoints as there may be. Remove one.'],
  secrets_full: [
    409,
    'Ten secrets of this endpoint sign already. Wait, or send overlap_seconds 0: then the new ' +
      'one alone signs.',
  ],
  secret_unreadable: [
    409,
    'The secret of this endpoint was sealed with another key and cannot be shown. Rotate it for ' +
      'a new one.',
  ],
  endpoint_not_called: [
    409,
    'This endpoint has no URL, so it is not called and has no secret. Make one with a URL.',
  ],
  endpoint_disabled: [409, 'This endpoint is disabled, so nothing is sent to it. Enable it first.'],
  reference_taken: [
    409,
    'Another payment of this user has this reference and did not fail. It is named by payment_id.',
  ],
  external_id_taken: [409, 'Another user has this external_id. It is named by user_id.'],
  payments_open: [
    409,
    'A payment of this user is not final yet, and needs what was said about it.',
  ],
  redrive_started: [409, 'This snapshot was started already. See the redrive with its id.'],
  redrive_expired: [409, 'This snapshot is older than 15 minutes. Make a new one.'],
  redrive_not_running: [409, 'Only a running redrive can be canceled.'],
  replay_started: [409, 'This snapshot was started already. See the replay with its id.'],
  replay_expired: [409, 'This snapshot is older than 15 minutes. Make a new one.'],
  replay_not_running: [409, 'Only a running replay can be canceled.'],
  not_refundable: [409, 'Only what is left of a successful deposit can be refunded.'],
  in_flight: [409, 'It is being sent to the gateway, or was sent, so only the gateway can end it.'],
  not_ended: [
    409,
    'Its gateway has it in hand, and has not said that it ended it. Ask for the payment, or again.',
  ],
  refund_in_doubt: [
    409,
    'A refund of this payment may be what is to be booked. The answer names it.',
  ],
  return_is_refund: [409, 'The gateway calls a refund of this payment so: it is booked as that.'],
  not_returnable: [409, 'A payment of this kind and state cannot have come back so far.'],
  return_differs: [409, 'This reference belongs to a return of another kind or amount.'],
  gateway_ref_taken: [409, 'Another payment is booked under this reference of the gateway.'],
  reason_stays: [409, 'The description of a refund is the reason for it, which stays.'],
  redrive_open: [409, 'A redrive of this payment is open, and may be what is to be booked.'],
  correction_is_redrive: [409, 'Another payment of its chain of redrives is booked as that.'],
  correction_differs: [
    409,
    'It is booked already, and not under this reference of the gateway. The answer names it.',
  ],
  not_correctable: [409, 'Only a failed payment that the gateway executed can be corrected, once.'],
  body_too_large: [413, 'The body is larger than this service reads.'],
  uri_too_long: [414, 'A part of the path is longer than any id.'],
  media_type_unsupported: [415, 'Send the body as application/json in UTF-8.'],
  expectation_failed: [417, 'The only expectation that is met is 100-continue.'],
  amount_range: [422, 'An amount is at least 0.01 and at most 9999999999.99.'],
  balance_range: [422, 'An opening balance is at least 0 and at most 9999999999.99.'],
  amount_precision: [422, 'An amount has at most 2 decimals; it is never rounded.'],
  currency_unknown: [422, 'There is no such currency.'],
  currency_mismatch: [422, 'The account is in another currency than the payment.'],
  url_refused: [422, 'Events cannot be sent to this URL.'],
  gateway_unknown: [422, 'That gateway does not carry out such payments. The answer names those.'],
  no_route: [422, 'No gateway carries out payments of this type in this currency.'],
  amount_below_commission: [422, 'The commission would take the whole deposit.'],
  card_number: [422, 'A field holds the number of a payment card. Send a token instead.'],
  idempotency_key_reuse: [422, 'This Idempotency-Key was first used with a different request.'],
  rate_limited: [429, 'Too many requests from this key or address. Wait for Retry-After.'],
  headers_too_large: [431, 'The headers are larger than this service reads.'],
  internal_error: [500, 'A bug of this service. It was logged under the request id.'],
  balance_pending: [503, 'The journal is still being added up. Ask again later.'],
  overloaded: [
    503,
    'More work is waiting than can be started soon. Send the same request again later.',
  ],
  gateway_unavailable: [
    503,
    'The payment gateway has been out of reach for too long. Send the same request again later.',
  ],
  outcome_unknown: [
    503,
    'Whether the request was carried out is not known. Send it again with the same ' +
      'Idempotency-Key; without one, look first.',
  ],
  busy: [
    503,
    'Somebody else is changing what this needs, or it took too long. Send the same request ' +
      'again later.',
  ],
  database_unavailable: [503, 'The database cannot be reached. Send the same request again later.'],
  shutting_down: [503, 'This process is stopping. Send the same request again.'],
} as const satisfies Record<string, readonly [status: number, detail: string]>

export type RefusalCode = keyof typeof REFUSALS

/** A no, with what the caller needs beside its code. */
export interface Refusal {
  readonly code: RefusalCode
  /** The fields at fault, null for the whole request, each with a code of its own. */
  readonly errors?: readonly { readonly field: string | null; readonly code: string }[]
  /** The payment a stored refusal belongs to. */
  readonly paymentId?: bigint
  /** The user that a key opened, or that has an external id. */
  readonly userId?: bigint
  /** What the withdrawal would have cost, in minor units. */
  readonly required?: bigint
  /** What could have been refunded or returned at most, in minor units. */
  readonly atMost?: bigint
  /** Of the currency of these amounts, or of the amount that was refused. */
  readonly exponent?: Exponent
  /** When the first of what is in the way ends. */
  readonly until?: Date
  /** The gateways that carry out such payments. */
  readonly gateways?: readonly string[]
  /** What the gateway said, by the evidence that is kept. */
  readonly evidence?: 'success' | 'declined' | 'in_doubt'
}

/** What is said of an amount in a currency with this many decimals. */
const OF_AMOUNTS: Partial<Readonly<Record<RefusalCode, (exponent: Exponent) => string>>> = {
  amount_range: (exponent) =>
    `An amount is at least ${formatMoney(1n, exponent)} and at most ${largest(exponent)}.`,
  balance_range: (exponent) => `An opening balance is at least 0 and at most ${largest(exponent)}.`,
  amount_precision: (exponent) =>
    exponent === 0
      ? 'An amount in this currency has no decimals; it is never rounded.'
      : `An amount has at most ${exponent} decimals; it is never rounded.`,
}

function largest(exponent: Exponent): string {
  return formatMoney(AMOUNTS_MAX[exponent], exponent)
}

/**
 * What the caller is told of a refusal; of an amount, by the decimals of its currency; of what ends
 * by itself, until when it lasts; of a URL, what is wrong with it.
 */
export function detailOf({
  code,
  exponent,
  until,
  errors = [],
}: Pick<Refusal, 'code' | 'exponent' | 'until' | 'errors'>): string {
  const [, detail] = REFUSALS[code]
  if (until !== undefined) return `${detail} The first ends ${until.toISOString()}.`
  const sentence = code === 'url_refused' ? urlSentence(errors[0]?.code ?? '') : null
  if (sentence !== null) return `${detail} ${sentence}`
  return exponent === undefined ? detail : (OF_AMOUNTS[code]?.(exponent) ?? detail)
}
