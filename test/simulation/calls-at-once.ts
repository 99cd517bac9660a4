import type { Delivered, Delivery } from '../../src/webhooks/deliver.ts'
import { AT_ONCE } from './limits.ts'
import { must } from './promises.ts'

/** Answers after which an endpoint is not to be called, until that is written. */
const NOT_NOW = [410, 429, 502, 503, 504]

/**
 * Counts what a process has to do with each endpoint: calls that are under way, and those whose
 * answer is that it is not to be called now, until that is written.
 */
export function callsAtOnce() {
  const counts = new Map<bigint, number>()
  const count = ({ endpoint: { id } }: Delivery, by: 1 | -1): void => {
    const now = (counts.get(id) ?? 0) + by
    counts.set(id, now)
    must(now <= AT_ONCE, 'an endpoint has so many calls at once of a process, and no more', id)
  }
  const stays = ({ result: { status } }: Delivered) => status !== null && NOT_NOW.includes(status)
  return {
    /** A call, while it is made. */
    async during(delivery: Delivery, make: () => Promise<Delivered>): Promise<Delivered> {
      count(delivery, 1)
      let stayed = false
      try {
        const done = await make()
        stayed = stays(done)
        return done
      } finally {
        if (!stayed) count(delivery, -1)
      }
    },
    /** All of these are written but those left. */
    written(all: readonly Delivered[], left: readonly Delivered[]): void {
      for (const one of all) if (stays(one) && !left.includes(one)) count(one.delivery, -1)
    },
  }
}
