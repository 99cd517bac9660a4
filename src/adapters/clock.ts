import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from '../ports.ts'

/** The real clock; leases and due times are left to the database's own. */
export const systemClock: Clock = {
  now: () => new Date(),
  elapsedMs: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await wait(ms, undefined, signal === undefined ? {} : { signal })
    } catch {
      // An aborted wait is over early; that is all the caller asked for.
    }
  },
}
