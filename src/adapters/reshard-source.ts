import type { Client } from 'pg'
import { readShards, type Grown } from '../domain/shard.ts'
import { quoted, BACKUP_TABLES, type FoundTable } from './backup.ts'
import { connectToPrimary } from './primary.ts'
import { OF_SHARDS, unknownTables, type Division, type Moved } from './reshard-tables.ts'

const CONNECT_MS_MAX = 10_000

/**
 * Nothing is written in it. What texts of dates and numbers look like hangs on no setting of the
 * server or the role.
 */
const OPEN = `
  begin isolation level repeatable read read only;
  set local lock_timeout = '5s';
  set local statement_timeout = 0;
  set local idle_in_transaction_session_timeout = 0`

const FORMATS = `
  set timezone = 'UTC';
  set datestyle = 'ISO';
  set intervalstyle = 'postgres';
  set extra_float_digits = 3`

/**
 * From here on nobody writes: whoever starts agrees on a setting first, and whoever accepts, opens,
 * charges or settles writes one of the others. The snapshot is taken behind it.
 */
const LOCK = 'lock table settings, users, payments, payment_tasks, deliveries in share mode'

const FACTS = `select name, value from settings`

const LIVING = `
  select count(*)::int as count
  from processes
  where seen_at > clock_timestamp() - interval '30 seconds'`

const RUNNING = `
  select count(*)::int as count
  from redrives
  where state in ('running', 'replaying')`

const RESTORED = 'select count(*)::int as count from restores where recovered_at is null'

const SEQUENCES = `
  select sequencename as name, coalesce(last_value, start_value)::text as last
  from pg_sequences
  where schemaname = current_schema()
  order by sequencename`

/** What became of payments changes these sums, whatever it is. */
const COUNTS = `
  select
    concat_ws(' ', sum(enqueued), sum(started), sum(succeeded), sum(failed), sum(in_doubt),
      sum(retried), sum(letters), sum(resolved_success), sum(resolved_failed)) as sums
  from payment_counts`

/** The largest ids of shards `0` to `$1` − 1. */
const LARGEST = `
  select max(largest.id)::text as id
  from generate_series(0, $1::int - 1) as asked (number)
  cross join lateral (
    (select id from payments where shard = asked.number order by id desc limit 1)
    union all
    (select id from dead_letters where shard = asked.number order by id desc limit 1)
    union all
    (select id from operator_acts where shard = asked.number order by id desc limit 1)
    union all
    (select id from events where shard = asked.number order by id desc limit 1)
  ) largest`

interface Sequence {
  readonly name: string
  readonly last: bigint
}

/** A database that is read whole, as it is at one moment, while nobody writes to it. */
export interface ReshardSource {
  readonly client: Client
  readonly division: Division
  readonly currency: string
  /** What it is like: another one, or this one after it was used, has another. */
  readonly fingerprint: string
  readonly sequences: readonly Sequence[]
  readonly tables: readonly FoundTable[]
  /** How the ids that it has given are told from those of later. */
  readonly grown: Grown
  columnsOf(table: string): { readonly columns: readonly string[]; readonly hasShard: boolean }
  /**
   * The key at which a range of about `limit` rows ends that begins behind `after`; null: it is the
   * last one. Rows of one key are never cut.
   */
  upTo(moved: Moved, at: number, after: string | null, limit: number): Promise<string | null>
  close(): Promise<void>
}

/** What is to be had of a source, and why it cannot be read: sentences. */
interface Wanted {
  readonly url: string
  /** How many shards there are to be. */
  readonly to: number
  readonly currency: string
}

/** Ids have at most 15 digits. */
const BELOW_MAX = 10n ** 15n

/**
 * Open a source and keep everybody from writing to it, for as long as it is open. Throws sentences
 * that say why it cannot be read and what to do.
 */
export async function openSource({ url, to, currency }: Wanted): Promise<ReshardSource> {
  const client = await openClient(url)
  try {
    await client.query(OPEN)
    await lock(client)
    const facts = await factsOf(client)
    const problems = [...problemsOf(facts, { to, currency }), ...(await countProblems(client))]
    if (problems.length > 0) throw new Error(problems.join('\n'))
    return await sourceOf(client, facts, to)
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

/** A connection whose texts of rows can be compared with those of any other. */
export async function openClient(url: string): Promise<Client> {
  const options = {
    application_name: 'payments reshard',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
  }
  const client = await connectToPrimary(options, url)
  await client.query(FORMATS)
  return client
}

async function lock(client: Client): Promise<void> {
  try {
    await client.query(LOCK)
  } catch (error) {
    const isLocked = error instanceof Error && 'code' in error && error.code === '55P03'
    if (!isLocked) throw error
    const what = 'Somebody writes to --from: stop every process that uses it.'
    throw new Error(what, { cause: error })
  }
}

type Facts = ReadonlyMap<string, string>

async function factsOf(client: Client): Promise<Facts> {
  const { rows } = await client.query<{ name: string; value: string }>(FACTS)
  return new Map(rows.map(({ name, value }) => [name, value]))
}

/** What its facts have against it. */
function problemsOf(facts: Facts, { to, currency }: Omit<Wanted, 'url'>): string[] {
  const stored = facts.get('shards')
  if (stored === undefined) return ['--from was never used: there is nothing to copy.']
  const shards = readShards(stored)
  if (shards === null) return ['--from is being filled itself: run that to its end first.']
  const problems: string[] = []
  if (to <= shards.count || to % shards.count !== 0) {
    problems.push(
      `SHARDS=${to} must be a multiple of ${shards.count}, which --from has: ` +
        `${shards.count * 2}, or ${shards.count * 64}.`,
    )
  }
  if (facts.has('cluster')) {
    problems.push(
      '--from is one of several servers: bring it to one first (docs/servers.md, “Moving a ' +
        'range”).',
    )
  }
  const booked = facts.get('currency')
  if (booked !== undefined && booked !== currency) {
    problems.push(`CURRENCY=${currency} must be that of --from: ${booked}.`)
  }
  return problems
}

/** What is going on in it. */
async function countProblems(client: Client): Promise<string[]> {
  const problems: string[] = []
  const count = async (text: string): Promise<number> =>
    (await client.query<{ count: number }>(text)).rows[0]?.count ?? 0
  const living = await count(LIVING)
  if (living > 0) {
    problems.push(
      `${living} processes use --from: stop them. One that was killed counts for 30 seconds.`,
    )
  }
  const running = await count(RUNNING)
  if (running > 0) {
    problems.push(
      `${running} redrives or replays of --from are not done: let them come to their end, or ` +
        'cancel them.',
    )
  }
  if ((await count(RESTORED)) > 0) {
    problems.push('--from was restored and is not recovered: run `payments recover` there first.')
  }
  return problems
}

async function sourceOf(client: Client, facts: Facts, to: number): Promise<ReshardSource> {
  const { count: from, grown: before } = readShards(facts.get('shards') ?? '1') ?? {
    count: 1,
    grown: null,
  }
  const tables = (await client.query<FoundTable>(BACKUP_TABLES)).rows
  const unknown = unknownTables(tables.map(({ name }) => name))
  if (unknown.length > 0) {
    throw new Error(`--from has tables that no migration makes: ${unknown.join(', ')}.`)
  }
  const places = (await client.query<{ name: string; last: string }>(SEQUENCES)).rows
  const sequences = places.map(({ name, last }) => ({ name, last: BigInt(last) }))
  const largest = (await client.query<{ id: string | null }>(LARGEST, [from])).rows[0]?.id ?? '0'
  const sums = (await client.query<{ sums: string }>(COUNTS)).rows[0]?.sums ?? ''
  const below = belowOf(sequences, { from, to }, BigInt(largest))
  if (below > BELOW_MAX) throw new Error('--from has ids too large to go on from.')
  const numbers = places.map(({ name, last }) => `${name} ${last}`)
  const byName = new Map(tables.map((table) => [table.name, table.columns]))
  return {
    client,
    division: { from, to },
    currency: facts.get('currency') ?? 'USD',
    fingerprint: [facts.get('shards'), to, sums, ...numbers].join('; '),
    sequences,
    tables,
    grown: { from: before?.from ?? from, below },
    columnsOf(table) {
      const columns = byName.get(table) ?? []
      return {
        columns: columns.filter((name) => name !== 'shard'),
        hasShard: columns.includes('shard'),
      }
    },
    async upTo({ table, key }, at, after, limit) {
      if (key === null) return null
      const [name, column] = [quoted(table), quoted(key)]
      const behind = after === null ? '' : `and ${column} > ${BigInt(after)}`
      const { rows } = await client.query<{ id: string }>(`
        select ${column}::text as id
        from ${name}
        where shard = ${at} ${behind}
        order by ${column}
        limit 1 offset ${limit - 1}`)
      return rows[0]?.id ?? null
    },
    close: () => client.end(),
  }
}

/** The first id behind all that were given, whatever they are of, that begins a row of new ones. */
function belowOf(sequences: readonly Sequence[], { from, to }: Division, largest: bigint): bigint {
  const given = sequences
    .filter(({ name }) => OF_SHARDS.includes(name))
    .map(({ last }) => last * BigInt(from) + BigInt(from - 1))
  const last = given.reduce((most, one) => (one > most ? one : most), largest)
  return (last / BigInt(to) + 1n) * BigInt(to)
}
