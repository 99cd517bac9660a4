import { isStripeTestKey } from '../domain/test-keys.ts'
import type { GatewayOperation, GatewayProfile } from '../domain/gateway-profile.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import type { Clock, Evidence, Gateway } from '../ports.ts'
import { declined, readExchange, unanswered, unasked, urlParts } from './driver.ts'
import { withTrace, type ReadExchange } from './driver.ts'
import { httpClient, type HttpCall, type Reply } from './http-exchange.ts'
import { retryAfterOf, waitAfterLook } from './retry-after.ts'
import {
  cancelCall,
  executeCall,
  lookupCall,
  type StripeCall,
  type StripeAccess,
} from './stripe-call.ts'
import { stripeBack, stripeReversals } from './stripe-back.ts'
import { wordFor } from './stripe-declines.ts'
import { readStripeNotice } from './stripe-notice.ts'
import type { StripeWord } from './stripe-objects.ts'
import { readStripe, stripeChargeKind, stripeLookupKind, type StripeBody } from './stripe-reply.ts'

/** Settings of a gateway that is Stripe. */
export interface StripeOptions {
  readonly url: string
  /** Never logged. */
  readonly secretKey: string
  /** Secrets of the endpoint that gets notices, the old one too while it is changed. */
  readonly noticeSecrets: readonly string[]
  /** How old a notice may be, in milliseconds. */
  readonly noticeAgeMsMax: number
  /** One absolute deadline per call. */
  readonly timeoutMs: number
  readonly connections: number
  readonly profile: GatewayProfile
  readonly clock: Clock
}

/** How long to wait where Stripe says that a repeat is of no use: until its search has found it. */
const SEARCHABLE_MS = 60_000
/** The largest page of a lookup: a hundred refunds. */
const LOOKUP_BYTES_MAX = 1024 * 1024
/** The same of what came back of one: disputes carry their evidence. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024

/**
 * Stripe: payment intents, confirmed at once; refunds; transfers to connected accounts as payouts.
 * Throws only here, for a `url` that is not a URL.
 */
export function stripeGateway(options: StripeOptions): Gateway {
  const { secretKey, clock, noticeSecrets, noticeAgeMsMax } = options
  const { origin, root } = urlParts(options.url)
  const access: StripeAccess = { root, secretKey }
  const live = !isStripeTestKey(secretKey)
  const client = httpClient({ ...options, origin, keepAlive: true })
  const ask = (call: HttpCall, operation: GatewayOperation, signal?: AbortSignal) =>
    asked(client, { ...withTrace(call, operation), bytesMax: LOOKUP_BYTES_MAX }, operation, signal)
  const lookup: Gateway['lookup'] = async (operation, signal) => {
    const wanted = lookupCall(access, operation)
    if (!wanted.ok) return unasked({ kind: 'no_answer', reason: wanted.reason })
    const seen = await ask(wanted.call, operation, signal)
    const outcome = lookupOutcome(seen, clock, live)
    const { word } = seen.body
    // Only of these something can come back that is not told with them.
    const hasBack =
      operation.kind === 'charge' || (word?.kind === 'success' && word.more !== undefined)
    if (operation.watched !== true || !hasBack) return { ...seen.evidence, outcome }
    let waitMs: number | null = null
    const listed = async (call: HttpCall) => {
      const made = { ...withTrace(call, operation), bytesMax: PAGE_BYTES_MAX }
      const exchange = await client.exchange(made, signal)
      waitMs = waitAfterLook(exchange, clock)
      return exchange
    }
    const whole = await withBack(outcome, operation, access, listed)
    const waits = whole.kind === 'no_answer' && waitMs !== null
    return { ...seen.evidence, outcome: waits ? { ...whole, retryAfterMs: waitMs } : whole }
  }
  return {
    profile: options.profile,
    async execute(operation, signal) {
      const wanted: StripeCall = executeCall(access, operation)
      if (!wanted.ok) return unasked({ kind: 'rejected', reason: wanted.reason })
      const seen = await ask(wanted.call, operation, signal)
      return { ...seen.evidence, outcome: chargeOutcome(seen, clock, live) }
    },
    lookup,
    async cancel(operation, signal) {
      const known = await knownBefore(operation, lookup, signal)
      // Only payment intents can be ended: what else goes on ends by itself.
      if (known.ref === null || operation.kind !== 'charge') return known.evidence
      const wanted = cancelCall(access, known.ref)
      const about = { ...operation, gatewayRef: known.ref }
      const seen = await ask(wanted, about, signal)
      return { ...seen.evidence, outcome: lookupOutcome(seen, clock, live) }
    },
    readNotice: (raw) =>
      readStripeNotice(
        raw,
        { secrets: noticeSecrets, ageMsMax: noticeAgeMsMax, live },
        clock.now(),
      ),
    close: () => client.close(),
  }
}

/** The same with what came back of it; where that cannot be told, nothing is. */
async function withBack(
  outcome: LookupOutcome,
  operation: GatewayOperation,
  access: StripeAccess,
  listed: Parameters<typeof stripeBack>[0],
): Promise<LookupOutcome> {
  if (outcome.kind !== 'success' || outcome.gatewayRef === null) return outcome
  const tell = operation.kind === 'charge' ? stripeBack : stripeReversals
  const back = await tell(listed, access, operation, outcome.gatewayRef)
  return typeof back === 'string' ? { kind: 'no_answer', reason: back } : { ...outcome, ...back }
}

/** What is to be ended: its reference, and what is known of it if it goes no further. */
async function knownBefore(
  operation: GatewayOperation,
  lookup: Gateway['lookup'],
  signal?: AbortSignal,
): Promise<{ readonly ref: string | null; readonly evidence: Evidence<LookupOutcome> }> {
  const ref = operation.gatewayRef ?? null
  const evidence = await lookup(operation, signal)
  const { outcome } = evidence
  if (outcome.kind !== 'pending') return { ref: null, evidence }
  return { ref: ref ?? outcome.gatewayRef ?? null, evidence }
}

type Seen = ReadExchange<StripeBody>

const UNREAD: StripeBody = {
  shape: 'empty',
  code: null,
  word: null,
  echoed: false,
  test: false,
}

/** What Stripe says is of its test mode, where the key is of none. */
const TEST_MODE = { kind: 'misconfigured', reason: 'test_mode' } as const

/** Make one call. A connection whose answer does not name us carries no other request. */
async function asked(
  client: ReturnType<typeof httpClient>,
  call: HttpCall,
  operation: GatewayOperation,
  signal?: AbortSignal,
): Promise<Seen> {
  let body = UNREAD
  const exchange = await client.exchange(call, signal, (reply) => {
    body = readStripe(reply.body, operation, headerOf(reply, 'idempotency-key'))
    return body.echoed || body.shape === 'absent' ? 'keep' : 'end'
  })
  return readExchange(exchange, body)
}

function headerOf({ headers }: Reply, name: string): string | null {
  const value = headers[name]
  return typeof value === 'string' ? value : null
}

function chargeOutcome({ exchange, body }: Seen, clock: Clock, live: boolean): ChargeOutcome {
  if (exchange.kind === 'fault') return unanswered(exchange)
  if (live && body.test) return TEST_MODE
  const kind = stripeChargeKind(exchange.status, body.shape)
  const { word } = body
  if (word !== null && word.kind === kind) return chargeWord(word)
  const reason = reasonOf(exchange.status, body)
  const retryAfterMs = retryAfterOf(exchange, clock)
  if (kind === 'rejected' || kind === 'misconfigured' || kind === 'not_executed') {
    // On a connection that carried others, one that names nobody may be meant for another.
    const unproven = body.echoed || !exchange.reused ? {} : ({ unproven: true } as const)
    return { kind, reason, retryAfterMs, ...unproven }
  }
  const useless = headerOf(exchange, 'stripe-should-retry') === 'false'
  const waitMs = retryAfterMs ?? (useless ? SEARCHABLE_MS : null)
  return { kind: 'in_doubt', reason, retryAfterMs: waitMs }
}

/** What an object says, as a charge tells it. */
function chargeWord(word: StripeWord): ChargeOutcome {
  if (word.kind === 'success') return { kind: word.kind, gatewayRef: word.gatewayRef }
  return word.kind === 'declined' ? declinedBy(word.codes) : word
}

function declinedBy(codes: readonly (string | null)[]) {
  return declined(wordFor(...codes), codes.find((one) => one !== null) ?? null)
}

function lookupOutcome({ exchange, body }: Seen, clock: Clock, live: boolean): LookupOutcome {
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  if (live && body.test) return TEST_MODE
  const { word } = body
  // What cannot be ended any more is told with its state.
  if (word !== null && body.shape === 'rejected' && exchange.status === 400) return told(word)
  const kind = stripeLookupKind(exchange.status, body.shape)
  if (word !== null && kind === word.kind) return told(word)
  const reason = reasonOf(exchange.status, body)
  if (kind === 'not_found') {
    const known = body.shape === 'absent' || body.code === 'resource_missing'
    return known ? { kind } : { kind: 'no_answer', reason }
  }
  const asksToWait = waitAfterLook(exchange, clock)
  const wait = asksToWait === null ? {} : { retryAfterMs: asksToWait }
  return { kind: kind === 'misconfigured' ? kind : 'no_answer', reason, ...wait }
}

/** What an object says, as a lookup tells it. */
function told(word: StripeWord): LookupOutcome {
  if (word.kind === 'declined') return declinedBy(word.codes)
  if (word.kind === 'success') {
    const { more: _, ...said } = word
    return said
  }
  return { kind: 'pending', gatewayRef: word.gatewayRef, action: word.action }
}

/** Why it is no word, as a code. */
function reasonOf(status: number, { shape, code }: StripeBody): string {
  if (shape === 'another') return 'reply_mismatch'
  if (status >= 200 && status < 300) return shape === 'json' ? 'unknown_status' : 'unreadable_reply'
  return code !== null && code.length <= 40 ? code : `http_${status}`
}
