import { isUtf8 } from 'node:buffer'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import type { ChargeRequest, Clock, Gateway, GatewayProfile } from '../ports.ts'
import { httpClient, type Exchange, type HttpCall } from './http-exchange.ts'

/** Retry-After is believed between these bounds, in milliseconds. */
const RETRY_AFTER_MS_MIN = 1_000
const RETRY_AFTER_MS_MAX = 300_000

/** 4xx answers that are not a word about the charge: timeout, conflict, too early. */
const UNDECIDED_4XX: ReadonlySet<number> = new Set([408, 409, 425])

/**
 * The gateway behind `url`: `POST {url}/pay` with `Idempotency-Key`, `GET {url}/payments/{key}`.
 * `timeoutMs` is one absolute deadline per call; `connections` bounds how many run at a time, and
 * calls beyond that wait within their deadline. Throws only here, for a `url` that is not a URL.
 */
export function httpGateway(options: {
  readonly url: string
  readonly timeoutMs: number
  readonly connections: number
  readonly profile: GatewayProfile
  readonly clock: Clock
}): Gateway {
  const { origin, pathname } = new URL(options.url)
  const root = pathname.replace(/\/+$/, '')
  const client = httpClient({ ...options, origin })
  return {
    profile: options.profile,
    async charge(request, signal) {
      const exchange = await client.exchange(chargeCall(root, request), signal)
      return evidence(exchange, chargeOutcome(exchange, request, options.clock))
    },
    async lookup(request, signal) {
      const exchange = await client.exchange(lookupCall(root, request), signal)
      return evidence(exchange, lookupOutcome(exchange, request))
    },
    close: () => client.close(),
  }
}

function evidence<Outcome>(exchange: Exchange, outcome: Outcome) {
  return { outcome, sent: exchange.sent, httpStatus: exchange.status }
}

/** The JSON is written by hand, because only that keeps money and ids exact from bigint to text. */
function chargeCall(root: string, request: ChargeRequest): HttpCall {
  const body =
    `{"payment_id":${request.paymentId},"user_id":${request.userId}` +
    `,"amount":${decimal(request.amount)},"commission":${decimal(request.commission)}` +
    `,"type":"${request.type}"}`
  const headers = ['content-type', 'application/json', 'idempotency-key', request.key]
  return { method: 'POST', path: `${root}/pay`, headers, body }
}

function lookupCall(root: string, request: ChargeRequest): HttpCall {
  const path = `${root}/payments/${encodeURIComponent(request.key)}`
  return { method: 'GET', path, headers: ['accept', 'application/json'], body: null }
}

/** The shortest decimal text of minor units: 20050n is 200.5, 20000n is 200, 5n is 0.05. */
function decimal(minor: bigint): string {
  const cents = minor % 100n
  if (cents === 0n) return (minor / 100n).toString()
  const text = `${minor / 100n}.${cents.toString().padStart(2, '0')}`
  return text.endsWith('0') ? text.slice(0, -1) : text
}

function chargeOutcome(exchange: Exchange, request: ChargeRequest, clock: Clock): ChargeOutcome {
  if (exchange.kind === 'fault') {
    if (exchange.sent) return { kind: 'in_doubt', reason: exchange.reason }
    return { kind: 'not_executed', reason: exchange.reason, retryAfterMs: null }
  }
  const { status } = exchange
  const reason = `http_${status}`
  if (status === 429) {
    const retryAfterMs = parseRetryAfter(exchange.retryAfter, clock)
    return { kind: 'not_executed', reason, retryAfterMs }
  }
  if (!isWord(status)) return { kind: 'in_doubt', reason }

  const reply = readReply(exchange.body, request)
  if (reply.kind === 'mismatch') return { kind: 'in_doubt', reason: 'reply_mismatch' }
  if (status >= 400) {
    const code = reply.kind === 'word' ? codeOf(reply.fields) : null
    return { kind: 'declined', reason: code ?? reason }
  }
  if (reply.kind === 'unreadable') return { kind: 'in_doubt', reason: 'unreadable_reply' }
  return settled(reply.fields) ?? { kind: 'in_doubt', reason: unsettledReason(reply.fields) }
}

function lookupOutcome(exchange: Exchange, request: ChargeRequest): LookupOutcome {
  if (exchange.kind === 'fault') return { kind: 'no_answer', reason: exchange.reason }
  const { status } = exchange
  if (status !== 404 && (status < 200 || status >= 300)) {
    return { kind: 'no_answer', reason: `http_${status}` }
  }
  const reply = readReply(exchange.body, request)
  if (reply.kind === 'mismatch') return { kind: 'no_answer', reason: 'reply_mismatch' }
  if (status === 404) return { kind: 'not_found' }
  if (reply.kind === 'unreadable') return { kind: 'no_answer', reason: 'unreadable_reply' }
  if (reply.fields.status === 'pending') return { kind: 'pending' }
  return settled(reply.fields) ?? { kind: 'no_answer', reason: unsettledReason(reply.fields) }
}

/** Whether a reply with this status is the gateway's word about the charge. */
function isWord(status: number): boolean {
  if (status >= 200 && status < 300) return true
  return status >= 400 && status < 500 && !UNDECIDED_4XX.has(status)
}

/** What a reply body says: `mismatch` when it is about another payment, amount or key than ours. */
type Reply =
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'word'; readonly fields: Fields }

type Fields = Readonly<Record<string, unknown>>

/** Final words only; null for anything else, which includes words that are nearly right. */
function settled(fields: Fields): Extract<ChargeOutcome, { kind: 'success' | 'declined' }> | null {
  // The original gateway says `ok`.
  if (fields.status === 'success' || fields.status === 'ok') {
    return { kind: 'success', gatewayRef: gatewayRefOf(fields) }
  }
  if (fields.status === 'failed' || fields.status === 'declined') {
    return { kind: 'declined', reason: codeOf(fields) ?? 'declined' }
  }
  return null
}

function unsettledReason(fields: Fields): string {
  return fields.status === 'pending' ? 'pending' : 'unknown_status'
}

/** A definite answer must be one JSON object, with no key twice, and about the payment we sent. */
function readReply(body: Buffer, request: ChargeRequest): Reply {
  if (!isUtf8(body)) return { kind: 'unreadable' }
  const text = body.toString()
  const fields = parseObject(text)
  if (fields === null || hasKeyTwice(text, fields)) return { kind: 'unreadable' }
  return echoes(fields, request) ? { kind: 'word', fields } : { kind: 'mismatch' }
}

function parseObject(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
    return value as Fields // An object that is no array has string keys.
  } catch {
    return null
  }
}

/**
 * JSON.parse keeps the last of equal keys, other readers the first: such a reply has two meanings.
 * `text` is valid JSON, so every colon at depth 1 outside a string stands for one key.
 */
function hasKeyTwice(text: string, fields: Fields): boolean {
  let colons = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') at = stringEnd(text, at)
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
    else if (char === ':' && depth === 1) colons++
  }
  return colons !== Object.keys(fields).length
}

/** The index of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

/** A field that is left out, or null, echoes nothing. */
function echoes(fields: Fields, request: ChargeRequest): boolean {
  const { payment_id: id, amount, idempotency_key: key } = fields
  if (id !== undefined && id !== null && idText(id) !== `${request.paymentId}`) return false
  if (key !== undefined && key !== null && key !== request.key) return false
  return amount === undefined || amount === null || minorUnits(amount) === request.amount
}

function idText(value: unknown): string | null {
  return typeof value === 'number' || typeof value === 'string' ? String(value) : null
}

/** Read through the shortest decimal text, so that no arithmetic is done on floats. */
function minorUnits(value: unknown): bigint | null {
  const match = /^(\d{1,30})(?:\.(\d{1,2}))?$/.exec(idText(value) ?? '')
  if (match === null) return null
  const [, whole = '', fraction = ''] = match
  return BigInt(whole) * 100n + BigInt(fraction.padEnd(2, '0'))
}

/** Printable ASCII only: PostgreSQL refuses NUL in a text, and logs are read on terminals. */
function gatewayRefOf(fields: Fields): string | null {
  const ref = fields.gateway_ref ?? fields.id
  return typeof ref === 'string' && /^[\x20-\x7e]{1,200}$/.test(ref) ? ref : null
}

/** The gateway's own code, if it is one that can be stored, shown and counted. */
function codeOf({ code }: Fields): string | null {
  return typeof code === 'string' && /^[a-z0-9_]{1,40}$/.test(code) ? code : null
}

/** Milliseconds to wait, clamped; null for a header that is neither seconds nor an HTTP-date. */
function parseRetryAfter(header: string | null, clock: Clock): number | null {
  if (header === null) return null
  if (/^\d{1,15}$/.test(header)) return clamp(Number(header) * 1_000)
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(header)) return null
  const timeMs = Date.parse(header)
  return Number.isNaN(timeMs) ? null : clamp(timeMs - clock.now().getTime())
}

function clamp(ms: number): number {
  return Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, ms))
}
