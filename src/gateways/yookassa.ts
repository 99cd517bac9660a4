import { isYookassaTestKey } from '../domain/test-keys.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import type { Clock, Evidence, Gateway } from '../ports.ts'
import { declined, readExchange, unanswered, unasked, urlParts } from './driver.ts'
import { withTrace, type ReadExchange } from './driver.ts'
import { httpClient, type Exchange, type HttpCall } from './http-exchange.ts'
import { clamp, retryAfterOf, waitAfterLook } from './retry-after.ts'
import { findListed, refundedThere } from './yookassa-list.ts'
import { isTrusted, readYookassaNotice } from './yookassa-notice.ts'
import {
  readYookassa,
  refOf,
  yookassaCharge,
  yookassaDecline,
  yookassaLookup,
  type YookassaBody,
} from './yookassa-reply.ts'
import { createRequest, headersOf, PATHS, type Shop } from './yookassa-request.ts'

/** Settings of a YooKassa gateway. */
export interface YookassaOptions {
  readonly url: string
  /** One absolute deadline per call, however many requests a lookup takes. */
  readonly timeoutMs: number
  readonly connections: number
  readonly profile: GatewayProfile
  /** Payments and refunds. */
  readonly shop: Shop
  /** Payouts have credentials of their own; null: there are none. */
  readonly payoutShop: Shop | null
  /** Where a payer comes back to whose payment names no page; null: it has to name one. */
  readonly returnUrl: string | null
  readonly clock: Clock
}

/** What an operation is asked with. */
interface Asking {
  readonly root: string
  readonly headers: readonly string[]
  /** The shop says that it is no test shop. */
  readonly live: boolean
  readonly clock: Clock
}

/**
 * The gateway YooKassa: payments with a page for the payer, refunds, and payouts.
 *
 * Each request has a connection of its own: YooKassa's errors name no object, and on such a
 * connection nothing can arrive that was meant for another. Throws only here, for a bad `url`.
 */
export function yookassaGateway(options: YookassaOptions): Gateway {
  const { origin, root } = urlParts(options.url)
  const { clock, profile, returnUrl, timeoutMs, connections } = options
  const client = httpClient({ origin, timeoutMs, connections, keepAlive: false })
  const askingFor = ({ kind }: GatewayOperation): Asking | null => {
    const shop = kind === 'payout' ? options.payoutShop : options.shop
    if (shop === null) return null
    return { root, clock, headers: headersOf(shop), live: !isYookassaTestKey(shop.secretKey) }
  }
  const ask = async (call: HttpCall, operation: GatewayOperation, signal?: AbortSignal) => {
    const exchange = await client.exchange(withTrace(call, operation), signal)
    const body = readYookassa(exchange.kind === 'reply' ? exchange.body : NO_BYTES, operation)
    return readExchange(exchange, body)
  }
  const lookup: Gateway['lookup'] = async (operation, signal) => {
    const asking = askingFor(operation)
    if (asking === null) return unasked({ kind: 'misconfigured', reason: NO_PAYOUTS })
    const { headers } = asking
    const listing = { client, root, headers, clock, timeoutMs }
    const ref = refOf(operation.gatewayRef)
    const untilMs = clock.elapsedMs() + timeoutMs
    if (ref === null) {
      const { body, outcome, ...seen } = await findListed(listing, operation, signal)
      return { ...seen, outcome: body === null ? outcome : told(body, asking) }
    }
    const path = `${root}${PATHS[operation.kind]}/${ref}`
    const call: HttpCall = { method: 'GET', path, headers: [...headers], body: null }
    const seen = lookedUp(await ask(call, operation, signal), asking, ref)
    if (operation.watched !== true || operation.kind !== 'charge') return seen
    if (seen.outcome.kind !== 'success') return seen
    const back = await refundedThere(listing, operation, ref, { untilMs, signal })
    return typeof back === 'string'
      ? { ...seen, outcome: { kind: 'no_answer', reason: back, ...waitOfPage(back) } }
      : { ...seen, outcome: { ...seen.outcome, ...back } }
  }
  return {
    profile,
    async execute(operation, signal) {
      const asking = askingFor(operation)
      if (asking === null) return unasked({ kind: 'misconfigured', reason: NO_PAYOUTS })
      const request = createRequest(operation, returnUrl)
      if (!request.ok) return unasked({ kind: 'rejected', reason: request.reason })
      const headers = [...asking.headers, 'idempotence-key', operation.key]
      const path = root + request.path
      const call: HttpCall = { method: 'POST', path, headers, body: request.body }
      const seen = await ask(call, operation, signal)
      return { ...seen.evidence, outcome: chargeOutcome(seen, asking) }
    },
    lookup,
    async cancel(operation, signal) {
      const asking = askingFor(operation)
      const ref = refOf(operation.gatewayRef)
      // Only payments can be canceled, and only by their id; of all others it asks what they are.
      if (asking === null || ref === null || operation.kind !== 'charge') {
        return lookup(operation, signal)
      }
      const headers = [...asking.headers, 'idempotence-key', `cancel-${operation.key}`]
      const path = `${root}${PATHS.charge}/${ref}/cancel`
      const call: HttpCall = { method: 'POST', path, headers, body: null }
      const seen = lookedUp(await ask(call, operation, signal), asking, ref)
      const { kind } = seen.outcome
      const isWord = kind === 'success' || kind === 'declined' || kind === 'pending'
      // One that waits for its payer cannot be canceled: it ends by itself.
      return isWord ? seen : lookup(operation, signal)
    },
    sendsFrom: isTrusted,
    readNotice: readYookassaNotice,
    close: () => client.close(),
  }
}

const NO_PAYOUTS = 'payouts_not_configured'

const NO_BYTES = Buffer.alloc(0)

type Seen = ReadExchange<YookassaBody>

function chargeOutcome({ exchange, body }: Seen, { live, clock }: Asking): ChargeOutcome {
  if (exchange.kind === 'fault') return unanswered(exchange)
  const kind = yookassaCharge(exchange.status, body.shape)
  if (live && body.test) return { kind: 'misconfigured', reason: TEST_SHOP }
  if (kind === 'success') return { kind, gatewayRef: body.ref }
  if (kind === 'declined') return declinedBy(body)
  if (kind === 'pending') return { kind, reason: 'pending', ...underway(body) }
  const retryAfterMs = waitOf(exchange, body, clock)
  const reason = reasonOf(exchange.status, body)
  return retryAfterMs === null ? { kind, reason } : { kind, reason, retryAfterMs }
}

/** An object of a test shop, where the key is none of one. */
const TEST_SHOP = 'test_shop'

function lookedUp(seen: Seen, asking: Asking, ref: string): Evidence<LookupOutcome> {
  return { ...seen.evidence, outcome: lookupOutcome(seen, asking, ref) }
}

function lookupOutcome({ exchange, body }: Seen, asking: Asking, ref: string): LookupOutcome {
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  const kind = yookassaLookup(exchange.status, body.shape)
  if (kind === 'not_found') return { kind }
  if (kind === 'misconfigured' || kind === 'no_answer') {
    const retryAfterMs =
      waitOf(exchange, body, asking.clock) ?? waitAfterLook(exchange, asking.clock)
    const reason = reasonOf(exchange.status, body)
    const wait = retryAfterMs === null ? {} : { retryAfterMs }
    return { kind, reason, ...wait }
  }
  if (body.ref !== ref) return { kind: 'no_answer', reason: 'reply_mismatch' }
  return told(body, asking)
}

/** What our object tells of its operation. */
function told(body: YookassaBody, { live }: Pick<Asking, 'live'>): LookupOutcome {
  if (live && body.test) return { kind: 'misconfigured', reason: TEST_SHOP }
  if (body.shape === 'canceled') return declinedBy(body)
  if (body.shape === 'pending') return { kind: 'pending', ...underway(body) }
  const { ref, refunded } = body
  return { kind: 'success', gatewayRef: ref, ...(refunded === null ? {} : { refunded }) }
}

function declinedBy({ code }: YookassaBody) {
  return declined(yookassaDecline(code), code)
}

function underway({ ref, action }: YookassaBody) {
  return { gatewayRef: ref, action }
}

/** How soon a page may be asked for again that was one request too many. */
function waitOfPage(reason: string): { readonly retryAfterMs?: number } {
  return reason === 'http_429' ? { retryAfterMs: clamp(0) } : {}
}

/** Retry-After, or what the body of a 202 asks for. */
function waitOf(exchange: Exchange, { waitMs }: YookassaBody, clock: Clock): number | null {
  return retryAfterOf(exchange, clock) ?? (waitMs === null ? null : clamp(waitMs))
}

function reasonOf(status: number, { shape, code }: YookassaBody): string {
  if (shape === 'another') return 'reply_mismatch'
  if (shape === 'key_used') return shape
  if (status === 202) return 'processing'
  if (status >= 200 && status < 300) return shape === 'json' ? 'unknown_status' : 'unreadable_reply'
  return status >= 400 && status < 500 && code !== null ? code : `http_${status}`
}
