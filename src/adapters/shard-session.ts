import { shardOf, type Grown } from '../domain/shard.ts'
import type { IdRange } from '../domain/id-ranges.ts'
import { findOld } from './old-ids.ts'
import { AS_IT_IS, namedRanges, type Naming } from './ranged-statements.ts'
import type { Db, Places, Sequence, Server, Shard, Statement, Tx, Unsharded } from '../ports.ts'

/**
 * What a driver does: it runs statements with all of their values, in a transaction or each alone.
 */
export interface Driver {
  run<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]>
  transaction<T>(work: (tx: DriverTx) => Promise<T>, lockMs?: number): Promise<T>
}

export type DriverTx = Omit<Tx, 'ids' | 'ofFirstRange'>

/** Gives the numbers that ids are made of. */
export interface Numbers {
  /** Take `count` unused numbers in ascending order, for ids of a shard; null: of users. */
  take(
    sequence: Sequence | 'user_ids',
    count: number,
    shard: number | null,
  ): Promise<readonly bigint[]>
}

/** Where everything is. */
interface Placement {
  /** Where what belongs to no shard is. */
  readonly home: Pick<Driver, 'run'>
  /** Where shards are: each shard is in one of them, in their order. */
  readonly servers: readonly (Server & { readonly driver: Driver })[]
  /** Null: each transaction takes its numbers from the sequences of its own server. */
  readonly numbers: Numbers | null
}

export interface SessionOptions {
  /** How many shards there are. */
  readonly shards: number
  /** Of the books. */
  readonly currency: string
  /** The time that counts as now in the database. Only tests have one: null is its own clock. */
  readonly now?: () => Date | null
  /** Whether the database got more shards; asked once. Not there: it never did. */
  readonly growth?: () => Promise<Grown | null>
  /** The ranges that payments are in; null, or not there: tables are whole. */
  readonly ranges?: () => readonly IdRange[] | null
}

/**
 * Take numbers from a sequence, as ids of a shard. One text rather than a row each, which would
 * cost the driver more than the database.
 */
const IDS: Unsharded<{ ids: string }> = {
  name: 'session_ids',
  sharded: false,
  text: `
  select string_agg((nextval($1::regclass) * $2::bigint + $3::bigint)::text, ',') as ids
  from generate_series(1, $4::int)`,
}

/** Take `$1` unused user ids. Ids are never reused; a failed transaction leaves a gap. */
const USER_IDS: Unsharded<{ id: bigint }> = {
  name: 'users_ids',
  sharded: false,
  text: `
  select nextval('user_ids') as id
  from generate_series(1, $1::int)`,
}

/** The database over one driver: one server, which holds every shard. */
export function sessions(driver: Driver, options: SessionOptions): Db {
  const server = { first: 0, last: options.shards - 1, driver }
  return placed({ home: driver, servers: [server], numbers: null }, options)
}

/** The database over one server or several. */
export function placed(placement: Placement, options: SessionOptions): Db {
  const { home, servers, numbers } = placement
  const { shards: count, currency, now = () => null, ranges } = options
  const named = ranges === undefined ? AS_IT_IS : namedRanges(ranges)
  const shards = servers.flatMap(({ first, last, driver }) =>
    Array.from({ length: last - first + 1 }, (_, index) =>
      openShard(driver, { number: first + index, count, now, numbers, named }),
    ),
  )
  const [only] = shards
  // There is one for each.
  const of = (id: bigint) => (count === 1 ? only : shards[shardOf(id, count)]) as Shard
  const places: Places = { of }
  const growth = once(options.growth ?? (() => Promise.resolve(null)))
  return {
    shards,
    servers: servers.map(({ first, last }) => ({ first, last })),
    currency,
    of,
    growth,
    async find(kind, ids) {
      const grown = await growth()
      return grown === null ? places : findOld({ grown, servers, shards }, kind, ids)
    },
    global: {
      run: (statement, values) =>
        home.run(statement, statement.clock === true ? [now(), ...values] : values),
    },
    userIds: async (wanted) =>
      numbers === null
        ? (await home.run(USER_IDS, [wanted])).map(({ id }) => id)
        : [...(await numbers.take('user_ids', wanted, null))],
  }
}

/** Ask until there is an answer, and then never again. */
function once<Value>(ask: () => Promise<Value>): () => Promise<Value> {
  let asked: Promise<Value> | null = null
  return () => {
    asked ??= ask().catch((error: unknown) => {
      asked = null
      throw error
    })
    return asked
  }
}

interface Place {
  readonly number: number
  readonly count: number
  readonly now: () => Date | null
  readonly numbers: Numbers | null
  readonly named: Naming
}

function openShard(driver: Driver, place: Place): Shard {
  const { number, now, named } = place
  const fill = ({ sharded, clock }: Statement<unknown>, values: readonly unknown[]) => {
    if (sharded === false) return clock === true ? [now(), ...values] : values
    return clock === true ? [number, now(), ...values] : [number, ...values]
  }
  return {
    number,
    ofFirstRange: named.ofFirst,
    run: (statement, values) => driver.run(named.of(statement, values), fill(statement, values)),
    transaction: (work, lockMs) =>
      driver.transaction(
        (tx) =>
          work({
            ofFirstRange: named.ofFirst,
            run: (statement, values) =>
              tx.run(named.of(statement, values), fill(statement, values)),
            write: (statement, values) =>
              tx.write(named.of(statement, values), fill(statement, values)),
            ids: (sequence, wanted) => takeIds(tx, place, sequence, wanted),
          }),
        lockMs,
      ),
  }
}

async function takeIds(
  tx: DriverTx,
  { number, count, numbers }: Place,
  sequence: Sequence,
  wanted: number,
): Promise<bigint[]> {
  if (wanted <= 0) return []
  if (numbers !== null) {
    const taken = await numbers.take(sequence, wanted, number)
    return taken.map((each) => each * BigInt(count) + BigInt(number))
  }
  const [row] = await tx.run(IDS, [sequence, count, number, wanted])
  return row === undefined ? [] : row.ids.split(',').map(BigInt)
}
