import { shardOf } from '../domain/shard.ts'
import type { Db, Sequence, Shard, Statement, Tx, Unsharded } from '../ports.ts'

/**
 * What a driver does: it runs statements with all of their values, in a transaction or each alone.
 */
export interface Driver {
  run<Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]>
  transaction<T>(work: (tx: DriverTx) => Promise<T>, lockMs?: number): Promise<T>
}

export type DriverTx = Omit<Tx, 'ids'>

export interface SessionOptions {
  /** How many shards there are. */
  readonly shards: number
  /** Of the books. */
  readonly currency: string
  /** The time that counts as now in the database. Only tests have one: null is its own clock. */
  readonly now?: () => Date | null
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

/** The database over one driver: one server, which holds every shard. */
export function sessions(
  driver: Driver,
  { shards: count, currency, now = () => null }: SessionOptions,
): Db {
  const shards = Array.from({ length: count }, (_, number) =>
    openShard(driver, { number, count, now }),
  )
  const [only] = shards
  return {
    shards,
    currency,
    // There is one for each.
    of: (id) => (count === 1 ? only : shards[shardOf(id, count)]) as Shard,
    global: {
      run: (statement, values) =>
        driver.run(statement, statement.clock === true ? [now(), ...values] : values),
    },
  }
}

interface Place {
  readonly number: number
  readonly count: number
  readonly now: () => Date | null
}

function openShard(driver: Driver, place: Place): Shard {
  const { number, now } = place
  const fill = ({ sharded, clock }: Statement<unknown>, values: readonly unknown[]) => {
    if (sharded === false) return clock === true ? [now(), ...values] : values
    return clock === true ? [number, now(), ...values] : [number, ...values]
  }
  return {
    number,
    run: (statement, values) => driver.run(statement, fill(statement, values)),
    transaction: (work, lockMs) =>
      driver.transaction(
        (tx) =>
          work({
            run: (statement, values) => tx.run(statement, fill(statement, values)),
            write: (statement, values) => tx.write(statement, fill(statement, values)),
            ids: (sequence, wanted) => takeIds(tx, place, sequence, wanted),
          }),
        lockMs,
      ),
  }
}

async function takeIds(
  tx: DriverTx,
  { number, count }: Place,
  sequence: Sequence,
  wanted: number,
): Promise<bigint[]> {
  if (wanted <= 0) return []
  const [row] = await tx.run(IDS, [sequence, count, number, wanted])
  return row === undefined ? [] : row.ids.split(',').map(BigInt)
}
