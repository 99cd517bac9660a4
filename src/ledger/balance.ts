import { plusEach } from '../domain/ledger.ts'
import { Busy, Unavailable, type Clock, type Db, type Shard } from '../ports.ts'
import { eachInTurn, whole } from '../each-shard.ts'
import { addUp, readOneSnapshot, type EntryPlace, type TrialBalance } from './store.ts'

export interface BalanceWorld {
  readonly db: Db
  readonly clock: Clock
}

/**
 * Trial balances by currency, that of the books first, and the moment of which they are; with
 * several shards, the earliest of theirs.
 */
interface Balance {
  readonly currencies: ReadonlyMap<string, TrialBalance>
  readonly asOf: Date
}

/** How long a statement should take, in milliseconds; steps grow and shrink to meet it. */
const STATEMENT_MS = 200
const STEP_INITIAL = 5_000
const STEP_MAX = 50_000
/** How often a journal is begun anew, in smaller steps, when a step was not answered in time. */
const TRIES_MAX = 6

const NOTHING = { user: 0n, held: 0n, gateway: 0n, fees: 0n, opening: 0n, losses: 0n, entries: 0 }

/**
 * Add up the journals of all shards, one after the other, in steps of a bounded number of entries.
 * All steps of a shard see one snapshot, so the balance is of one moment of it, whatever is posted
 * meanwhile. Takes no row locks. Throws `Unavailable` when `stopping` says so between two steps.
 */
export async function trialBalance(
  world: BalanceWorld,
  stopping: () => boolean = () => false,
): Promise<Balance> {
  const parts = await eachInTurn(world.db.shards, (shard) => ofShard(world, shard, stopping))
  return whole(parts).reduce((total, part) => ({
    currencies: plusAll(total.currencies, [...part.currencies]),
    asOf: earlier(total.asOf, part.asOf),
  }))
}

async function ofShard(
  { db, clock }: BalanceWorld,
  shard: Shard,
  stopping: () => boolean,
): Promise<Balance> {
  let limit = STEP_INITIAL
  let limitMax = STEP_MAX
  const once = () =>
    shard.transaction(async (tx) => {
      await readOneSnapshot(tx)
      let currencies: Balance['currencies'] = new Map([[db.currency, NOTHING]])
      let place: EntryPlace | null = null
      for (;;) {
        const startedMs = clock.elapsedMs()
        const part = await addUp(tx, place, limit)
        const ms = Math.max(1, clock.elapsedMs() - startedMs)
        limit = Math.round(limit * Math.min(2, Math.max(0.25, STATEMENT_MS / ms)))
        limit = Math.min(limitMax, Math.max(1, limit))
        const added = part.sums.map(
          ({ currency, ...sums }) => [currency ?? db.currency, sums] as const,
        )
        currencies = plusAll(currencies, added)
        place = part.place
        if (place === null) return { currencies, asOf: part.time }
        if (stopping()) throw new Unavailable('this process is stopping')
      }
    })
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once()
    } catch (error) {
      if (!retriable(error) || attempt === TRIES_MAX || stopping()) throw error
      limitMax = Math.max(1, Math.floor(limit / 8))
      limit = limitMax
    }
  }
}

/** The database was away, or too slow for what it was asked: smaller steps may do. */
function retriable(error: unknown): boolean {
  return error instanceof Unavailable || error instanceof Busy
}

function plusAll(
  total: Balance['currencies'],
  added: readonly (readonly [currency: string, sums: TrialBalance])[],
): Balance['currencies'] {
  const sums = new Map(total)
  for (const [currency, part] of added)
    sums.set(currency, plus(sums.get(currency) ?? NOTHING, part))
  return sums
}

function plus(one: TrialBalance, other: TrialBalance): TrialBalance {
  const [{ entries, ...accounts }, { entries: more, ...others }] = [one, other]
  return { ...plusEach(accounts, others), entries: entries + more }
}

function earlier(one: Date, other: Date): Date {
  return one < other ? one : other
}

/** A balance that took longer, in milliseconds, is kept for a while; a quick one is always new. */
const QUICK_MS = 200
/**
 * It is kept so many times as long as it took: adding up never takes more than a tenth of the time.
 */
const KEPT_TIMES = 9
/** How long a caller waits for one, in milliseconds. */
const WAIT_MS = 10_000

/** The trial balance for many callers. */
export interface Balances {
  /**
   * The balance, no older than the call unless adding up takes long; null: it is still being added
   * up, ask again.
   */
  read(): Promise<Balance | null>
  stop(): Promise<void>
}

/** Share the work of adding up: one at a time in this process, for everybody who asks. */
export function sharedBalance(world: BalanceWorld): Balances {
  let running: Promise<Balance> | null = null
  let next: Promise<Balance> | null = null
  let kept: { readonly balance: Balance; readonly untilMs: number } | null = null
  let tookMs = 0
  let stopped = false

  const run = async (): Promise<Balance> => {
    const startedMs = world.clock.elapsedMs()
    const balance = await trialBalance(world, () => stopped)
    tookMs = world.clock.elapsedMs() - startedMs
    const quick = tookMs < QUICK_MS
    kept = quick ? null : { balance, untilMs: world.clock.elapsedMs() + tookMs * KEPT_TIMES }
    return balance
  }
  const start = (): Promise<Balance> => {
    const mine = run().finally(() => {
      if (running === mine) running = null
    })
    running = mine
    return mine
  }
  /**
   * The one that begins after this call, or the one that runs, where waiting for another is too
   * long.
   */
  const join = (): Promise<Balance> => {
    if (running === null) return start()
    if (tookMs >= QUICK_MS) return running
    next ??= running.then(begin, begin)
    return next
  }
  const begin = (): Promise<Balance> => {
    next = null
    return start()
  }
  return {
    async read() {
      if (kept !== null && world.clock.elapsedMs() < kept.untilMs) return kept.balance
      const balance = join()
      // Whoever has gone by then, it is not nobody's failure.
      balance.catch(() => undefined)
      const done = new AbortController()
      const waited = world.clock.sleep(WAIT_MS, done.signal).then(() => null)
      return Promise.race([balance, waited]).finally(() => done.abort())
    },
    async stop() {
      stopped = true
      await running?.catch(() => undefined)
    },
  }
}
