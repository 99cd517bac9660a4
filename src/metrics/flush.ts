import { COUNTER_NAMES, isExact, type CounterName } from '../domain/counters.ts'
import type { Clock, Db, Server, Shard } from '../ports.ts'
import { every } from '../queue/every.ts'
import { eachInTurn, eachServer, withWork } from '../each-shard.ts'
import { readExact } from './exact-counters.ts'
import { foldCounts, forgetHours, rollUpMinutes, shardsToFold } from './series-store.ts'
import { addCounters, readCounters } from './store.ts'

/** The counters of this process, as its metrics keep them. */
interface ProcessCounters {
  /** What was counted since the last drain, and forget it. */
  drain(): Record<string, number>
  /** Take back what could not be stored. */
  undrain(deltas: Record<string, number>): void
}

const FLUSH_MS = 1_000
/** The rows of counts are folded at every so many flushes. */
const FOLD_EVERY = 5
/** Minutes are rolled up at every so many flushes. */
const ROLL_UP_EVERY = 60
/** So many parts of a server are rolled up then at most: more than 1,024 shards fill. */
const ROLL_UPS_MAX = 10
/** What charts no longer show is deleted at every so many flushes. */
const FORGET_EVERY = 600

/** Adds what a process counted to the totals, which are where its database is. */
export interface Flusher {
  /**
   * Add now what was counted until now. Rejects when it could not be added: it is kept for later.
   */
  flush(): Promise<void>
  stop(): Promise<void>
}

/** The flusher of a process without a database. */
export const IDLE: Flusher = { flush: () => Promise.resolve(), stop: () => Promise.resolve() }

/**
 * Add this process's counters to the totals in the database once a second, so that every process
 * shows the same totals, and they outlive restarts. This counting is best effort: a lost COMMIT, or
 * a process that is killed, loses at most a second of it. What became of payments is not counted
 * so: of that, only the rows are folded that the statements have left.
 */
export function startFlusher(
  world: { readonly db: Db; readonly clock: Clock },
  counters: ProcessCounters,
): Flusher {
  const add = async () => {
    const deltas = counters.drain()
    try {
      await addCounters(world.db.global, deltas)
    } catch (error) {
      counters.undrain(deltas)
      throw error
    }
  }
  // One at a time: what is on its way is in no total yet, and must not be missed there.
  let last: Promise<void> = Promise.resolve()
  const flush = (): Promise<void> => (last = last.catch(() => undefined).then(add))
  let turns = 0
  const flushing = every(world.clock, FLUSH_MS, async () => {
    await flush().catch(() => undefined)
    turns += 1
    if (turns % FOLD_EVERY === 0) await fold(world.db)
    if (turns % ROLL_UP_EVERY === 0) await eachServer(world.db, rollUp)
    if (turns % FORGET_EVERY === 0) await eachInTurn(world.db.shards, forgetHours)
  })
  return {
    flush,
    async stop() {
      await flushing.stop()
      await flush().catch(() => undefined)
    },
  }
}

/** Roll up what a server has, part by part. */
async function rollUp(session: Shard, server: Server): Promise<void> {
  for (let part = 0; part < ROLL_UPS_MAX; part += 1) {
    if (!(await rollUpMinutes(session, server))) return
  }
}

/** Fold the rows of counts of the shards that have many. */
async function fold(db: Db): Promise<void> {
  const { asked } = await withWork(db, db.shards, shardsToFold)
  await eachInTurn(asked, foldCounts)
}

/**
 * The totals over all processes: what the database keeps, and what processes counted, this one
 * until now. Throws when the database cannot be read: half of the truth is none.
 */
export async function totals(world: {
  readonly db: Db
  readonly flusher: Flusher
}): Promise<Record<CounterName, number>> {
  await world.flusher.flush()
  const [exact, stored] = await Promise.all([readExact(world.db), readCounters(world.db.global)])
  const total = (name: CounterName) => (isExact(name) ? exact[name] : (stored[name] ?? 0))
  // fromEntries forgets the keys' type.
  return Object.fromEntries(COUNTER_NAMES.map((name) => [name, total(name)])) as Record<
    CounterName,
    number
  >
}
