import { NoAnswer, OutcomeUnknown } from './errors.ts'
import { readJson } from './json.ts'
import type { KeyStore } from './keys.ts'
import { queryOf } from './paths.ts'
import {
  finalOf,
  isWord,
  isWorthIt,
  mayBeDone,
  pauseAfter,
  problemOf,
  type Pause,
  type Reply,
  type Try,
} from './retry.ts'

/** How the service is reached. */
export interface Options {
  /** Where it is: `https://payments.example`. */
  readonly url: string
  /** `pay_…`; not needed where the service asks for none. */
  readonly apiKey?: string
  /** Where keys of intents are kept. */
  readonly keys?: KeyStore
  /** How often a request is sent at most; 6 if left out. */
  readonly attemptsMax?: number
  /** How long one try may take, reading the answer included; 10,000 ms if left out. */
  readonly attemptMsMax?: number
  readonly fetch?: typeof fetch
  /** Milliseconds that only go forward, from whenever. */
  readonly now?: () => number
  /** Where chance comes from, from 0 to 1. */
  readonly random?: () => number
  /** How a pause is made; it may end early when the signal does. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** What one call wants. */
interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below `/api/v1`. */
  readonly path: string
  readonly query?: object | undefined
  /** Made once, and the same for every try. */
  readonly body?: string
  readonly key?: string
  /** The key may have been sent before this call. */
  readonly old?: boolean
  /** Nothing that was sent under the key before this call is under way any more. */
  readonly quiet?: boolean
  readonly actor?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** How long the service itself may take before it answers, on top. */
  readonly waitMs?: number
  /** Whether a body is what was asked for; not there: anything is. */
  readonly is?: Shape | undefined
}

/** Whether a body is what was asked for; null: nothing is, and any is a page of somebody else. */
export type Shape = ((body: Readonly<Record<string, unknown>>) => boolean) | null

const ATTEMPTS_MAX = 6
const ATTEMPT_MS_MAX = 10_000
/** The longest that timers of all runtimes can count: a longer one would end at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1

/** Codes of errors before a byte was sent. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/** Options that nothing could be sent with, or that would be sent for ever, are a mistake. */
export function checkOptions({ url, apiKey, attemptsMax = 1, attemptMsMax = 1 }: Options): void {
  const { protocol, username, password } = new URL(url)
  // An empty query or fragment would end the path as well.
  if (!/^https?:$/.test(protocol) || username + password !== '' || /[?#]/.test(url)) {
    throw new TypeError('The url is the address of the service, by http or https, and no more')
  }
  // Nothing of it is told: whoever mistypes one often has a good one in it.
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new TypeError('The apiKey is one line of visible ASCII characters, and nothing around it')
  }
  if (!Number.isInteger(attemptsMax) || attemptsMax < 1 || !(attemptMsMax > 0)) {
    throw new TypeError('attemptsMax is at least 1, and attemptMsMax more than 0')
  }
}

/**
 * Send a request until there is an answer, under one key and with one body.
 *
 * Throws `OutcomeUnknown` if a try may have been carried out and no later one could tell, and
 * `NoAnswer` if there was never an answer and nothing can have been carried out twice. Throws the
 * reason of the signal where that ends it before anything may have been carried out.
 */
export async function send(options: Options, request: Request): Promise<Reply> {
  const { attemptsMax = ATTEMPTS_MAX } = options
  const { signal, old = false } = request
  const headers = checkedHeaders(options, request)
  let lost = false
  for (let attempt = 1; ; attempt += 1) {
    const one = await trySend(options, request, headers)
    const final = finalOf(one)
    if (final !== null && isWord(final, request, lost)) return final
    lost ||= mayBeDone(one)
    const last = final !== null || attempt >= attemptsMax || !isWorthIt(one, signal)
    if (!last) await pause(options, request, pauseAfter(attempt, one.retryAfter ?? 0))
    if (last || signal?.aborted === true) return givenUp(request, one, old || lost)
  }
}

/** Full jitter, on top of what the service asks for. */
function pause(
  { random = Math.random, sleep = sleepMs }: Options,
  { signal }: Request,
  { askedMs, longestMs }: Pause,
): Promise<void> {
  return sleep(askedMs + random() * longestMs, signal)
}

/** What no request is made of is a mistake of the caller's, or its wish, and no lost answer. */
function checkedHeaders(options: Options, request: Request): Headers {
  if (/[^\x20-\xff]/.test(request.actor ?? '')) {
    throw new TypeError('The actor is one line of Latin characters (ISO 8859-1)')
  }
  const headers = new Headers(headersOf(options, request))
  request.signal?.throwIfAborted()
  return headers
}

function givenUp({ key, method, signal }: Request, { reply, cause }: Try, doubt: boolean): Reply {
  if (doubt && key !== undefined) throw new OutcomeUnknown(key, problemOf(reply), cause)
  signal?.throwIfAborted()
  // Of a change without a key nobody may read "refused" where it may be done.
  const isLost = reply === null || (doubt && method !== 'GET')
  if (isLost) throw new NoAnswer(cause ?? problemOf(reply))
  return reply
}

function codeOf(cause: unknown): string {
  const below = (cause as { cause?: { code?: unknown } } | null)?.cause?.code
  return typeof below === 'string' ? below : ''
}

/** Ends early when nobody waits any more. */
export function sleepMs(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(end, ms)
    function end(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      done()
    }
    signal?.addEventListener('abort', end)
  })
}

async function trySend(options: Options, request: Request, headers: Headers): Promise<Try> {
  const { signal, waitMs = 0 } = request
  const controller = new AbortController()
  const { signal: over } = controller
  const ended = new Promise<never>((_, reject) => {
    over.addEventListener('abort', () => reject(over.reason))
  })
  const stop = () => controller.abort(signal?.reason)
  const late = () => controller.abort(new Error('the service took too long'))
  const longest = (options.attemptMsMax ?? ATTEMPT_MS_MAX) + waitMs
  const timer = setTimeout(late, Math.min(longest, TIMER_MS_MAX))
  signal?.addEventListener('abort', stop)
  try {
    // A transport may not listen to its signal: then nobody waits for it.
    return await Promise.race([ask(options, request, headers, over), ended])
  } catch (cause) {
    // Whoever ends it may give any reason, which says nothing of what was sent.
    const sent = over.aborted || !UNSENT.has(codeOf(cause))
    return { reply: null, cause, sent, retryAfter: null }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

async function ask(
  options: Options,
  { method, path, query = {}, body, is }: Request,
  headers: Headers,
  signal: AbortSignal,
): Promise<Try> {
  const answer = await (options.fetch ?? fetch)(`${options.url}/api/v1${path}${queryOf(query)}`, {
    method,
    headers,
    // A key must not follow a redirect to somebody else.
    redirect: 'manual',
    signal,
    ...(body === undefined ? {} : { body }),
  })
  return read(answer, await answer.text(), is)
}

function headersOf({ apiKey }: Options, { body, key, actor }: Request): Record<string, string> {
  return {
    accept: 'application/json',
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
    ...(actor === undefined ? {} : { 'x-actor': actor }),
  }
}

/** The answer, if the service made it: what a proxy says on its own is no word about a payment. */
function read({ status, headers }: Response, text: string, is: Request['is']): Try {
  const retryAfter = secondsOf(headers.get('retry-after') ?? '', headers.get('date') ?? '')
  const replayed = headers.get('idempotent-replayed') === 'true'
  const body = status === 204 ? null : readAnything(text)
  const ours = status < 300 ? isSuccess(status, body, is) : isProblem(status, body)
  if (ours) return { reply: { status, body, replayed }, cause: null, sent: true, retryAfter }
  const cause = new Error(`not an answer of the service: ${status}`)
  return { reply: null, cause, sent: true, retryAfter }
}

function readAnything(text: string): unknown {
  try {
    return readJson(text)
  } catch {
    return undefined
  }
}

/** What names what was done, where it should; a page that says yes to everything does not. */
function isSuccess(status: number, body: unknown, is: Request['is']): boolean {
  if (status === 204) return is === undefined || is === null
  if (typeof body !== 'object' || body === null || is === null) return false
  return is === undefined || is(body as Readonly<Record<string, unknown>>)
}

/** What every refusal of the service has, and hardly any page of a proxy. */
function isProblem(status: number, body: unknown): boolean {
  const texts = ['code', 'detail', 'instance'].map((name) => memberOf(body, name))
  const is = status >= 400 && memberOf(body, 'status') === status
  return is && texts.every((text) => typeof text === 'string')
}

function memberOf(body: unknown, name: string): unknown {
  return (body as Readonly<Record<string, unknown>> | null | undefined)?.[name]
}

/** Retry-After in seconds. A time counts from the one of the answer: clocks differ. */
function secondsOf(said: string, date: string): number | null {
  if (/^\d+$/.test(said)) return Number(said)
  const ms = Date.parse(said) - Date.parse(date)
  return ms > 0 ? Math.ceil(ms / 1_000) : null
}
