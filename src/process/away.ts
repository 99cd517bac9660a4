import { systemClock } from '../adapters/clock.ts'
import type { Config } from '../config/config.ts'
import { ReadOnly } from '../ports.ts'

/** How often a database that is away is looked at, in milliseconds. */
export const LOOK_MS = 500

/**
 * Do what a start needs of the database, which may go away again in the middle: then it is done
 * from the beginning, as long as a start waits. What was not finished was rolled back.
 */
export async function atStart(config: Config, work: () => Promise<void>): Promise<void> {
  await whileItComes(systemClock.elapsedMs() + config.databaseWaitMs, work)
}

/** Do it again from the beginning while the database is away, until a time of the clock. */
export async function whileItComes(untilMs: number, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!mayPass(error) || systemClock.elapsedMs() >= untilMs) throw error
    }
    await systemClock.sleep(LOOK_MS)
  }
}

/** The system's codes for a server that is not there now. */
const AWAY =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|ENOTFOUND|EAI_AGAIN)$/

/** SQLSTATEs of a server that starts, stops, recovers or is full. */
const BUSY = /^(57P0[1-5]|53\d{3}|08(000|001|003|004|006))$/

/** Whether an error says that the database is away, and may come back by itself. */
export function mayPass(error: unknown): boolean {
  if (error instanceof ReadOnly) return true
  const cause = causeOf(error)
  const code = codeOf(cause)
  if (AWAY.test(code) || BUSY.test(code)) return true
  return code === '' && cause instanceof Error && /timeout|terminated/i.test(cause.message)
}

/** What the driver said; the adapter wraps it in its own error. */
export function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error
}

/** The code that the system or the server gave an error; empty: none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
