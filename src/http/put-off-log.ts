import type { FastifyBaseLogger } from 'fastify'
import type { RefusalCode } from '../domain/refusal.ts'

/** How often one kind of refusal is logged at most, in milliseconds. */
const LINE_MS = 1_000

/**
 * Log requests that were put off: the first of a code at once, the others counted, a line a second.
 * Whoever is overloaded must not write a line, or even a stack, for each request that it refuses.
 */
export function putOffLog(): (code: RefusalCode, error: unknown, log: FastifyBaseLogger) => void {
  const counts = new Map<RefusalCode, number>()

  const line = (code: RefusalCode, requests: number, error: unknown, log: FastifyBaseLogger) => {
    const reason = error instanceof Error ? error.message || error.name : String(error)
    log.warn({ code, requests, reason }, 'put off')
    counts.set(code, 0)
    setTimeout(() => {
      const more = counts.get(code) ?? 0
      if (more > 0) line(code, more, error, log)
      else counts.delete(code)
    }, LINE_MS).unref()
  }

  return (code, error, log) => {
    const counted = counts.get(code)
    if (counted === undefined) line(code, 1, error, log)
    else counts.set(code, counted + 1)
  }
}
