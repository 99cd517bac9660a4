import type { Client } from 'pg'
import { systemClock } from './clock.ts'
import { connectToPrimary } from './primary.ts'
import {
  commandsOf,
  readMigrations,
  type Migration,
  type MigrationStep,
} from './migration-files.ts'

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
  /** The last migration to apply, by its name; by default all are. */
  readonly last?: string
}

interface MigrationStatus {
  readonly name: string
  /** Null if it is still to be applied. */
  readonly appliedAt: Date | null
}

/** How far a migration of several steps has come. */
interface Progress {
  readonly step: number
  readonly done: boolean
  readonly position: string | null
}

interface Applied {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly appliedAt: Date
}

/** Key of the lock that lets one process migrate at a time. Never change: releases mix. */
const LOCK_KEY = 7_233_010

/** How long to wait for another process that is migrating, and for one migration: a big index. */
const STATEMENT_TIMEOUT = '15min'

/**
 * How long a migration may wait for a table that is in use. Everyone else queues behind such a
 * wait, so it is better to fail and be run again.
 */
const LOCK_TIMEOUT = '10s'

/**
 * The same for a step of several: it holds few locks, briefly, so it may as well give way at once
 * and try again. The pause in milliseconds lets those pass who queued behind it.
 */
const STEP_LOCK_TIMEOUT = '1s'
const STEP_PAUSE_MS = 1_000
const STEP_TRIES_MAX = 60

/** What PostgreSQL says when a lock could not be had in time. */
const LOCK_NOT_AVAILABLE = '55P03'

const CONNECT_MS_MAX = 10_000

/** A round is a migration, a step of one, or a batch of a step: enough for a billion rows. */
const ROUNDS_MAX = 1_000_000

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

/** Made when it is first needed: most migrations are one step. */
const STEPS_TABLE = `
  create table if not exists schema_migration_steps (
    version int,
    step int,
    done boolean not null,
    position text,
    primary key (version, step)
  )`

const PROGRESS = `
  select step, done, position
  from schema_migration_steps
  where version = $1
  order by step`

const ADVANCE = `
  insert into schema_migration_steps (version, step, done, position)
  values ($1, $2, $3, $4)
  on conflict (version, step) do update
  set done = excluded.done, position = excluded.position`

const FORGET_STEPS = 'delete from schema_migration_steps where version = $1'

const RECORD = 'insert into schema_migrations (version, name, checksum) values ($1, $2, $3)'

/**
 * Apply every pending migration of `dir` to the database at `url`, in order, each in a transaction
 * of its own: a failing one leaves nothing behind and keeps those before it. One of several steps
 * goes on where it was left. Any number of processes may call this at once; each migration is
 * applied once and all return when the database is current.
 *
 * Throws, without having changed anything, if an applied migration has been edited, if the database
 * is newer than these files, if a file's name or number is wrong, or if no file is the last one.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<MigrateResult> {
  const all = await readMigrations(options.dir)
  const migrations = upTo(all, options.last)
  return await withClient(url, async (client) => {
    if (options.dryRun === true) {
      const done = await readApplied(client)
      const pending = pendingOf(migrations, done)
      return { applied: pending.map(({ name }) => name), current: done.at(-1)?.name ?? '' }
    }
    const applied: string[] = []
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const { kind, name } = await applyPatiently(client, migrations)
      if (kind === 'current') return { applied, current: name }
      if (kind === 'step') continue
      applied.push(name)
      options.log?.(`Migrated the database to ${name}`)
    }
    throw new Error(`More than ${ROUNDS_MAX} steps of migrations.`)
  })
}

/** The migrations up to `last`, or all. */
function upTo(all: readonly Migration[], last: string | undefined): readonly Migration[] {
  if (last === undefined) return all
  const end = all.findIndex(({ name }) => name === last) + 1
  if (end === 0) throw new Error(`No migration is named ${last}.`)
  return all.slice(0, end)
}

/**
 * Every migration of this build and when it was applied. Changes nothing. Throws as `migrate` does.
 */
export async function migrationStatus(url: string, dir?: string): Promise<MigrationStatus[]> {
  const migrations = await readMigrations(dir)
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
  const options = {
    application_name: 'payments-migrate',
    connectionTimeoutMillis: CONNECT_MS_MAX,
  }
  const client = await connectToPrimary(options, url)
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * What a transaction came to: a migration was finished, a step of one was made, or none is left.
 */
interface Round {
  readonly kind: 'migrated' | 'step' | 'current'
  /** The migration; when none is left, the newest one, or an empty string. */
  readonly name: string
}

/** One transaction, and again when a step could not have its lock at once. */
async function applyPatiently(client: Client, migrations: readonly Migration[]): Promise<Round> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await applyNext(client, migrations)
    } catch (error) {
      const { cause } = error as Error
      const locked = cause instanceof StepLocked
      if (!locked || attempt === STEP_TRIES_MAX) throw error
      await systemClock.sleep(STEP_PAUSE_MS)
    }
  }
}

/** A step could not have its locks in time: others are using the table. */
class StepLocked extends Error {}

/**
 * One transaction: the first pending migration or its next step, or nothing. The lock belongs to
 * the transaction, so it also holds behind a connection pooler and cannot be left over. What is
 * pending is read under it.
 */
async function applyNext(client: Client, migrations: readonly Migration[]): Promise<Round> {
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
    const finished = next === undefined || (await apply(client, next))
    if (next !== undefined && finished) {
      await client.query(RECORD, [next.version, next.name, next.checksum])
    }
    await client.query('commit')
    if (next === undefined) return { kind: 'current', name: done.at(-1)?.name ?? '' }
    return { kind: finished ? 'migrated' : 'step', name: next.name }
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** Carry out a migration, or the next step of it. True when it is finished. */
async function apply(client: Client, migration: Migration): Promise<boolean> {
  const { steps, version } = migration
  const [only, ...more] = steps
  if (only === undefined || (more.length === 0 && only.kind === 'once')) {
    if (only !== undefined) await execute(client, migration, only)
    return true
  }
  await client.query(STEPS_TABLE)
  await client.query(`set local lock_timeout = '${STEP_LOCK_TIMEOUT}'`)
  const { rows } = await client.query<Progress>(PROGRESS, [version])
  const index = rows.filter(({ done }) => done).length
  const step = steps[index]
  if (step === undefined) throw new Error(`${migration.name} has fewer steps than were made.`)
  const last = rows.find((row) => row.step === index)?.position ?? null
  const position = await execute(client, migration, step, last)
  const done = position === null
  if (done && index === steps.length - 1) {
    await client.query(FORGET_STEPS, [version])
    return true
  }
  await client.query(ADVANCE, [version, index, done, position])
  return false
}

/** Run a step, or one batch of it. Returns where the next batch begins; null: there is none. */
async function execute(
  client: Client,
  migration: Migration,
  step: MigrationStep,
  position: string | null = null,
): Promise<string | null> {
  try {
    if (step.kind === 'once') {
      await executeAll(client, step.text)
      return null
    }
    const { rows } = await client.query<{ position: string | null }>(step.text, [position])
    return rows[0]?.position ?? null
  } catch (error) {
    throw failure(migration, step, error as DatabaseError)
  }
}

/** Citus says so of a text of several commands, one of which is about a distributed table. */
const ONE_BY_ONE = 'cannot insert multiple commands into a prepared statement'

/** Carry out all commands of a text: together, or one by one where that is refused. */
async function executeAll(client: Client, text: string): Promise<void> {
  await client.query('savepoint whole')
  try {
    await client.query(text)
  } catch (error) {
    if (!(error instanceof Error) || error.message !== ONE_BY_ONE) throw error
    await client.query('rollback to savepoint whole')
    for (const command of commandsOf(text)) await client.query(command)
  }
}

/** Errors of the server carry the position, counted in characters from 1. */
type DatabaseError = Error & { readonly position?: string; readonly code?: string }

function failure(migration: Migration, step: MigrationStep, error: DatabaseError): Error {
  const { message, position, code } = error
  const before = position === undefined ? null : step.text.slice(0, Number(position) - 1)
  const line = before === null ? null : step.linesBefore + before.split('\n').length
  const place = line === null ? '' : ` (line ${line})`
  const several = migration.steps.length > 1
  const left = several
    ? 'The steps before this one are done, and it goes on from here when it is run again.'
    : 'The database is as it was before this migration.'
  return new Error(
    `Migration ${migration.name} failed and was rolled back: ${message}${place}. ${left}`,
    { cause: several && code === LOCK_NOT_AVAILABLE ? new StepLocked(message) : error },
  )
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
        `Migration ${migration.name} was changed after it had been applied. Restore the file, ` +
          'and ' +
          'put the change into a new migration.',
      )
    }
  }
  const current = done.at(-1)?.version ?? 0
  const pending = migrations.filter(({ version }) => !done.some((row) => row.version === version))
  const late = pending.find(({ version }) => version < current)
  if (late === undefined) return pending
  throw new Error(
    `Migration ${late.name} has a lower number than ${done.at(-1)?.name}, which is applied ` +
      'already. ' +
      'Give it the next free number.',
  )
}
