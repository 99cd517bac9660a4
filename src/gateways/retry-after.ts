import { askedWaitMs } from '../domain/asked-wait.ts'
import type { Clock } from '../ports.ts'
import type { Exchange } from './http-exchange.ts'

/** What a gateway asks to wait is believed between these bounds, in milliseconds. */
const RETRY_AFTER_MS_MIN = 1_000
const RETRY_AFTER_MS_MAX = 300_000
const TOO_MANY = 429

/**
 * Milliseconds to wait, clamped; null for a header that is neither seconds nor an HTTP-date. A date
 * counts from the one of the reply, or from our own clock where it has none.
 */
export function retryAfterOf(exchange: Exchange, clock: Clock): number | null {
  const askedMs = exchange.kind === 'reply' ? askedWaitMs(exchange.headers, clock.now()) : null
  return askedMs === null ? null : clamp(askedMs)
}

/**
 * The same for a question, where too many (429, RFC 6585) ask for a pause without saying for how
 * long: an order has tries of its own, whose pauses grow.
 */
export function waitAfterLook(exchange: Exchange, clock: Clock): number | null {
  const askedMs = retryAfterOf(exchange, clock)
  const tooMany = exchange.kind === 'reply' && exchange.status === TOO_MANY
  return askedMs === null && tooMany ? RETRY_AFTER_MS_MIN : askedMs
}

/** A wait within the bounds. */
export function clamp(ms: number): number {
  return Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, ms))
}
