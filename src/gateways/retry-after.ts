import type { Clock } from '../ports.ts'
import type { Exchange } from './http-exchange.ts'

/** What a gateway asks to wait is believed between these bounds, in milliseconds. */
const RETRY_AFTER_MS_MIN = 1_000
const RETRY_AFTER_MS_MAX = 300_000
const TOO_MANY = 429

/** Milliseconds to wait, clamped; null for a header that is neither seconds nor an HTTP-date. */
export function retryAfterOf(exchange: Exchange, clock: Clock): number | null {
  const header = exchange.kind === 'reply' ? exchange.retryAfter : null
  if (header === null) return null
  if (/^\d{1,15}$/.test(header)) return clamp(Number(header) * 1_000)
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(header)) return null
  const timeMs = Date.parse(header)
  return Number.isNaN(timeMs) ? null : clamp(timeMs - clock.now().getTime())
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
