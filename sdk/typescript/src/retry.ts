import type { Problem } from './problems.ts'

/**
 * Which answers another try may change, and which tries may have been carried out: the rule of what
 * is safe to send again.
 */

/** What the service answered. */
export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly replayed: boolean
}

/** One try. */
export interface Try {
  /** Null: no answer of the service came, for this reason. */
  readonly reply: Reply | null
  readonly cause: unknown
  /** Whether the service may have got the request. */
  readonly sent: boolean
  /** Seconds; null: it does not say. */
  readonly retryAfter: number | null
}

const PAUSE = { firstMs: 250, msMax: 8_000 }
/** A longer pause is the caller's to make. */
const RETRY_AFTER_MAX = 60

/** What is asked of the rule. */
interface Asked {
  readonly method: string
  readonly key?: string
  readonly old?: boolean
  readonly quiet?: boolean
}

/** The caller still wants to know, and the service does not ask for a very long pause. */
export function isWorthIt({ retryAfter }: Try, signal: AbortSignal | undefined): boolean {
  return signal?.aborted !== true && (retryAfter ?? 0) <= RETRY_AFTER_MAX
}

/** The answer that no other try will change; null: there is none. */
export function finalOf({ reply }: Try): Reply | null {
  return reply === null || isTransient(reply) ? null : reply
}

/** Answers that another try may change: nothing has been said about the request itself. */
function isTransient({ status }: Reply): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Refusals that are decided when the key was looked up and is not used; 409 are all of these. */
const BEHIND_KEYS = new Set(['amount_below_commission', 'gateway_unknown', 'no_route'])

/**
 * Whether an answer says what became of the request, and not only of its last try. A refusal says
 * nothing of a try before it that may still arrive, unless the service keeps it with the key: one
 * that was lost, or one that somebody sent under the key before this call and did not live to see
 * answered. Where nothing of that is under way any more, it is enough that the refusal was decided
 * behind the key.
 */
export function isWord(reply: Reply, request: Asked, lost: boolean): boolean {
  const { method, key, old = false, quiet = false } = request
  const { status } = reply
  if (status < 300 || method === 'GET' || !(lost || old)) return true
  const code = problemOf(reply)?.code ?? ''
  if (key === undefined) return false
  if (status === 402 || code === 'idempotency_key_reuse') return true
  return quiet && !lost && (status === 409 || BEHIND_KEYS.has(code))
}

/** Whether the service may have done what was asked without our knowing. */
export function mayBeDone({ reply, sent }: Try): boolean {
  if (reply === null) return sent
  if (reply.status < 500) return false
  // 503 says that nothing was done, but for this one.
  return reply.status !== 503 || problemOf(reply)?.code === 'outcome_unknown'
}

/** Every answer that is no success is a problem: no other is taken. */
export function problemOf(reply: Reply | null): Problem | null {
  return reply === null ? null : (reply.body as Problem)
}

/** How long to wait for the next try, in milliseconds. */
export interface Pause {
  readonly askedMs: number
  /** What chance adds at most. */
  readonly longestMs: number
}

/** Anything up to twice as long as before, on top of what the service asks for. */
export function pauseAfter(attempt: number, retryAfter: number): Pause {
  const longestMs = Math.min(PAUSE.msMax, PAUSE.firstMs * 2 ** (attempt - 1))
  return { askedMs: retryAfter * 1_000, longestMs }
}
