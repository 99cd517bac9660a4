import type { Statement } from '../ports.ts'
import { citusPartsOf, type CitusPart } from './citus-parts.ts'
import type { Driver, DriverTx } from './shard-session.ts'

/** How a statement about the shards of a server names the one that it looks at. */
const NAMED = /= (?:asked\.number|\w+\.shard)\b/

/** What changes several tables by its values alone: none of its parts reads what another writes. */
const BY_VALUES = /^(?:payments_accept(?:_routed)?|tasks_redrive|tasks_insert_later)$/

/** The same at every place of a text. */
const ALL_NAMED = new RegExp(NAMED, 'g')

/**
 * A driver of a node of Citus, to which every shard is a server of its own: what goes through the
 * shards of a server names the only one by its number, as every other statement does. So Citus
 * knows before it begins where that shard is; for a shard that comes out of the statement itself it
 * would have to ask all of its nodes, which it refuses. What names no shard and is no part of a
 * transaction is asked of the coordinator, which alone has the tables that belong to none.
 */
export function shardByShard(node: Driver, coordinator: Pick<Driver, 'run'>): Driver {
  const texts = new Map<string, string>()
  const named = <Row>(statement: Statement<Row>): Statement<Row> => {
    if (statement.sharded !== false) return statement
    const known = texts.get(statement.name)
    const text = known ?? ofOneShard(statement)
    if (known === undefined) texts.set(statement.name, text)
    return { ...statement, text }
  }
  const split = new Map<string, readonly CitusPart[] | null>()
  const partsKnown = (statement: Statement<unknown>): readonly CitusPart[] | null => {
    const known = split.get(statement.name)
    if (known !== undefined) return known
    const parts = BY_VALUES.test(statement.name) ? citusPartsOf(statement) : null
    split.set(statement.name, parts)
    return parts
  }
  const write = (tx: DriverTx, statement: Statement<unknown>, values: readonly unknown[]) => {
    const parts = partsKnown(statement)
    if (parts === null) return tx.write(named(statement), values)
    for (const { statement: part, places } of parts) {
      tx.write(
        part,
        places.map((place) => values[place - 1]),
      )
    }
  }
  return {
    run: (statement, values) =>
      statement.sharded === false && !NAMED.test(statement.text)
        ? coordinator.run(statement, values)
        : node.run(named(statement), values),
    transaction: (work, lockMs) =>
      node.transaction((tx) => {
        const wrapped: DriverTx = {
          run: (statement, values) => tx.run(named(statement), values),
          write: (statement, values) => write(tx, statement, values),
        }
        return work(wrapped)
      }, lockMs),
  }
}

/** The range of shards comes first, behind the clock. */
function ofOneShard({ text, clock }: Statement<unknown>): string {
  const first = clock === true ? '$2' : '$1'
  return text.replaceAll(ALL_NAMED, `= ${first}::int`)
}
