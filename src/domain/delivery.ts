import { writeJson } from './exact-json.ts'

/** What one call of an endpoint came to. */
export interface Called {
  /** Null: no reply was read. */
  readonly status: number | null
  /** Why not; null: one was. */
  readonly reason: string | null
  /** How long the endpoint asks not to be called, in milliseconds; null: it does not say. */
  readonly retryAfterMs: number | null
}

/** What becomes of a delivery after a call. */
export interface DeliveryVerdict {
  readonly state: 'pending' | 'delivered' | 'failed'
  /** Until the next call, in milliseconds; 0 where there is none. */
  readonly delayMs: number
  /** For how long the endpoint is not called at all, in milliseconds; 0: it may be. */
  readonly pauseMs: number
  /** The endpoint says that it is gone. */
  readonly gone: boolean
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** The pauses between calls. The first is made at once, and there is one more than pauses. */
const DELAYS_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
]

/** Each pause is up to so much shorter or longer, so that not all come back at the same moment. */
const JITTER = 0.2

/** An endpoint that is busy is left alone for so long where it does not say, and at most. */
const PAUSE_MS = 5 * SECOND
const PAUSE_MS_MAX = HOUR

/** The endpoint, or what stands before it, takes nothing at the moment. */
const BUSY = new Set([429, 502, 503, 504])

/**
 * Decide what becomes of a delivery by its newest call. `attempts` counts the calls before it, and
 * `random` is from 0 to below 1. Everything but a 2xx is tried again, redirects and refusals
 * included: an endpoint that is being deployed answers with anything.
 */
export function afterCall(called: Called, attempts: number, random: number): DeliveryVerdict {
  const { status } = called
  const none = { delayMs: 0, pauseMs: 0, gone: false }
  if (status !== null && status >= 200 && status < 300) return { ...none, state: 'delivered' }
  if (status === 410) return { ...none, state: 'failed', gone: true }
  const asked = Math.min(called.retryAfterMs ?? PAUSE_MS, PAUSE_MS_MAX)
  const pauseMs = status !== null && BUSY.has(status) ? Math.max(asked, SECOND) : 0
  const delay = DELAYS_MS[attempts]
  if (delay === undefined) return { ...none, pauseMs, state: 'failed' }
  const jittered = Math.round(delay * (1 - JITTER + 2 * JITTER * random))
  return { ...none, pauseMs, state: 'pending', delayMs: Math.max(jittered, pauseMs) }
}

/** How long nothing has to have arrived before an endpoint that gives up a delivery is disabled. */
export const SILENT_MS = 24 * HOUR

/** The body without what is in the payment or letter: only what says which one it is. */
export function thinBody(body: string): string {
  const { type, timestamp, data } = JSON.parse(body) as {
    readonly type: string
    readonly timestamp: string
    readonly data: Readonly<Record<string, unknown>>
  }
  const kept = ['id', 'payment_id', 'endpoint_id', 'sequence'].filter((name) => name in data)
  const thin = Object.fromEntries(kept.map((name) => [name, data[name]]))
  return writeJson({ type, timestamp, data: thin })
}
