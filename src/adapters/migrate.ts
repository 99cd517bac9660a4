import { createHash } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'

/** What a run did. Names are file names without `.sql`, such as `0001_initial`. */
interface MigrateResult {
  /** Applied by this call, in order; with `dryRun`, what a call would apply. */
  readonly applied: string[]
  /** The newest migration in the database; an empty string if there is none. */
  readonly current: string
}

interface MigrateOptions {
  readonly log?: (line: string) => void
  /** The folder of the `NNNN_name.sql` files; by default the project's `migrations`. */
  readonly dir?: string
  /** Check everything and change nothing. */
  readonly dryRun?: boolean
}

interface MigrationStatus {
  readonly name: string
  /** Null if it is still to be applied. */
  readonly appliedAt: Date | null
}

interface Migration {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly text: string
}

interface Applied {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly appliedAt: Date
}

/** Two levels up is the project's folder both from `src/adapters` and from `dist/adapters`. */
const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url))

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

/** Key of the lock that lets one process migrate at a time. Never change: releases mix. */
const LOCK_KEY = 7_233_010

/** How long to wait for another process that is migrating, and for one migration: a big index. */
const STATEMENT_TIMEOUT = '15min'

/**
 * How long a migration may wait for a table that is in use. Everyone else queues behind such a
 * wait, so it is better to fail and be run again.
 */
const LOCK_TIMEOUT = '10s'

const CONNECT_MS_MAX = 10_000

/**
 * Enough for the table to be there when several processes start at once; each round is one of them.
 */
const ROUNDS_MAX = 10_000

const TABLE = `
  create table if not exists schema_migrations (
    version int primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
  )`

/** Null if no migration was ever applied; reading must not create the table. */
const TABLE_EXISTS = `select to_regclass('schema_migrations') is not null as "exists"`

const APPLIED = `
  select version, name, checksum, applied_at as "appliedAt"
  from schema_migrations
  order by version`

const RECORD = 'insert into schema_migrations (version, name, checksum) values ($1, $2, $3)'

/**
 * Apply every pending migration of `dir` to the database at `url`, in order, each in a transaction
 * of its own: a failing one leaves nothing behind and keeps those before it. Any number of
 * processes may call this at once; each migration is applied once and all return when the database
 * is current.
 *
 * Throws, without having changed anything, if an applied migration has been edited, if the database
 * is newer than these files, or if a file's name or number is wrong.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<MigrateResult> {
  const migrations = await readMigrations(options.dir ?? MIGRATIONS_DIR)
  return await withClient(url, async (client) => {
    if (options.dryRun === true) {
      const done = await readApplied(client)
      const pending = pendingOf(migrations, done)
      return { applied: pending.map(({ name }) => name), current: done.at(-1)?.name ?? '' }
    }
    const applied: string[] = []
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const step = await applyNext(client, migrations)
      if (step.applied === null) return { applied, current: step.current }
      applied.push(step.applied)
      options.log?.(`Migrated the database to ${step.applied}`)
    }
    throw new Error(`More than ${ROUNDS_MAX} migrations.`)
  })
}

/**
 * Every migration of this build and when it was applied. Changes nothing. Throws as `migrate` does.
 */
export async function migrationStatus(url: string, dir?: string): Promise<MigrationStatus[]> {
  const migrations = await readMigrations(dir ?? MIGRATIONS_DIR)
  return await withClient(url, async (client) => {
    const done = await readApplied(client)
    pendingOf(migrations, done)
    return migrations.map(({ version, name }) => ({
      name,
      appliedAt: done.find((row) => row.version === version)?.appliedAt ?? null,
    }))
  })
}

/**
 * Demand the schema that this build needs, and change nothing. Throws a sentence that says what to
 * do when the database's is older or newer, and as `migrate` does.
 */
export async function demandSchema(url: string, dir?: string): Promise<void> {
  const status = await migrationStatus(url, dir)
  const pending = status.filter(({ appliedAt }) => appliedAt === null)
  if (pending.length === 0) return
  const has = status.findLast(({ appliedAt }) => appliedAt !== null)
  const found =
    has === undefined
      ? 'The database has no tables of this service yet'
      : `The database's schema is older than this build: it is at ${has.name} and lacks ` +
        pending.map(({ name }) => name).join(', ')
  throw new Error(`${found}. Run \`payments migrate\` first.`)
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: url,
    application_name: 'payments-migrate',
    connectionTimeoutMillis: CONNECT_MS_MAX,
  })
  // A lost connection also rejects the query in flight; without a listener it would end the
  // process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * One transaction: the first pending migration, or nothing. The lock belongs to the transaction, so
 * it also holds behind a connection pooler and cannot be left over. What is pending is read under
 * it.
 */
async function applyNext(
  client: Client,
  migrations: readonly Migration[],
): Promise<{ applied: string | null; current: string }> {
  await client.query('begin')
  try {
    await client.query(`set local statement_timeout = '${STATEMENT_TIMEOUT}'`)
    await client.query('set local lock_timeout = 0')
    await client.query('select pg_advisory_xact_lock($1)', [LOCK_KEY])
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    // Under the lock, so that two first starts cannot collide in the catalog.
    await client.query(TABLE)
    const done = await readApplied(client)
    const [next] = pendingOf(migrations, done)
    if (next !== undefined) {
      await execute(client, next)
      await client.query(RECORD, [next.version, next.name, next.checksum])
    }
    await client.query('commit')
    return { applied: next?.name ?? null, current: next?.name ?? done.at(-1)?.name ?? '' }
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

async function execute(client: Client, migration: Migration): Promise<void> {
  try {
    await client.query(migration.text)
  } catch (error) {
    // Errors of the server carry the position, counted in characters from 1.
    const { message, position } = error as Error & { position?: string }
    const before = position === undefined ? null : migration.text.slice(0, Number(position) - 1)
    const place = before === null ? '' : ` (line ${before.split('\n').length})`
    throw new Error(
      `Migration ${migration.name} failed and was rolled back: ${message}${place}. ` +
        'The database is as it was before this migration.',
      { cause: error },
    )
  }
}

async function readApplied(client: Client): Promise<Applied[]> {
  const { rows } = await client.query<{ exists: boolean }>(TABLE_EXISTS)
  if (rows[0]?.exists !== true) return []
  return (await client.query<Applied>(APPLIED)).rows
}

/** The migrations still to apply, once it is certain that those applied are the ones we know. */
function pendingOf(migrations: readonly Migration[], done: readonly Applied[]): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.version, migration]))
  const newest = migrations.at(-1)
  for (const { version, name, checksum } of done) {
    const migration = known.get(version)
    if (migration === undefined) {
      throw new Error(
        `The database has migration ${name}, which this build does not know (its newest is ` +
          `${newest?.name ?? 'none'}). Run a build at least as new as the database.`,
      )
    }
    if (migration.checksum !== checksum) {
      throw new Error(
        `Migration ${migration.name} was changed after it had been applied. Restore the file, and ` +
          'put the change into a new migration.',
      )
    }
  }
  const current = done.at(-1)?.version ?? 0
  const pending = migrations.filter(({ version }) => !done.some((row) => row.version === version))
  const late = pending.find(({ version }) => version < current)
  if (late === undefined) return pending
  throw new Error(
    `Migration ${late.name} has a lower number than ${done.at(-1)?.name}, which is applied already. ` +
      'Give it the next free number.',
  )
}

async function readMigrations(dir: string): Promise<Migration[]> {
  const files = (await fs.readdir(dir)).filter((file) => file.endsWith('.sql')).toSorted()
  const migrations: Migration[] = []
  for (const file of files) {
    const version = Number(FILE_NAME.exec(file)?.[1])
    if (Number.isNaN(version)) throw new Error(`Migration ${file} is not named like 0001_name.sql.`)
    if (migrations.at(-1)?.version === version) {
      throw new Error(`Two migrations have the number of ${file}.`)
    }
    // Git may check files out with other line ends, and some editors add a byte order mark.
    const raw = await fs.readFile(join(dir, file), 'utf8')
    const text = raw.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
    const checksum = createHash('sha256').update(text).digest('hex')
    migrations.push({ version, name: file.slice(0, -'.sql'.length), checksum, text })
  }
  return migrations
}
