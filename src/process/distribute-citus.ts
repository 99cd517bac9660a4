import { print } from '../adapters/commands.ts'
import { connectToCitus, type Citus, type CitusConnection } from '../adapters/citus.ts'
import { migrate } from '../adapters/migrate.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/config-error.ts'
import { rangesText, OF_CITUS } from '../domain/server-map.ts'
import { agree, agreed, writePlace } from './database-store.ts'
import { placeOf } from './database.ts'
import { connectOne, wrongCurrency, wrongShards } from './shared.ts'

/** Fewer cannot be spread evenly, and cannot become more without copying the database. */
const SHARDS_MIN = 64

/**
 * `payments distribute` where the database of DATABASE_URL has Citus: migrate it, distribute every
 * table whose rows belong to a shard, and spread the shards evenly over the nodes. It is repeated
 * without harm, and goes on where it was cut short.
 */
export async function distributeCitus(config: Config, url: string, dryRun: boolean): Promise<void> {
  const connection = await connectToCitus(url)
  try {
    const found = await connection.read()
    if (found === null) {
      throw new ConfigError([
        `CITUS is true, and ${placeOf(url)} has no Citus: say \`create extension citus\` in it`,
      ])
    }
    const problems = [...problemsOf(config, found), ...(await otherBooks(config, url, found))]
    if (problems.length > 0) throw new ConfigError(problems)
    const { applied } = await migrate(url, { dryRun })
    if (applied.length > 0) {
      print(`${dryRun ? 'Would migrate' : 'Migrated'} ${placeOf(url)} to ${applied.at(-1)}.`)
      if (dryRun) return print('Nothing was changed.')
    }
    await (dryRun ? sayWhat(connection, config) : carryOut(connection, config, url))
  } finally {
    await connection.close()
  }
}

/** What is in the way: sentences. */
function problemsOf({ shards }: Config, { coordinator, nodes, tables, used }: Citus): string[] {
  const problems: string[] = []
  if (!coordinator) {
    problems.push('DATABASE_URL must lead to the coordinator of Citus: this is one of its workers')
  }
  if (shards < SHARDS_MIN) {
    problems.push(
      `SHARDS must be ${SHARDS_MIN} or more: fewer cannot be spread evenly over the nodes of Citus`,
    )
  }
  const away = nodes.filter(({ active }) => !active)
  for (const { host, port } of away) {
    problems.push(`the node ${host}:${port} of Citus is not active: \`citus_activate_node\` it`)
  }
  if (nodes.length > 0 && !nodes.some(({ holdsShards }) => holdsShards)) {
    problems.push('no node of Citus may hold shards: let one by `citus_set_node_property`')
  }
  if (used && tables.some(({ name, distributed }) => name === 'users' && !distributed)) {
    problems.push(
      'the database holds users already, and is not distributed: begin with an empty one, as ' +
        'what is there is not distributed afterwards',
    )
  }
  return problems
}

/** Shards or a currency that the books of this database do not have. */
async function otherBooks(config: Config, url: string, { tables }: Citus): Promise<string[]> {
  if (tables.length === 0) return []
  const db = connectOne(config, url, 'payments distribute')
  try {
    const shards = await agreed(db.global, 'shards')
    const currency = await agreed(db.global, 'currency')
    const problem = shards === null ? null : wrongShards(shards, config.shards)
    return [
      ...(problem === null ? [] : [problem]),
      ...(currency === null || currency === config.currency
        ? []
        : [wrongCurrency(currency, config.currency)]),
    ]
  } finally {
    await db.close()
  }
}

async function sayWhat(connection: CitusConnection, { shards }: Config): Promise<void> {
  const left = await undistributed(connection)
  if (left.length > 0) {
    print(`Would distribute ${left.join(', ')}, and then spread the shards evenly.`)
    return print('Nothing was changed.')
  }
  const unnumbered = await connection.number(true)
  if (unnumbered.length > 0) print(`Would let ${unnumbered.join(', ')} number events.`)
  const moves = await connection.uneven(shards)
  for (const { from, to, id } of moves)
    print(`Would move the Citus shard ${id} from ${from} to ${to}.`)
  await report(connection, shards)
  const isDone = moves.length + unnumbered.length === 0
  print(isDone ? 'Nothing to do.' : 'Nothing was changed.')
}

async function carryOut(connection: CitusConnection, config: Config, url: string): Promise<void> {
  const { shards, currency } = config
  const db = connectOne(config, url, 'payments distribute')
  try {
    await agree(db.global, 'shards', String(shards))
    await agree(db.global, 'currency', currency)
  } finally {
    await db.close()
  }
  const tables = await undistributed(connection)
  for (const table of tables) await connection.distribute(table, shards)
  if (tables.length > 0) print(`Distributed ${tables.join(', ')}.`)
  // Before any shard is where events could not be numbered.
  const numbered = await connection.number(false)
  if (numbered.length > 0) print(`Events are numbered by ${numbered.join(', ')}.`)
  const moves = await connection.uneven(shards)
  for (const move of moves) {
    await connection.move(move)
    print(`Moved the Citus shard ${move.id} from ${move.from} to ${move.to}.`)
  }
  const left = await undistributed(connection)
  if (left.length > 0) throw new Error(`These tables are not distributed: ${left.join(', ')}.`)
  await noteMap(config, url)
  await report(connection, shards)
  if (tables.length + moves.length + numbered.length === 0) print('Nothing to do.')
}

/** Written last: before that no process starts on this database. */
async function noteMap(config: Config, url: string): Promise<void> {
  const db = connectOne(config, url, 'payments distribute')
  try {
    await writePlace(db.global, { cluster: null, range: null, version: null, map: OF_CITUS })
  } finally {
    await db.close()
  }
}

async function undistributed(connection: CitusConnection): Promise<string[]> {
  const { tables } = (await connection.read()) ?? { tables: [] }
  return tables.filter(({ distributed }) => !distributed).map(({ name }) => name)
}

/** Say where the shards are, as Citus tells it. */
async function report(connection: CitusConnection, count: number): Promise<void> {
  for (const { node, held } of await connection.places(count)) {
    print(`${node} holds ${held.length} of ${count} shards: ${rangesText(held)}.`)
  }
}
