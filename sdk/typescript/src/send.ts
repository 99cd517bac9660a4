import { NoAnswer, OutcomeUnknown } from './errors.ts'
import { readJson } from './json.ts'
import type { KeyStore } from './keys.ts'
import type { Problem } from './problems.ts'

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
  /** Where chance comes from, from 0 to 1. */
  readonly random?: () => number
  /** How a pause is made; it may end early when the signal does. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** What one call wants. */
interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below `/api/v1`, with its query. */
  readonly path: string
  /** Made once, and the same for every try. */
  readonly body?: string
  readonly key?: string
  /** The key may have been sent before this call. */
  readonly old?: boolean
  readonly actor?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** How long the service itself may take before it answers, on top. */
  readonly waitMs?: number
}

/** What the service answered. */
export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly replayed: boolean
}

interface Try {
  /** Null: no answer of the service came, for this reason. */
  readonly reply: Reply | null
  readonly cause: unknown
  /** Seconds; null: it does not say. */
  readonly retryAfter: number | null
}

const ATTEMPTS_MAX = 6
const ATTEMPT_MS_MAX = 10_000
const PAUSE = { firstMs: 250, msMax: 8_000 }
/** A longer pause is the caller's to make. */
const RETRY_AFTER_MAX = 60

/** Codes of errors before a byte was sent. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'])

/**
 * Send a request until there is an answer, under one key and with one body.
 *
 * Throws `OutcomeUnknown` if a try may have been carried out and no later one could tell, and
 * `NoAnswer` if there was never an answer and nothing can have been carried out twice.
 */
export async function send(options: Options, request: Request): Promise<Reply> {
  const { attemptsMax = ATTEMPTS_MAX } = options
  let doubt = request.old === true
  request.signal?.throwIfAborted()
  for (let attempt = 1; ; attempt += 1) {
    const one = await trySend(options, request)
    const final = one.reply !== null && !isTransient(one.reply)
    if (final && !(doubt && isBeforeKeys(one.reply))) return one.reply
    doubt ||= mayBeDone(one)
    if (final || attempt >= attemptsMax || !isWorthIt(one, request)) {
      return givenUp(request, one, doubt)
    }
    await pause(options, request, attempt, one.retryAfter ?? 0)
  }
}

/** The caller still wants to know, and the service does not ask for a very long pause. */
function isWorthIt({ retryAfter }: Try, { signal }: Request): boolean {
  return signal?.aborted !== true && (retryAfter ?? 0) <= RETRY_AFTER_MAX
}

function givenUp({ key }: Request, { reply, cause }: Try, doubt: boolean): Reply {
  if (doubt && key !== undefined) throw new OutcomeUnknown(key, problemOf(reply), cause)
  if (reply === null) throw new NoAnswer(cause)
  return reply
}

/** Answers that another try may change: nothing has been said about the request itself. */
function isTransient({ status }: Reply): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Refused before the key was looked up: that says nothing about an earlier try. */
function isBeforeKeys({ status }: Reply): boolean {
  return status === 401 || status === 403
}

/** Whether the service may have done what was asked without our knowing. */
function mayBeDone({ reply, cause }: Try): boolean {
  if (reply === null) return !UNSENT.has(codeOf(cause))
  if (reply.status < 500) return false
  // 503 says that nothing was done, but for this one.
  return reply.status !== 503 || problemOf(reply)?.code === 'outcome_unknown'
}

function codeOf(cause: unknown): string {
  const below = (cause as { cause?: { code?: unknown } } | null)?.cause?.code
  return typeof below === 'string' ? below : ''
}

function problemOf(reply: Reply | null): Problem | null {
  // Every answer that is no success is a problem: `trySend` takes no other.
  return reply === null ? null : (reply.body as Problem)
}

/** Full jitter: anything up to twice as long as before, on top of what the service asks for. */
function pause(
  { random = Math.random, sleep = sleepMs }: Options,
  { signal }: Request,
  attempt: number,
  retryAfter: number,
): Promise<void> {
  const longest = Math.min(PAUSE.msMax, PAUSE.firstMs * 2 ** (attempt - 1))
  return sleep(retryAfter * 1_000 + random() * longest, signal)
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

async function trySend(options: Options, request: Request): Promise<Try> {
  const { signal, waitMs = 0 } = request
  const controller = new AbortController()
  const stop = () => controller.abort(signal?.reason)
  const late = () => controller.abort(new Error('the service took too long'))
  if (signal?.aborted === true) stop()
  const timer = setTimeout(late, (options.attemptMsMax ?? ATTEMPT_MS_MAX) + waitMs)
  signal?.addEventListener('abort', stop)
  try {
    const answer = await (options.fetch ?? fetch)(`${options.url}/api/v1${request.path}`, {
      method: request.method,
      headers: headersOf(options, request),
      // A key must not follow a redirect to somebody else.
      redirect: 'manual',
      signal: controller.signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    })
    return read(answer, await answer.text())
  } catch (cause) {
    return { reply: null, cause, retryAfter: null }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
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
function read(answer: Response, text: string): Try {
  const { status, headers } = answer
  const seconds = headers.get('retry-after') ?? ''
  const retryAfter = /^\d{1,6}$/.test(seconds) ? Number(seconds) : null
  const body = status === 204 ? null : readJson(text)
  const ours = typeof body === 'object' && body !== null && (status < 300 || 'code' in body)
  if (!ours && status !== 204) throw new Error(`not an answer of the service: ${status}`)
  const replayed = headers.get('idempotent-replayed') === 'true'
  return { reply: { status, body, replayed }, cause: null, retryAfter }
}
