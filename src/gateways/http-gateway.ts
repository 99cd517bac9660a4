import assert from 'node:assert'
import { writeJson } from '../domain/exact-json.ts'
import { shortestMoney } from '../domain/money.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { typeOf } from '../domain/payment.ts'
import { chargeKind, confirms, lookupKind, refuses, type Shape } from '../domain/reply-outcome.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import type { Clock, Gateway } from '../ports.ts'
import { readExchange, unanswered, urlParts, withTrace, type ReadExchange } from './driver.ts'
import { httpClient, type HttpCall, type Reply } from './http-exchange.ts'
import { wentBack } from './http-back.ts'
import { retryAfterOf, waitAfterLook } from './retry-after.ts'
import { readHttpNotice } from './http-notice.ts'
import { readBody, type HttpOrder, type ReplyBody } from './http-reply.ts'

/** Settings of the HTTP gateway. */
export interface HttpGatewayOptions {
  readonly url: string
  /** One absolute deadline per call. */
  readonly timeoutMs: number
  /** Calls at a time; those beyond wait within their deadline. */
  readonly connections: number
  readonly profile: GatewayProfile
  /**
   * Whether replies name the payment or its key. `required`: connections are kept, and a word that
   * names nobody is none. `optional`: such words are believed, so each call has a connection of its
   * own, on which no late reply to an earlier one can arrive.
   */
  readonly echo: 'required' | 'optional'
  /** Sent with every call, alternating names and values: credentials, a version. Never logged. */
  readonly headers?: readonly string[]
  /** The currency of which nothing is said; null: every currency is named. */
  readonly untold: string | null
  readonly clock: Clock
}

/**
 * The gateway behind `url`: `POST {url}/pay` and `/refund` with `Idempotency-Key`, and
 * `GET {url}/payments/{key}` and `/refunds/{key}`; `POST {url}/payments/{key}/cancel` ends a
 * deposit that waits for its payer.
 * docs/gateways.md is its contract. Throws only here, for a `url` that is not a URL.
 */
export function httpGateway(options: HttpGatewayOptions): Gateway {
  const { origin, root } = urlParts(options.url)
  const { headers = [], echo, clock, untold } = options
  const client = httpClient({ ...options, origin, keepAlive: echo === 'required' })
  const demanding = echo === 'required'
  return {
    profile: options.profile,
    async execute(operation, signal) {
      const request = orderOf(operation, untold)
      const call = chargeCall(root, request, headers)
      const behind = () => lookupCall(root, request, headers)
      const seen = await ask(client, { call, behind }, request, signal)
      return { ...seen.evidence, outcome: chargeOutcome(seen, request, demanding, clock) }
    },
    async lookup(operation, signal) {
      const request = orderOf(operation, untold)
      const call = lookupCall(root, request, headers)
      const seen = await ask(client, { call, behind: null }, request, signal)
      return { ...seen.evidence, outcome: lookupOutcome(seen, request, demanding, clock) }
    },
    async cancel(operation, signal) {
      const request = orderOf(operation, untold)
      const call = cancelCall(root, request, headers)
      const seen = await ask(client, { call, behind: null }, request, signal)
      return { ...seen.evidence, outcome: lookupOutcome(seen, request, demanding, clock) }
    },
    readNotice: (raw) => readHttpNotice(raw.body),
    close: () => client.close(),
  }
}

/** An operation as the contract says it. */
function orderOf(operation: GatewayOperation, untold: string | null): HttpOrder {
  const { kind, currency } = operation
  // The copy keeps `kind`: to leave a field out costs several times as much.
  return { ...operation, type: typeOf(kind), currency: currency === untold ? null : currency }
}

type Seen = ReadExchange<ReplyBody>

const UNREAD: ReplyBody = {
  shape: 'empty',
  echoed: false,
  code: null,
  gatewayRef: null,
  fields: null,
  action: null,
}

/** A call, and what is asked behind it where only that tells whose refusal came. */
interface Asked {
  readonly call: HttpCall
  readonly behind: (() => HttpCall) | null
}

/**
 * Make one call. A connection over which a reply came that does not name us carries no other
 * request, but for the one that is asked behind it.
 */
async function ask(
  client: ReturnType<typeof httpClient>,
  { call, behind }: Asked,
  request: HttpOrder,
  signal?: AbortSignal,
): Promise<Seen> {
  let body = UNREAD
  const exchange = await client.exchange(withTrace(call, request), signal, (reply) => {
    body = readBody(reply.body, request)
    if (body.echoed) return 'keep'
    const doubtful = behind !== null && reply.reused && !reply.last
    return doubtful && refuses(reply.status, body.shape) ? behind() : 'end'
  })
  return readExchange(exchange, body)
}

/** The JSON is written by hand, because only that keeps money and ids exact from bigint to text. */
function chargeCall(root: string, request: HttpOrder, headers: readonly string[]): HttpCall {
  const { type, paymentId, userId, exponent, currency } = request
  const body =
    `{"payment_id":${paymentId},"user_id":${userId}` +
    `,"amount":${shortestMoney(request.amount, exponent)}` +
    (type === 'refund' ? '' : `,"commission":${shortestMoney(request.commission, exponent)}`) +
    `,"type":"${type}"${parentOf(request)}` +
    (currency === null ? '}' : `,"currency":"${currency}"}`)
  const always = ['content-type', 'application/json', 'idempotency-key', request.key]
  const path = type === 'refund' ? `${root}/refund` : `${root}/pay`
  return { method: 'POST', path, headers: [...always, ...headers], body }
}

/** What a refund says of the deposit that it gives back. */
function parentOf({ type, parent }: HttpOrder): string {
  if (type !== 'refund') return ''
  assert(parent !== undefined, 'a refund has a parent')
  const { paymentId, gatewayRef } = parent
  return `,"parent_id":${paymentId},"parent_ref":${writeJson(gatewayRef)}`
}

function lookupCall(root: string, request: HttpOrder, headers: readonly string[]): HttpCall {
  const kind = request.type === 'refund' ? 'refunds' : 'payments'
  const path = `${root}/${kind}/${encodeURIComponent(request.key)}`
  return { method: 'GET', path, headers: ['accept', 'application/json', ...headers], body: null }
}

/** Asks to end what it looks up. */
function cancelCall(root: string, request: HttpOrder, headers: readonly string[]): HttpCall {
  const looked = lookupCall(root, request, headers)
  return { ...looked, method: 'POST', path: `${looked.path}/cancel` }
}

function chargeOutcome(
  seen: Seen,
  request: HttpOrder,
  demanding: boolean,
  clock: Clock,
): ChargeOutcome {
  const { exchange, body } = seen
  if (exchange.kind === 'fault') return unanswered(exchange)
  const kind = chargeKind(exchange.status, body.shape)
  const reason = reasonOf(exchange.status, body)
  const word = kind === 'success' || kind === 'declined' || kind === 'pending'
  if (demanding && word && !body.echoed) {
    // Whoever answered did not say whom: our gateway does not echo, or this is not our gateway.
    return { kind: 'misconfigured', reason: 'no_echo', unproven: true }
  }
  if (kind === 'success') return { kind, gatewayRef: body.gatewayRef }
  if (kind === 'declined') return { kind, reason: body.code ?? 'declined' }
  const ours = isOurs(exchange, body, request)
  const made = wordless(kind, { reason, retryAfterMs: retryAfterOf(exchange, clock) }, ours)
  const { gatewayRef, action } = body
  return made.kind === 'pending' ? { ...made, gatewayRef, action } : made
}

/** A reply that ends nothing: why, what it asks to wait, and whether it is about our payment. */
function wordless(
  kind: Exclude<ChargeOutcome['kind'], 'success' | 'declined'>,
  { reason, retryAfterMs }: { readonly reason: string; readonly retryAfterMs: number | null },
  ours: boolean,
): ChargeOutcome {
  const wait =
    kind === 'not_executed' || retryAfterMs !== null ? { reason, retryAfterMs } : { reason }
  if (kind === 'in_doubt' || kind === 'pending') return { kind, ...wait }
  return ours ? { kind, ...wait } : { kind, ...wait, unproven: true }
}

/** A refusal that names nobody may be a late reply to whatever its connection carried before. */
function isOurs({ reused, behind }: Reply, body: ReplyBody, request: HttpOrder): boolean {
  if (body.echoed || !reused) return true
  if (behind?.kind !== 'reply') return false
  return confirms(behind.status, readBody(behind.body, request).shape, behind.last)
}

function lookupOutcome(
  seen: Seen,
  order: HttpOrder,
  demanding: boolean,
  clock: Clock,
): LookupOutcome {
  const { exchange, body } = seen
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  const kind = lookupKind(exchange.status, body.shape)
  const named = body.echoed || (kind === 'not_found' ? !exchange.reused : !demanding)
  if (kind === 'misconfigured' || kind === 'no_answer') {
    const retryAfterMs = waitAfterLook(exchange, clock)
    const reason = reasonOf(exchange.status, body)
    return retryAfterMs === null ? { kind, reason } : { kind, reason, retryAfterMs }
  }
  if (kind === 'not_found' && body.code !== 'not_found') {
    return { kind: 'no_answer', reason: body.code ?? 'http_404' }
  }
  if (!named) return { kind: 'no_answer', reason: 'no_echo' }
  return wordOf(kind, body, order)
}

/** What a lookup is told of our charge. */
function wordOf(
  kind: Exclude<LookupOutcome['kind'], 'misconfigured' | 'no_answer'>,
  body: ReplyBody,
  order: Pick<HttpOrder, 'exponent' | 'currency'>,
): LookupOutcome {
  if (kind === 'success') {
    return { kind, gatewayRef: body.gatewayRef, ...wentBack(body.fields ?? {}, order) }
  }
  if (kind === 'declined') return { kind, reason: body.code ?? 'declined' }
  return kind === 'pending' ? { kind, gatewayRef: body.gatewayRef, action: body.action } : { kind }
}

/** Why a 2xx says nothing, by the shape of its body. */
const SAYS_NOTHING: Readonly<Partial<Record<Shape, string>>> = {
  json: 'unknown_status',
  page: 'unreadable_reply',
  empty: 'unreadable_reply',
}

function reasonOf(status: number, { shape, code }: ReplyBody): string {
  if (shape === 'another') return 'reply_mismatch'
  if (status >= 200 && status < 300) return SAYS_NOTHING[shape] ?? shape
  return shape === 'rejected' && code !== null ? code : `http_${status}`
}
