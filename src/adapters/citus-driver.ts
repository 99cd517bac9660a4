import type { Statement } from '../ports.ts'
import { heldPart, NotHere } from './citus-held.ts'
import { citusPartsOf, type CitusPart } from './citus-parts.ts'
import type { HeldPart } from './citus-tables.ts'
import { isChange } from './database-errors.ts'
import type { Driver, DriverTx } from './shard-session.ts'

/** How a statement about the shards of a server names the one that it looks at. */
const NAMED = /= (?:asked\.number|\w+\.shard)\b/

/** What changes several tables by its values alone: none of its parts reads what another writes. */
const BY_VALUES = /^(?:payments_accept(?:_routed)?|tasks_redrive|tasks_insert_later)$/

/** The same at every place of a text. */
const ALL_NAMED = new RegExp(NAMED, 'g')

/** The drivers of a node of Citus. */
export interface CitusDrivers {
  /** By way of Citus, which knows where a shard is, if it is not here. */
  readonly anywhere: Driver
  /** For shards in a part that this node holds. */
  in(part: HeldPart): Driver
}

/**
 * The drivers of a node of Citus, to which every shard is a server of its own: what goes through
 * the shards of a server names the only one by its number, as every other statement does. So Citus
 * knows before it begins where that shard is; for a shard that comes out of the statement itself it
 * would have to ask all of its nodes, which it refuses. What names no shard and is no part of a
 * transaction is asked of the coordinator, which alone has the tables that belong to none.
 *
 * What changes something is a transaction on the tables of the part, as long as the node has it;
 * then it is tried by way of Citus. What only reads one moment is asked of Citus, which finds the
 * shard wherever it is.
 */
export function shardByShard(
  node: Driver,
  coordinator: Pick<Driver, 'run'>,
  onMoved: () => void = () => undefined,
): CitusDrivers {
  const named = naming()
  const anywhere: Driver = {
    run: (statement, values) =>
      statement.sharded === false && !NAMED.test(statement.text)
        ? coordinator.run(statement, values)
        : node.run(named(statement), values),
    transaction: throughCitus(node, named),
  }
  const here = new WeakMap<HeldPart, Driver>()
  const make = (part: HeldPart): Driver => {
    const held = heldPart({ node, part, named })
    const orAnywhere = async <Value>(
      first: () => Promise<Value>,
      second: () => Promise<Value>,
    ): Promise<Value> => {
      try {
        return await first()
      } catch (error) {
        if (!(error instanceof NotHere)) throw error
        onMoved()
        return await second()
      }
    }
    return {
      run: (statement, values) =>
        statement.sharded !== false && isChange(statement)
          ? orAnywhere(
              () => alone(held, statement, values),
              () => anywhere.run(statement, values),
            )
          : anywhere.run(statement, values),
      transaction: (work, lockMs) =>
        orAnywhere(
          () => held(work, lockMs),
          () => anywhere.transaction(work, lockMs),
        ),
    }
  }
  return {
    anywhere,
    in(part) {
      const known = here.get(part) ?? make(part)
      here.set(part, known)
      return known
    },
  }
}

/** One statement as a transaction: COMMIT is right behind it. */
async function alone<Row>(
  transaction: Driver['transaction'],
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  const { rows } = await transaction((tx) => {
    const sent = tx.run(statement, values)
    sent.catch(() => undefined)
    return Promise.resolve({ rows: sent })
  })
  return await rows
}

/** Names the shard where a text goes through many. The range comes first, behind the clock. */
function naming(): <Row>(statement: Statement<Row>) => Statement<Row> {
  const texts = new Map<string, string>()
  return (statement) => {
    if (statement.sharded !== false) return statement
    const { name, text, clock } = statement
    const first = clock === true ? '$2' : '$1'
    const known = texts.get(name) ?? text.replaceAll(ALL_NAMED, `= ${first}::int`)
    texts.set(name, known)
    return { ...statement, text: known }
  }
}

/** Transactions by way of Citus: what changes several tables is sent as a statement for each. */
function throughCitus(
  node: Driver,
  named: <Row>(statement: Statement<Row>) => Statement<Row>,
): Driver['transaction'] {
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
  return (work, lockMs) =>
    node.transaction(
      (tx) =>
        work({
          run: (statement, values) => tx.run(named(statement), values),
          write: (statement, values) => write(tx, statement, values),
        }),
      lockMs,
    )
}
