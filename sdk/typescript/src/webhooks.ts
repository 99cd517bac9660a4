import { WebhookInvalid } from './errors.ts'
import type {
  BooksEventData,
  DeadLetterEventData,
  EventType,
  PaymentEventData,
  WebhookEndpointEventData,
} from './events.ts'
import { readJson } from './json.ts'
import { webCrypto } from './runtime.ts'

/** Headers as frameworks hand them over; names in any case. */
export type HeadersLike =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>

/** An event about something; its types are those that begin with its name. */
interface About<Thing extends string, Data> {
  /** The same at every attempt to deliver it. */
  readonly id: string
  readonly type: Extract<EventType, `${Thing}.${string}`>
  readonly timestamp: string
  readonly data: Data
}

/** What an endpoint is sent when somebody tests it. It is about nothing, and in no list. */
export interface WebhookTestEvent {
  readonly id: string
  readonly type: 'webhook_endpoint.test'
  readonly timestamp: string
  readonly data: Pick<WebhookEndpointEventData, 'endpoint_id'>
}

/** What the service tells; its `type` says what `data` is. */
export type WebhookEvent =
  | WebhookTestEvent
  | About<'payment', PaymentEventData>
  | About<'dead_letter', DeadLetterEventData>
  | About<'webhook_endpoint', WebhookEndpointEventData>
  | About<'books', BooksEventData>

/** What an endpoint with the payload `thin` is told: only what it is about. */
export type ThinWebhookEvent =
  | WebhookTestEvent
  | About<'payment', Pick<PaymentEventData, 'payment_id' | 'sequence'>>
  | About<'dead_letter', Pick<DeadLetterEventData, 'id' | 'payment_id'>>
  | About<'webhook_endpoint', Pick<WebhookEndpointEventData, 'endpoint_id'>>
  | About<'books', object>

export interface VerifyOptions {
  /** That of the endpoint; `full` if left out. */
  readonly payload?: 'full' | 'thin'
  /** How old, or how far ahead, the message may be; 300 if left out. */
  readonly toleranceSeconds?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

const TOLERANCE = 300
const SECRET_PREFIX = 'whsec_'
const VERSION = 'v1,'

/**
 * Check that the service sent this, by Standard Webhooks, and read it. `rawBody` is the body as it
 * came: parsed and written again it is another one. Several secrets: any of them will do, so that
 * one can be changed. Throws `WebhookInvalid`, and a `TypeError` where the endpoint is `thin` and
 * the options do not say so.
 */
export function verify(
  rawBody: string | Uint8Array,
  headers: HeadersLike,
  secret: string | readonly string[],
  options: VerifyOptions & { readonly payload: 'thin' },
): Promise<ThinWebhookEvent>
export function verify(
  rawBody: string | Uint8Array,
  headers: HeadersLike,
  secret: string | readonly string[],
  options?: VerifyOptions & { readonly payload?: 'full' },
): Promise<WebhookEvent>
export async function verify(
  rawBody: string | Uint8Array,
  headers: HeadersLike,
  secret: string | readonly string[],
  options: VerifyOptions = {},
): Promise<WebhookEvent | ThinWebhookEvent> {
  const id = header(headers, 'webhook-id')
  const timestamp = header(headers, 'webhook-timestamp')
  const signatures = header(headers, 'webhook-signature')
  checkTime(timestamp, options)
  const body = bytesAsTheyCame(rawBody)
  const signed = join(new TextEncoder().encode(`${id}.${timestamp}.`), body)
  if (!(await isSigned(signed, signatures, [secret].flat()))) {
    throw new WebhookInvalid('signature_wrong')
  }
  const event = readEvent(body)
  if (event === null) throw new WebhookInvalid('unreadable')
  if (options.payload !== 'thin' && isThin(event)) {
    throw new TypeError("The endpoint is thin: verify with { payload: 'thin' }")
  }
  // The service signed it: it is an event, as its schemas say. Its id is in the headers alone.
  return { ...event, id } as WebhookEvent
}

/** The bytes that were signed. A body that was parsed already is not there any more. */
function bytesAsTheyCame(rawBody: unknown): Uint8Array {
  if (typeof rawBody === 'string') return new TextEncoder().encode(rawBody)
  if (rawBody instanceof Uint8Array) return rawBody
  throw new TypeError('rawBody is the body as it came: a string or bytes, and nothing parsed')
}

function readEvent(body: Uint8Array): { readonly type: string; readonly data?: unknown } | null {
  try {
    const event = readJson(new TextDecoder().decode(body)) as { readonly type?: unknown } | null
    return typeof event?.type === 'string' ? (event as { readonly type: string }) : null
  } catch {
    return null
  }
}

/** What an event about each thing says to a full endpoint, and never to a thin one. */
const FULL = new Map([
  ['payment', 'amount'],
  ['dead_letter', 'amount'],
  ['webhook_endpoint', 'reason'],
  ['books', 'rules'],
])

/** Whether it says only what it is about. A test says no more to anybody. */
function isThin({ type, data }: { readonly type: string; readonly data?: unknown }): boolean {
  const name = FULL.get(type.replace(/\..*/, ''))
  if (name === undefined || type === 'webhook_endpoint.test') return false
  return typeof data === 'object' && data !== null && !(name in data)
}

function header(headers: HeadersLike, name: string): string {
  const { get } = headers
  const value =
    typeof get === 'function'
      ? get.call(headers, name)
      : Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1]
  // Some hand every header over as a list.
  const [text, more] = [value].flat()
  if (typeof text !== 'string' || text === '' || more !== undefined) {
    throw new WebhookInvalid('header_missing')
  }
  return text
}

function checkTime(
  timestamp: string,
  { toleranceSeconds = TOLERANCE, now = Date.now }: VerifyOptions,
) {
  const age = now() / 1_000 - Number(timestamp)
  // Said so that a tolerance or a time that is no number lets nothing pass.
  if (!/^\d{1,12}$/.test(timestamp) || !(age <= toleranceSeconds)) {
    throw new WebhookInvalid('too_old')
  }
  if (!(-age <= toleranceSeconds)) throw new WebhookInvalid('too_new')
}

async function isSigned(
  signed: Uint8Array<ArrayBuffer>,
  signatures: string,
  secrets: readonly string[],
): Promise<boolean> {
  if (secrets.length === 0) throw new TypeError('There is no secret to check with')
  const { subtle } = await webCrypto()
  const given = signatures.split(' ').filter((one) => one.startsWith(VERSION))
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  for (const secret of secrets) {
    const bytes = bytesOf(secret.startsWith(SECRET_PREFIX) ? secret.slice(6) : secret)
    if (bytes === null || bytes.length === 0) throw new TypeError('The secret begins with whsec_')
    const key = await subtle.importKey('raw', bytes, algorithm, false, ['verify'])
    for (const one of given) {
      const mac = bytesOf(one.slice(VERSION.length))
      // Takes as long for a wrong one as for a right one.
      if (mac !== null && (await subtle.verify('HMAC', key, mac, signed))) return true
    }
  }
  return false
}

/** What Base64 stands for; null: it is none. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
  } catch {
    return null
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
