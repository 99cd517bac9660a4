import type { Client } from 'pg'
import { spread, type Move } from '../domain/spread.ts'
import { connectToPrimary } from './primary.ts'

/** A node that may hold shards. */
interface CitusNode {
  readonly host: string
  readonly port: number
  readonly active: boolean
  readonly holdsShards: boolean
}

/** A database that is the coordinator of Citus, or a node of it. */
export interface Citus {
  readonly version: string
  readonly coordinator: boolean
  /** None: this server is the only one, and holds everything. */
  readonly nodes: readonly CitusNode[]
  /** Tables whose rows belong to a shard, and whether they are distributed by it. */
  readonly tables: readonly { readonly name: string; readonly distributed: boolean }[]
  /** Whether there are users. */
  readonly used: boolean
}

/** A node, and which of our shards it holds. */
interface Held {
  readonly node: string
  readonly held: readonly number[]
}

/** The table that the others are placed with. */
const FIRST = 'users'

/** Only one process distributes at a time; it is the lock of migrations. */
const LOCK = 'select pg_advisory_xact_lock(7233010)'

/** Without the extension none of what follows can be asked. */
const INSTALLED = `select extversion as version from pg_extension where extname = 'citus'`

const COORDINATOR = 'select groupid = 0 as coordinator from pg_dist_local_group'

const NODES = `
  select
    nodename as host, nodeport as port, isactive as active, shouldhaveshards as "holdsShards"
  from pg_dist_node
  where noderole = 'primary' and (groupid <> 0 or shouldhaveshards)
  order by nodename, nodeport`

const TABLES = `
  select
    relname::text as name,
    exists (select from pg_dist_partition where logicalrelid = c.oid) as distributed
  from pg_class c
  where relnamespace = current_schema()::regnamespace and relkind = 'r'
    and exists (select from pg_attribute where attrelid = c.oid and attname = 'shard')
  order by relname = '${FIRST}' desc, relname`

/** Citus reads back what it asked for, so it has to ask for a column. */
const USED = `select exists (select 1 from ${FIRST}) as used`

const DISTRIBUTE = `
  select create_distributed_table($1::regclass, 'shard', colocate_with => $2, shard_count => $3)`

/** Rows that were there stay behind as a copy that nobody sees. */
const DISTRIBUTE_WITH = `
  select create_distributed_table($1::regclass, 'shard', colocate_with => '${FIRST}')`

/** Where each of our shards is: several may be in one of Citus's own. */
const PLACES = `
  select
    number, place.bucket::text as bucket, nodename || ':' || nodeport as node
  from generate_series(0, $1::int - 1) number
  cross join lateral (
    select get_shard_id_for_distribution_column('${FIRST}', number) as bucket
  ) place
  join pg_dist_placement on shardid = place.bucket
  join pg_dist_node using (groupid)
  where noderole = 'primary'
  order by number`

/**
 * Statements on a node number their events there. A shard may be moved to another node, so no two
 * of them may ever give the same number: each steps over those of all others.
 */
const STEP = 1_024

/** On a node: whether it numbers events so. */
const IS_NUMBERED = `
  select count(*)::int as is
  from pg_sequences
  where sequencename = 'event_ids' and increment_by = ${STEP}`

/** On a worker: let it do so. */
const NUMBER = `
  do $do$
  begin
    execute format(
      'create sequence if not exists event_ids increment by ${STEP} start with %s',
      (select groupid from pg_dist_local_group)
    );
  end
  $do$`

/** On the coordinator, where it is a sequence as anywhere else before. */
const NUMBER_HERE = `
  do $do$
  begin
    execute format(
      'alter sequence event_ids increment by ${STEP} restart with %s',
      (select (last_value / ${STEP} + 1) * ${STEP} from event_ids)
    );
  end
  $do$`

/** What each worker says to a text. */
const ON_WORKERS = `
  select nodename || ':' || nodeport as node, success, result
  from run_command_on_workers($1)`

const MOVE = `
  select citus_move_shard_placement($1::bigint, $2, $3::int, $4, $5::int, 'block_writes')`

/** A connection to a database that Citus may be in. */
export interface CitusConnection {
  /** Null: Citus is not installed in this database. */
  read(): Promise<Citus | null>
  /** Distribute a table by its shards, with the others; those that are stay as they are. */
  distribute(table: string, count: number): Promise<void>
  places(count: number): Promise<readonly Held[]>
  /** Let every node number events that no other node numbers. Gives the nodes that did not. */
  number(dryRun: boolean): Promise<readonly string[]>
  /** What would make nodes hold about as many shards. */
  uneven(count: number): Promise<readonly Move<string>[]>
  move(move: Move<string>): Promise<void>
  close(): Promise<void>
}

const CONNECT_MS_MAX = 10_000

/** Connect to the coordinator at `url`. */
export async function connectToCitus(url: string): Promise<CitusConnection> {
  const options = {
    application_name: 'payments distribute',
    connectionTimeoutMillis: CONNECT_MS_MAX,
  }
  const client = await connectToPrimary(options, url)
  const rowsOf = async <Row extends object>(text: string, values: unknown[] = []) =>
    (await client.query<Row>(text, values)).rows
  const placesOf = (count: number) =>
    rowsOf<{ number: number; bucket: string; node: string }>(PLACES, [count])
  return {
    read: () => readCitus(client),
    distribute: (table, count) => distribute(client, table, count),
    async places(count) {
      const rows = await placesOf(count)
      const { nodes } = (await readCitus(client)) ?? { nodes: [] }
      const names = new Set([...nodes.filter(holds).map(nameOf), ...rows.map(({ node }) => node)])
      return [...names].map((name) => ({
        node: name,
        held: rows.filter(({ node }) => node === name).map(({ number }) => number),
      }))
    },
    number: (dryRun) => numberEvents(client, dryRun),
    async uneven(count) {
      const rows = await placesOf(count)
      const { nodes } = (await readCitus(client)) ?? { nodes: [] }
      const ids = [...new Set(rows.map(({ bucket }) => bucket))]
      const buckets = ids.map((id) => {
        const inside = rows.filter(({ bucket }) => bucket === id)
        return { id, node: inside[0]?.node ?? '', shards: inside.length }
      })
      return spread(nodes.filter(holds).map(nameOf), buckets)
    },
    async move({ id, from, to }) {
      await client.query(MOVE, [id, ...placeOf(from), ...placeOf(to)])
    },
    close: () => client.end().catch(() => undefined),
  }
}

const holds = ({ active, holdsShards }: CitusNode) => active && holdsShards
const nameOf = ({ host, port }: CitusNode) => `${host}:${port}`

/** The host and the port in the name of a node. */
function placeOf(node: string): [host: string, port: string] {
  const colon = node.lastIndexOf(':')
  return [node.slice(0, colon), node.slice(colon + 1)]
}

async function readCitus(client: Client): Promise<Citus | null> {
  const [installed] = (await client.query<{ version: string }>(INSTALLED)).rows
  if (installed === undefined) return null
  const [group] = (await client.query<{ coordinator: boolean }>(COORDINATOR)).rows
  const { rows: nodes } = await client.query<CitusNode>(NODES)
  const { rows: tables } = await client.query<Citus['tables'][number]>(TABLES)
  const known = tables.some(({ name }) => name === FIRST)
  const [used] = known ? (await client.query<{ used: boolean }>(USED)).rows : []
  return {
    version: installed.version,
    coordinator: group?.coordinator ?? true,
    nodes,
    tables,
    used: used?.used ?? false,
  }
}

async function numberEvents(client: Client, dryRun: boolean): Promise<string[]> {
  interface Said {
    readonly node: string
    readonly success: boolean
    readonly result: string
  }
  const ask = async (text: string) => {
    const { rows } = await client.query<Said>(ON_WORKERS, [text])
    const failed = rows.find(({ success }) => !success)
    if (failed !== undefined) throw new Error(`${failed.node} says: ${failed.result}`)
    return rows
  }
  const workers = (await ask(IS_NUMBERED)).filter(({ result }) => result !== '1')
  const { rows: here } = await client.query<{ is: number }>(IS_NUMBERED)
  if (!dryRun) {
    if (workers.length > 0) await ask(NUMBER)
    if (here[0]?.is === 0) await client.query(NUMBER_HERE)
  }
  return [...workers.map(({ node }) => node), ...(here[0]?.is === 0 ? ['the coordinator'] : [])]
}

/** A table a transaction: each takes a lock for every part of it on every node. */
async function distribute(client: Client, table: string, count: number): Promise<void> {
  await client.query('begin')
  try {
    await client.query(LOCK)
    const citus = await readCitus(client)
    if (citus?.tables.some(({ name, distributed }) => name === table && !distributed)) {
      await (table === FIRST
        ? client.query(DISTRIBUTE, [table, 'none', count])
        : client.query(DISTRIBUTE_WITH, [table]))
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}
