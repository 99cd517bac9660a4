import type { Clock, Global } from '../ports.ts'
import { every } from '../queue/every.ts'
import { beat, leave, type Described } from './store.ts'

/** How often a process says that it lives, in milliseconds. */
const BEAT_MS = 10_000

/** Say that this process lives, until it stops. Best effort: a database that is away knows less. */
export function startBeat(
  { db, clock }: { readonly db: Global; readonly clock: Clock },
  about: Described,
): { stop(): Promise<void> } {
  const beating = every(clock, BEAT_MS, () => beat(db, about))
  return {
    async stop() {
      await beating.stop()
      await leave(db, about.id).catch(() => undefined)
    },
  }
}
