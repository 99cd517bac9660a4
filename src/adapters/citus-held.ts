import type { Statement } from '../ports.ts'
import { citusStatement, inTables, type HeldPart } from './citus-tables.ts'
import { hasCode } from './database-errors.ts'
import type { Driver, DriverTx } from './shard-session.ts'

/** The node does not hold the shard, or may not say so: nothing was done. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/**
 * The lock that every change by Citus takes, and against which it moves a part: as long as it is
 * held, the part stays where it is. Behind it plans are for any values from the first time on:
 * every part has plans of its own, and six of each would cost more than what they are for.
 */
const STAY = citusStatement(
  'citus_stay',
  `
  select
    lock_shard_metadata(5, array[$1::bigint]),
    set_config('plan_cache_mode', 'force_generic_plan', true)`,
)

/** Fails if the part is not here. It sees what was so when the lock was had, or later. */
const HERE = citusStatement(
  'citus_here',
  `
  select 1 / count(*)
  from pg_dist_placement
  where shardid = $1::bigint and groupid = $2::int`,
)

/** Not here, a part that is no more, and one of which only its owner may have the lock. */
const NOT_HERE = ['22012', 'XX000', '42501']

/** What a transaction on a part needs; `named` says what Citus would be asked. */
interface OnPart {
  readonly node: Driver
  readonly part: HeldPart
  readonly named: <Row>(statement: Statement<Row>) => Statement<Row>
}

/**
 * Transactions of the shards of a part on the node that holds it. They name its tables themselves,
 * so Citus has no part in them, and no other node is needed. Before anything else each makes sure
 * that the part is here and stays here: in the same packet, so it costs no round trip. If it is
 * elsewhere nothing is done, and `NotHere` is thrown.
 */
export function heldPart({ node, part, named }: OnPart): Driver['transaction'] {
  const texts = new Map<string, Statement<unknown>>()
  const inPart = <Row>(statement: Statement<Row>): Statement<Row> => {
    const known = texts.get(statement.name)
    if (known !== undefined) return known as Statement<Row>
    const made = inTables(named(statement), part)
    texts.set(statement.name, made)
    return made
  }
  return async (work, lockMs) => {
    let why: unknown = null
    const demand = (tx: DriverTx) => {
      why = null
      const asked = [tx.run(STAY, [part.bucket]), tx.run(HERE, [part.bucket, part.group])]
      for (const one of asked) one.catch((error: unknown) => (why ??= error))
    }
    try {
      return await node.transaction((tx) => {
        demand(tx)
        return work({
          run: (statement, values) => tx.run(inPart(statement), values),
          write: (statement, values) => tx.write(inPart(statement), values),
        })
      }, lockMs)
    } catch (error) {
      if (!NOT_HERE.some((code) => hasCode(why, code))) throw error
      throw new NotHere('a shard is not where it was', { cause: error })
    }
  }
}
