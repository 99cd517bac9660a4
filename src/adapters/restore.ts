import type { Client } from 'pg'
import { numbersBehind } from '../domain/numbers-behind.ts'
import { columnList, quoted, BACKUP_TABLES, type FoundTable } from './backup.ts'
import { readRows, type Backup, type BackedTable, type BackupPart } from './backup-files.ts'
import { copyIn } from './copy-stream.ts'
import { migrate, migrationStatus } from './migrate.ts'
import { readMigrations } from './migration-files.ts'
import { connectToPrimary } from './primary.ts'

const CONNECT_MS_MAX = 10_000

/** A large table takes as long as it takes, and whoever else wants the database can wait. */
const OPEN = `
  begin;
  set local statement_timeout = 0;
  set local idle_in_transaction_session_timeout = 0`

/** Whoever starts writes a setting first, so from here on nobody does. */
const LOCK = 'lock table settings in access exclusive mode'

/** Whether this backup was restored here and is not recovered: then there is nothing to do. */
const RESTORED = `
  select from restores
  where backup_id = $1 and recovered_at is null`

/** How old the backup is, by the clock that dates what is in it. */
const AGE = `
  select extract(epoch from clock_timestamp() - $1::timestamptz)::float8 * 1000 as ms`

/** Numbers that were given after the backup are known to gateways and to whoever asked for them. */
const ADVANCE = `
  select setval(format('%I', $1::text)::regclass, $2::bigint + $3::bigint)`

/**
 * Positions of events are no sequence, and whoever read on after the backup asks from where he was:
 * new ones come behind that, too, and he is told that some between may be gone.
 */
const ADVANCE_EVENTS = `
  update event_wants
  set position = position + $1::bigint, dropped = position + $1::bigint`

/** Somebody who was signed in at the backup may be signed out since. */
const END_SESSIONS = 'delete from console_sessions'

/**
 * Every open payment may have been charged after the backup. It is as if a worker had claimed it
 * and died: its next claim counts that as a charge in doubt, which it dates with the restore, and
 * asks the gateway first. The gateway's memory of its key may have begun at the backup already.
 * What was in doubt or pending is asked about in any case.
 */
const DOUBT = `
  with lost as (
    update payment_tasks
    set
      leased = true, fence = fence + 1, run_at = clock_timestamp(),
      first_sent_at = coalesce(first_sent_at, $1::timestamptz)
    where lookups = 0 and pendings = 0
    returning shard
  )
  insert into payment_counts (shard, started)
  select shard, count(*)
  from lost
  group by shard`

/** What these had still to do may have been done after the backup: people look, then go on. */
const CANCEL_RUNS = `
  update redrives
  set state = 'canceled', ended_at = clock_timestamp(), canceled_by = $1
  where state in ('planned', 'running', 'replaying')`

const MARK = `
  insert into restores (backup_id, backup_at, restored_at, restored_by)
  values ($1, $2, clock_timestamp(), $3)`

/** Who restores, and who is told how far it is. */
interface Restoring {
  readonly actor: string
  /** Told of a table that is about to be loaded. */
  readonly onTable: (table: BackedTable) => void
}

/**
 * Restore a part of a backup into the server at `url`, whose database must hold nothing: the schema
 * as it was, everything in one transaction, and then the newest schema. Cut short, it has restored
 * nothing, and is run again. Returns false where that part is there already. Afterwards the
 * database is marked: no process uses it until it was recovered.
 */
export async function restorePart(
  url: string,
  { backup, part }: { readonly backup: Backup; readonly part: BackupPart },
  restoring: Restoring,
): Promise<boolean> {
  const { manifest } = backup
  const done = await withClient(url, async (client) => {
    if (!(await hasTables(client))) return false
    return isRestored(client, manifest.id)
  })
  if (done) {
    // Cut short behind the commit, its schema is that of the backup.
    await migrate(url)
    return false
  }
  await demandKnown(url, backup)
  const last = manifest.migrations.at(-1)?.name
  if (last !== undefined) await migrate(url, { last })
  await withClient(url, async (client) => {
    await client.query(OPEN)
    await client.query(LOCK)
    await demandEmpty(client, part)
    for (const table of part.tables) {
      restoring.onTable(table)
      await load(client, backup, table)
    }
    const { rows } = await client.query<{ ms: number }>(AGE, [part.moment])
    const far = numbersBehind(rows[0]?.ms ?? 0)
    for (const { name, last: value } of part.sequences) {
      await client.query(ADVANCE, [name, value, far])
    }
    await client.query(ADVANCE_EVENTS, [far])
    await client.query(END_SESSIONS)
    await client.query(DOUBT, [part.moment])
    await client.query(CANCEL_RUNS, [restoring.actor])
    await client.query(MARK, [manifest.id, part.moment, restoring.actor])
    await client.query('commit')
    // Plans that were made for empty tables read all of large ones.
    await client.query('analyze')
  })
  await migrate(url)
  return true
}

/**
 * Throws a sentence unless this build knows the schema of the backup, and the database has none
 * that is newer.
 */
export async function demandKnown(url: string | null, { manifest }: Backup): Promise<void> {
  const migrations = await readMigrations()
  for (const { name, checksum } of manifest.migrations) {
    const known = migrations.find((migration) => migration.name === name)
    if (known === undefined || known.checksum !== checksum) {
      const what = known === undefined ? 'does not know' : 'has another form of'
      throw new Error(
        `The backup has migration ${name}, which this build ${what}. It was made by version ` +
          `${manifest.version}: restore it with a build at least as new.`,
      )
    }
  }
  if (url === null) return
  const newer = (await migrationStatus(url)).find(
    ({ name, appliedAt }) =>
      appliedAt !== null && !manifest.migrations.some((one) => one.name === name),
  )
  if (newer === undefined) return
  throw new Error(
    `The database has migration ${newer.name}, and the backup is from before it: restore into a ` +
      'new database.',
  )
}

async function hasTables(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>(
    `select to_regclass('restores') is not null as "exists"`,
  )
  return rows[0]?.exists === true
}

async function isRestored(client: Client, backupId: string): Promise<boolean> {
  return (await client.query(RESTORED, [backupId])).rowCount !== 0
}

/** Throws unless the tables are those of the backup and no row is in any. */
async function demandEmpty(client: Client, part: BackupPart): Promise<void> {
  const { rows: found } = await client.query<FoundTable>(BACKUP_TABLES)
  for (const { name, columns } of part.tables) {
    const here = found.find((table) => table.name === name)
    const missing = columns.filter((column) => here?.columns.includes(column) !== true)
    if (missing.length === 0) continue
    const what = here === undefined ? `the table ${name}` : `${name}.${missing.join(', ')}`
    throw new Error(`The backup has ${what}, which no migration makes: it cannot be restored.`)
  }
  for (const { name } of found) {
    const { rowCount } = await client.query(`select from ${quoted(name)} limit 1`)
    if (rowCount === 0) continue
    throw new Error(
      `The database is not empty (${name} has rows), and nothing is overwritten: restore into a ` +
        'new one.',
    )
  }
}

async function load(client: Client, backup: Backup, table: BackedTable): Promise<void> {
  const text = `copy ${quoted(table.name)} (${columnList(table.columns)}) from stdin`
  const rows = await readRows(backup, table, (source) => copyIn(client, text, source))
  if (rows === table.rows) return
  throw new Error(`${table.file} has ${rows} rows, and had ${table.rows} when it was written.`)
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const options = {
    application_name: 'payments restore',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
  }
  const client = await connectToPrimary(options, url)
  try {
    return await work(client)
  } finally {
    // What is not committed is undone.
    await client.end().catch(() => undefined)
  }
}
