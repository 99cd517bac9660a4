import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { postgres, type PostgresDb, type PostgresOptions } from '../src/adapters/postgres.ts'
import { loadConfig } from '../src/config/config.ts'
import { closing } from '../src/process/closing.ts'
import { openDatabase } from '../src/process/database.ts'
import { cloneDatabase, query } from './databases.ts'
import { raw } from './harness.ts'
import { NO_PGBOUNCER, pgbouncer, pgbouncerVersion } from './pgbouncer.ts'
import { FAST, range, until } from './process-kit.ts'
import { serve } from './serve.ts'
import { steadyLoad } from './steady-load.ts'

/** What a pooler has to let pass that knows nothing of it. */
const IGNORED = 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout'

function open(t: TestContext, url: string, options: Partial<PostgresOptions> = {}): PostgresDb {
  const db = postgres({
    url,
    currency: 'USD',
    shards: 1,
    poolMax: 6,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 20_000,
    lockTimeoutMs: 10_000,
    idleTransactionTimeoutMs: 30_000,
    name: 'pooled',
    ...options,
  })
  t.after(() => db.close())
  return db
}

const POOLED = { pooler: 'transaction', prepared: false } as const

const SETTINGS = raw<{ name: string; setting: string }>(
  `select name, setting from pg_settings
  where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
  order by name`,
)

test(
  'behind a pooler every transaction brings its limits along, and leaves none behind',
  { skip: NO_PGBOUNCER },
  async (t) => {
    const url = await cloneDatabase(t)
    const { url: through } = await pgbouncer(t, url, { default_pool_size: 2 })
    const db = open(t, through, POOLED)
    const limits = (rows: { setting: string }[]) => rows.map(({ setting }) => setting)
    assert.deepEqual(limits(await db.global.run(SETTINGS, [])), ['30000', '10000', '20000'])
    const shard = db.of(0n)
    const within = await shard.transaction((tx) => tx.run(SETTINGS, []))
    assert.deepEqual(limits(within), ['30000', '10000', '20000'])
    const patient = await shard.transaction((tx) => tx.run(SETTINGS, []), 1_234)
    assert.deepEqual(limits(patient), ['30000', '1234', '20000'])
    // Whoever is given the same connection without asking for anything finds the server's own.
    const own = await query<{ setting: string }>(through, SETTINGS.text)
    assert.deepEqual(limits(own), ['0', '0', '0'])
    assert.equal(await db.check(), null)
  },
)

test(
  'behind a pooler a single statement that fails has written nothing, and says why',
  { skip: NO_PGBOUNCER },
  async (t) => {
    const url = await cloneDatabase(t)
    const { url: through } = await pgbouncer(t, url)
    const db = open(t, through, POOLED)
    const twice = raw(`insert into settings (name, value) values ('a', '1'), ('a', '2')`)
    await assert.rejects(db.global.run(twice, []), /duplicate key/)
    const rows = await Promise.all(
      range(50).map((number) =>
        db.global.run(
          raw<{ value: string }>(
            `insert into settings (name, value) values ($1, $2) returning value`,
          ),
          [`name ${number}`, String(number)],
        ),
      ),
    )
    assert.deepEqual(
      rows.map(([row]) => row?.value),
      range(50).map(String),
    )
    assert.equal((await query(url, `select from settings where name like 'name %'`)).length, 50)
    assert.equal((await query(url, `select from settings where name = 'a'`)).length, 0)
  },
)

/** What a process says that is to open the database with these settings; null: it opens. */
async function refusal(url: string, env: Readonly<Record<string, string>>): Promise<string | null> {
  const config = loadConfig({ DATABASE_URL: url, DATABASE_WAIT_SECONDS: '60', ...env })
  const say = () => undefined
  const options = { stops: closing(), say, schema: 'any', embedded: 'found' } as const
  return openDatabase(config, options).then(
    () => null,
    (thrown: Error) => thrown.message,
  )
}

const TRANSACTION = { DATABASE_POOLER: 'transaction' }
const UNPREPARED = { DATABASE_PREPARED_STATEMENTS: 'false' }

test(
  'every set-up of a pooler that would not do is refused at the start, with the setting',
  { skip: NO_PGBOUNCER },
  async (t) => {
    const url = await cloneDatabase(t)
    const keeps = (pgbouncerVersion()?.[1] ?? 0) >= 21
    const forgetful = keeps ? { max_prepared_statements: 0 } : {}
    const strict = await pgbouncer(t, url, forgetful)
    const ignoring = await pgbouncer(t, url, { ...forgetful, ignore_startup_parameters: IGNORED })
    const single = await pgbouncer(t, url, { ...forgetful, pool_mode: 'statement' })
    const few = await pgbouncer(t, url, { ...forgetful, default_pool_size: 1 })

    assert.match((await refusal(strict.url, {})) ?? '', /startup parameter.*set DATABASE_POOLER=tr/)
    assert.match((await refusal(ignoring.url, {})) ?? '', /DATABASE_POOLER must be `transaction`/)
    for (const { url: through } of [strict, ignoring]) {
      const said = (await refusal(through, TRANSACTION)) ?? ''
      assert.match(said, /DATABASE_PREPARED_STATEMENTS must be `false`/)
    }
    const statements = (await refusal(single.url, { ...TRANSACTION, ...UNPREPARED })) ?? ''
    assert.match(statements, /pool_mode=transaction/)
    for (const { url: through } of [strict, ignoring, few]) {
      assert.equal(await refusal(through, { ...TRANSACTION, ...UNPREPARED }), null)
    }
    // Without a pooler, every choice is fine.
    for (const env of [{}, TRANSACTION, UNPREPARED, { ...TRANSACTION, ...UNPREPARED }]) {
      assert.equal(await refusal(url, env), null)
    }
  },
)

const TOO_OLD =
  NO_PGBOUNCER ||
  ((pgbouncerVersion()?.[1] ?? 0) < 21 &&
    'this PgBouncer keeps no prepared statements: that needs 1.21 or newer')

test('a pooler that keeps prepared statements is used with them', { skip: TOO_OLD }, async (t) => {
  const url = await cloneDatabase(t)
  const { url: through } = await pgbouncer(t, url, { max_prepared_statements: 1_000 })
  assert.equal(await refusal(through, TRANSACTION), null)
  const db = open(t, through, { pooler: 'transaction' })
  const rows = await Promise.all(
    range(100).map(() =>
      db.of(0n).transaction((tx) => tx.run(raw<{ a: number }>('select 1 as a'), [])),
    ),
  )
  assert.equal(rows.length, 100)
})

test(
  'a pooler that is killed under load costs time, and nothing else',
  { skip: NO_PGBOUNCER },
  async (t) => {
    const database = await cloneDatabase(t)
    const pooler = await pgbouncer(t, database)
    const timing = { GATEWAY_TIMEOUT_SECONDS: '1', WORKER_PROCESSING_TIMEOUT_SECONDS: '5' }
    const env = { ...FAST, ...timing, ...TRANSACTION, ...UNPREPARED }
    const service = await serve(t, env, { database: pooler.url })
    const load = await steadyLoad(service, 4)
    await load.more(50)
    for (const _ of range(2)) {
      await pooler.kill()
      await until('it is not ready', async () => !(await fetch(`${service.url}/readyz`)).ok)
      await pooler.start()
      await load.more(50)
    }
    await load.settle(database)
    await service.stop()
  },
)
