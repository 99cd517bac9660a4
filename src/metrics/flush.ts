import type { Clock, Db } from '../ports.ts'
import { addCounters, readCounters } from './store.ts'

/** The counters of this process, as its metrics keep them. */
export interface ProcessCounters {
  /** What was counted since the last drain, and forget it. */
  drain(): Record<string, number>
  /** Take back what could not be stored. */
  undrain(deltas: Record<string, number>): void
  /** What was counted since the last drain. */
  pending(): Record<string, number>
}

const FLUSH_MS = 1_000

/**
 * Add this process's counters to the totals in the database once a second, so that every process
 * shows the same totals, and they outlive restarts. Counting is best effort: a lost COMMIT loses at
 * most a second of it.
 */
export function startFlusher(
  world: { readonly db: Db; readonly clock: Clock },
  counters: ProcessCounters,
): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const flush = async () => {
    const deltas = counters.drain()
    try {
      await addCounters(world.db, deltas)
    } catch {
      counters.undrain(deltas)
    }
  }
  const loop = async () => {
    while (!stopping.signal.aborted) {
      await world.clock.sleep(FLUSH_MS, stopping.signal)
      await flush()
    }
  }
  const looping = loop()
  return {
    async stop() {
      stopping.abort()
      await looping
    },
  }
}

/** The totals over all processes, with what this one has not added yet; its own alone without a database. */
export async function totals(
  db: Db,
  counters: ProcessCounters,
  names: readonly string[],
): Promise<Record<string, number>> {
  const stored = await readCounters(db).catch((): Record<string, number> => ({}))
  const pending = counters.pending()
  return Object.fromEntries(names.map((name) => [name, (stored[name] ?? 0) + (pending[name] ?? 0)]))
}
