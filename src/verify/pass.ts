import {
  Busy,
  Unavailable,
  type Clock,
  type Db,
  type GatewayCharge,
  type Server,
  type Shard,
} from '../ports.ts'
import { eachInTurn, partly, whole, type PerShard } from '../each-shard.ts'
import type { AccountSums, Chunk, Finding, Tally } from './report.ts'
import { ID_BEFORE_ALL } from './snapshot-store.ts'
import type { Booked } from './store.ts'

export interface VerifyWorld {
  readonly db: Db
  readonly clock: Clock
}

/** What a pass is at, for whoever watches it. `total` is a guess made at the start. */
export interface Progress {
  readonly part: 'users' | 'payments' | 'gateway keys' | 'gateway charges' | 'gateway successes'
  readonly done: number
  readonly total: number
}

/** A charge that a gateway lists, with what is booked under its payment's id there. */
interface ListedCharge {
  readonly gateway: string
  readonly charge: GatewayCharge
  /** Null: nothing is. */
  readonly booked: Booked | null
  readonly wrong: readonly Finding[]
}

export interface PassOptions {
  readonly onProgress?: (progress: Progress) => void
  /** Told of every charge that is compared. */
  readonly onListed?: (listed: ListedCharge) => void
  /** Ends the pass early; its report is then not complete. */
  readonly signal?: AbortSignal
}

/** What the parts of one pass over the books share. */
export interface Pass {
  readonly world: VerifyWorld
  readonly options: PassOptions
  readonly tally: Tally
  /** The shards that could not be checked to their end. */
  readonly missing: Set<number>
}

/**
 * Check the shards one after the other. Those that cannot be asked are missing in the report;
 * throws where none can be, and where it is not the shard's doing.
 */
export async function inEachShard<Value>(
  { world, missing }: Pass,
  check: (shard: Shard) => Promise<Value>,
): Promise<readonly Value[]> {
  const ends = await eachInTurn(world.db.shards, check)
  if (!ends.failed.every(({ error }) => error instanceof Unavailable || error instanceof Busy)) {
    return whole(ends)
  }
  const checked = partly(ends)
  for (const number of checked.missing) missing.add(number)
  return checked.known
}

/**
 * Ask shards for what is needed of them; those that are missing by now are to be left out before.
 * Those that cannot be asked are missing from now on; throws as `inEachShard` does.
 */
export function knownOnly<Value>(
  { world, missing }: Pass,
  { done, failed }: PerShard<Value>,
): readonly Value[] {
  for (const { shard, error } of failed) {
    if (!(error instanceof Unavailable || error instanceof Busy)) throw error
    missing.add(shard.number)
    if (missing.size === world.db.shards.length) throw error
  }
  return done.map(({ value }) => value)
}

/**
 * Ask a server what any session of it can tell; null: none of its shards can be asked, and all of
 * them are missing.
 */
export async function onServer<Value extends object>(
  pass: Pass,
  { first, last }: Server,
  ask: (session: Shard) => Promise<Value>,
): Promise<Value | null> {
  const told: Value[] = []
  const asked = await eachInTurn(pass.world.db.shards.slice(first, last + 1), async (shard) => {
    if (told.length === 0 && !pass.missing.has(shard.number)) told.push(await ask(shard))
  })
  knownOnly(pass, asked)
  return told[0] ?? null
}

/** A range of ids to read: at most `limit` rows behind `after`. */
interface Range {
  readonly after: bigint
  readonly limit: number
}

/** How long a statement, and with it a snapshot, should take; chunks grow and shrink to meet it. */
const STATEMENT_MS = 400
const CHUNK_INITIAL = 500
const CHUNK_MAX = 10_000
/** How often one chunk is tried, smaller each time, when the database is too slow or away. */
const TRIES_MAX = 6

/** Go over the payments of all shards in ranges; `read` says where the next one begins. */
export async function eachRange(
  pass: Pass,
  read: (shard: Shard, range: Range) => Promise<bigint | null>,
): Promise<void> {
  const { world, options, tally: sum } = pass
  const stride = strides(world.clock)
  await inEachShard(pass, async (shard) => {
    let after: bigint | null = ID_BEFORE_ALL
    while (after !== null && options.signal?.aborted !== true) {
      const from: bigint = after
      const { value, ms } = await stride((limit) => read(shard, { after: from, limit }))
      sum.add({ findings: [], checked: {}, accounts: null, next: null }, ms)
      after = value
    }
  })
}

/**
 * Runs chunks whose size follows the time that their statements take. A chunk that the database
 * could not answer in time is tried again smaller, a few times, and the size that was too large is
 * not returned to at once: so a pass gets on under any statement timeout that lets a few rows be
 * read.
 */
export function strides(clock: Clock) {
  let limit = CHUNK_INITIAL
  let limitMax = CHUNK_MAX
  return async <Value>(
    run: (limit: number) => Promise<Value>,
    stepsOf: (value: Value) => number = () => 1,
  ): Promise<{ value: Value; ms: number }> => {
    for (let attempt = 1; ; attempt += 1) {
      const startedMs = clock.elapsedMs()
      try {
        const value = await run(limit)
        const ms = clock.elapsedMs() - startedMs
        const stepMs = Math.max(1, ms / stepsOf(value))
        limit = Math.round(limit * Math.min(2, Math.max(0.25, STATEMENT_MS / stepMs)))
        limit = Math.min(limitMax, Math.max(1, limit))
        limitMax = Math.min(CHUNK_MAX, limitMax + Math.ceil(limitMax / 8))
        return { value, ms }
      } catch (error) {
        const passing = error instanceof Unavailable || error instanceof Busy
        if (!passing || attempt === TRIES_MAX) throw error
        limit = Math.max(1, Math.floor(limit / 8))
        limitMax = Math.max(1, limit * 2)
      }
    }
  }
}

function isBalanced(accounts: AccountSums): boolean {
  const sums: readonly bigint[] = Object.values(accounts)
  return sums.reduce((one, other) => one + other, 0n) === 0n
}

/**
 * The entries of a chunk are whole, so the sums of its accounts sum to zero at every moment, in
 * every currency.
 */
export function withLedgerRule(chunk: Chunk): Chunk {
  const { accounts, others } = chunk
  if (accounts === null) return chunk
  const checked = { ...chunk.checked, ledger: 1 }
  if ([accounts, ...(others?.values() ?? [])].every(isBalanced)) return { ...chunk, checked }
  const findings = [...chunk.findings, findingOf('ledger_unbalanced', 'ledger', 0n)]
  return { ...chunk, checked, findings }
}

/** A violation by a row that has an id of its own. */
export function findingOf(rule: Finding['rule'], subject: Finding['subject'], id: bigint): Finding {
  const isPayment = subject === 'payment' || subject === 'charge'
  return { rule, subject, id, paymentId: isPayment ? id : null, userId: null }
}
