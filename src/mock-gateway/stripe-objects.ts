/** What is kept of a payment intent. */
export interface Intent {
  readonly id: string
  readonly number: number
  readonly amount: number
  readonly currency: string
  readonly metadata: Readonly<Record<string, string>>
  readonly method: string | null
  readonly customer: string | null
  readonly returnUrl: string | null
  readonly createdMs: number
  readonly state: IntentState
}

export type IntentState =
  | { readonly status: 'requires_payment_method'; readonly failure: CardFailure | null }
  | { readonly status: 'requires_confirmation' | 'requires_action' | 'succeeded' }
  /** It succeeds at this time. */
  | { readonly status: 'processing'; readonly doneMs: number }
  | { readonly status: 'canceled'; readonly why: string | null; readonly atMs: number }

/** Why a card was declined. */
export interface CardFailure {
  readonly code: string
  readonly declineCode: string | null
}

/** What is kept of a refund. */
export interface Refund {
  readonly id: string
  readonly number: number
  readonly amount: number
  readonly currency: string
  readonly metadata: Readonly<Record<string, string>>
  readonly intent: string
  readonly createdMs: number
  readonly state:
    | { readonly status: 'succeeded' | 'canceled' }
    | { readonly status: 'pending'; readonly doneMs: number }
    | { readonly status: 'failed'; readonly why: string }
}

/** What is kept of a transfer. */
export interface Transfer {
  readonly id: string
  readonly number: number
  readonly amount: number
  readonly currency: string
  readonly metadata: Readonly<Record<string, string>>
  readonly destination: string
  readonly group: string | null
  readonly createdMs: number
  readonly reversals: readonly Reversal[]
}

interface Reversal {
  readonly id: string
  readonly amount: number
  readonly createdMs: number
}

/** A payer who wants money back by way of the bank. */
export interface Dispute {
  readonly id: string
  readonly intent: string
  readonly amount: number
  readonly currency: string
  readonly createdMs: number
  readonly status: 'needs_response' | 'won' | 'lost'
  /** When its money came back; null: it did not. */
  readonly wonMs: number | null
}

/** An answer before it goes out. */
export interface Answer {
  readonly status: number
  readonly body: object
}

/** Another word than an object: why a request was not carried out. */
export function failure(
  status: number,
  error: {
    readonly type: 'invalid_request_error' | 'card_error' | 'api_error' | 'idempotency_error'
    readonly message: string
    readonly code?: string
    readonly param?: string
    readonly decline_code?: string
    readonly payment_intent?: object
  },
): Answer {
  return { status, body: { error } }
}

/** A request that cannot be carried out, by its field. */
export function invalid(message: string, param: string, code?: string): Answer {
  const named = code === undefined ? {} : { code }
  return failure(400, { type: 'invalid_request_error', message, param, ...named })
}

/** An object that is not there. */
export function missing(what: string, id: string, param = 'intent'): Answer {
  const message = `No such ${what}: '${id}'`
  return failure(404, { type: 'invalid_request_error', code: 'resource_missing', message, param })
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000)
}

/** `refunded`: the charge is told as well, with what was refunded of it; null: only its id. */
export function intentBody(intent: Intent, refunded: number | null = null): object {
  const { state, id } = intent
  const succeeded = state.status === 'succeeded'
  const failed = state.status === 'requires_payment_method' ? state.failure : null
  const canceled = state.status === 'canceled' ? state : null
  return {
    id,
    object: 'payment_intent',
    amount: intent.amount,
    amount_capturable: 0,
    amount_received: succeeded ? intent.amount : 0,
    canceled_at: canceled === null ? null : seconds(canceled.atMs),
    cancellation_reason: canceled?.why ?? null,
    capture_method: 'automatic_async',
    client_secret: `${id}_secret_mock`,
    confirmation_method: 'automatic',
    created: seconds(intent.createdMs),
    currency: intent.currency,
    customer: intent.customer,
    last_payment_error: failed === null ? null : cardError(failed),
    latest_charge: succeeded || failed !== null ? chargeOf(intent, refunded) : null,
    livemode: false,
    metadata: intent.metadata,
    next_action: state.status === 'requires_action' ? redirectOf(intent) : null,
    payment_method: intent.method,
    status: state.status,
  }
}

/** The charge of an intent, or its id alone. */
function chargeOf({ id, amount, currency, createdMs, state }: Intent, refunded: number | null) {
  const charge = id.replace('pi_', 'ch_')
  if (refunded === null) return charge
  const paid = state.status === 'succeeded'
  return {
    id: charge,
    object: 'charge',
    amount,
    amount_captured: paid ? amount : 0,
    amount_refunded: refunded,
    captured: paid,
    created: seconds(createdMs),
    currency,
    livemode: false,
    paid,
    payment_intent: id,
    refunded: refunded === amount,
    status: paid ? 'succeeded' : 'failed',
  }
}

function redirectOf({ id, returnUrl }: Intent): object {
  const url = `https://pay.example/authenticate/${id}`
  return { type: 'redirect_to_url', redirect_to_url: { url, return_url: returnUrl } }
}

/** What is said of a declined card. */
export function cardError({ code, declineCode }: CardFailure) {
  return {
    type: 'card_error',
    code,
    ...(declineCode === null ? {} : { decline_code: declineCode }),
    message: 'Your card was declined.',
  } as const
}

export function refundBody({ id, amount, currency, metadata, ...refund }: Refund): object {
  return {
    id,
    object: 'refund',
    amount,
    charge: refund.intent.replace('pi_', 'ch_'),
    created: seconds(refund.createdMs),
    currency,
    ...(refund.state.status === 'failed' ? { failure_reason: refund.state.why } : {}),
    metadata,
    payment_intent: refund.intent,
    status: refund.state.status,
  }
}

export function disputeBody({ id, intent, amount, currency, ...dispute }: Dispute): object {
  return {
    id,
    object: 'dispute',
    amount,
    balance_transactions: movesOf({ id, amount, currency }, dispute),
    charge: intent.replace('pi_', 'ch_'),
    created: seconds(dispute.createdMs),
    currency,
    livemode: false,
    metadata: {},
    payment_intent: intent,
    reason: 'general',
    status: dispute.status,
  }
}

/** What a dispute moved of the balance: its money was taken, and given back where it was won. */
function movesOf(
  { id, amount, currency }: Pick<Dispute, 'id' | 'amount' | 'currency'>,
  { createdMs, wonMs }: Pick<Dispute, 'createdMs' | 'wonMs'>,
): readonly object[] {
  const move = (sum: number, ms: number) => ({
    id: `${id.replace('dp_', 'txn_')}${sum < 0 ? '' : '_won'}`,
    object: 'balance_transaction',
    amount: sum,
    created: seconds(ms),
    currency,
    source: id,
    type: 'adjustment',
  })
  return [move(-amount, createdMs), ...(wonMs === null ? [] : [move(amount, wonMs)])]
}

/** So many of its reversals, the newest, come with a transfer. */
const TOLD_REVERSALS = 10

/** A reversal of a transfer. */
export function reversalBody(
  made: Reversal,
  { id, currency }: Pick<Transfer, 'id' | 'currency'>,
): object {
  const { amount, createdMs } = made
  const object = 'transfer_reversal'
  return { id: made.id, object, amount, created: seconds(createdMs), currency, transfer: id }
}

export function transferBody({ id, amount, currency, metadata, ...transfer }: Transfer): object {
  const reversed = transfer.reversals.reduce((sum, made) => sum + made.amount, 0)
  const reversals = transfer.reversals
    .toReversed()
    .map((made) => reversalBody(made, { id, currency }))
  return {
    id,
    object: 'transfer',
    amount,
    amount_reversed: reversed,
    created: seconds(transfer.createdMs),
    currency,
    destination: transfer.destination,
    livemode: false,
    metadata,
    reversals: listBody(
      reversals.slice(0, TOLD_REVERSALS),
      reversals.length > TOLD_REVERSALS,
      `/v1/transfers/${id}/reversals`,
    ),
    reversed: reversed === amount,
    transfer_group: transfer.group,
  }
}

export function listBody(data: readonly object[], more: boolean, url: string): object {
  return { object: 'list', data, has_more: more, url }
}
