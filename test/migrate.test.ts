import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Client } from 'pg'
import { commandsOf } from '../src/adapters/migration-files.ts'
import { migrate, migrationStatus } from '../src/adapters/migrate.ts'
import { emptyDatabase, query } from './databases.ts'

/** Deleted by the test script, even if this process is killed. */
const TEMPORARY = process.env['TEST_FOLDER'] ?? tmpdir()

const ONE = 'create table one (id int primary key);\ninsert into one values (1);\n'
const TWO = 'alter table one add column name text;'
const FILES = { '0001_one.sql': ONE, '0002_two.sql': TWO }

test('pending migrations are applied in order, once', async (t) => {
  const { url, dir, sql } = await setup(t, FILES)
  const lines: string[] = []
  const first = await migrate(url, { dir, log: (line) => lines.push(line) })
  assert.deepEqual(first, { applied: ['0001_one', '0002_two'], current: '0002_two' })
  assert.equal(lines.length, 2)
  assert.deepEqual(await sql('select id, name from one'), [{ id: 1, name: null }])

  assert.deepEqual(await migrate(url, { dir }), { applied: [], current: '0002_two' })
  await fs.writeFile(join(dir, '0003_three.sql'), 'create table three ()')
  assert.deepEqual(await migrate(url, { dir }), { applied: ['0003_three'], current: '0003_three' })
})

test('migrations are applied up to the one that is named, and none where no file has that name', async (t) => {
  const { url, dir, sql } = await setup(t, FILES)
  await assert.rejects(migrate(url, { dir, last: '0002_to' }), /No migration is named 0002_to/)
  assert.deepEqual(await sql(TABLES), [])
  const first = await migrate(url, { dir, last: '0001_one' })
  assert.deepEqual(first, { applied: ['0001_one'], current: '0001_one' })
})

test('the status and a dry run tell what is pending and change nothing', async (t) => {
  const { url, dir, sql } = await setup(t, FILES)
  assert.deepEqual(await migrate(url, { dir, dryRun: true }), {
    applied: ['0001_one', '0002_two'],
    current: '',
  })
  assert.deepEqual(await migrationStatus(url, dir), [
    { name: '0001_one', appliedAt: null },
    { name: '0002_two', appliedAt: null },
  ])
  assert.deepEqual(await sql(TABLES), [])
  await migrate(url, { dir })
  const status = await migrationStatus(url, dir)
  assert.ok(status.every(({ appliedAt }) => appliedAt instanceof Date))
})

test('any number of concurrent runs on an empty database apply each migration once', async (t) => {
  const { url, dir } = await setup(t, FILES)
  const results = await Promise.all(Array.from({ length: 5 }, () => migrate(url, { dir })))
  const applied = results.flatMap((result) => result.applied)
  assert.deepEqual(applied.toSorted(), ['0001_one', '0002_two'])
  assert.ok(results.every(({ current }) => current === '0002_two'))
})

test('an applied migration that was edited is refused', async (t) => {
  const { url, dir } = await setup(t, FILES)
  await migrate(url, { dir })
  await fs.writeFile(join(dir, '0001_one.sql'), `${ONE} -- harmless`)
  await fs.writeFile(join(dir, '0003_three.sql'), 'create table three ()')
  const refusal = /0001_one was changed after it had been applied/
  await assert.rejects(migrate(url, { dir }), refusal)
  await assert.rejects(migrationStatus(url, dir), refusal)
})

test('line ends and a byte order mark are no change', async (t) => {
  const { url, dir } = await setup(t, FILES)
  await migrate(url, { dir })
  await fs.writeFile(join(dir, '0001_one.sql'), `\uFEFF${ONE.replaceAll('\n', '\r\n')}`)
  assert.deepEqual((await migrate(url, { dir })).applied, [])
})

test('a database newer than the build is refused', async (t) => {
  const { url, dir } = await setup(t, FILES)
  await migrate(url, { dir })
  await fs.rm(join(dir, '0002_two.sql'))
  await assert.rejects(
    migrate(url, { dir }),
    /has migration 0002_two, which this build does not know \(its newest is 0001_one\)/,
  )
})

test('a failing migration leaves nothing behind and keeps those before it', async (t) => {
  const text = 'create table two ();\n\ninsert into nowhere values (1);'
  const { url, dir, sql } = await setup(t, { ...FILES, '0002_two.sql': text })
  await assert.rejects(
    migrate(url, { dir }),
    /0002_two failed and was rolled back: relation "nowhere" does not exist \(line 3\)/,
  )
  assert.deepEqual(await sql(TABLES), [{ name: 'one' }, { name: 'schema_migrations' }])
  assert.deepEqual(await sql('select name from schema_migrations'), [{ name: '0001_one' }])

  await fs.writeFile(join(dir, '0002_two.sql'), TWO)
  assert.deepEqual((await migrate(url, { dir })).applied, ['0002_two'])
})

const BAD_FILES: readonly (readonly [file: string, error: RegExp])[] = [
  ['0003-three.sql', /0003-three\.sql is not named like 0001_name\.sql/],
  ['3_three.sql', /3_three\.sql is not named like/],
  ['0002_again.sql', /Two migrations have the number/],
  ['0000_late.sql', /0000_late has a lower number than 0002_two/],
]

for (const [file, error] of BAD_FILES) {
  test(`a file named ${file} is refused`, async (t) => {
    const { url, dir } = await setup(t, FILES)
    await migrate(url, { dir })
    await fs.writeFile(join(dir, file), 'select 1')
    await assert.rejects(migrate(url, { dir }), error)
  })
}

const STEPS = `-- Three steps.
-- step: once
create table two (id int primary key, name text);
insert into two select number, 'old' from generate_series(1, 25) number;
-- step: batches
with batch as (
  update two set name = 'new'
  where id in (
    select id from two where id > coalesce($1::text, '0')::int order by id limit 10
  )
  returning id
)
select case when count(*) = 10 then max(id)::text end as position from batch
-- step: once
insert into one select id + 1 + 0 / (id - 25) from two;
`

test('a migration of several steps keeps each step, and goes on where it failed', async (t) => {
  const { url, dir, sql } = await setup(t, { '0001_one.sql': ONE, '0002_two.sql': STEPS })
  const failed =
    /0002_two failed and was rolled back: division by zero\. The steps before this one are done/
  await assert.rejects(migrate(url, { dir }), failed)
  const names = await sql('select name, count(*) from two group by name')
  assert.deepEqual(names, [{ name: 'new', count: '25' }])
  assert.deepEqual(await sql('select name from schema_migrations'), [{ name: '0001_one' }])
  const [, pending] = await migrationStatus(url, dir)
  assert.equal(pending?.appliedAt, null)

  await sql('delete from two where id = 25')
  assert.deepEqual((await migrate(url, { dir })).applied, ['0002_two'])
  assert.equal((await sql('select from one')).length, 25)
  assert.deepEqual(await sql('select * from schema_migration_steps'), [])
})

test('a batch that fails keeps the batches before it, and is the next one', async (t) => {
  const { url, dir, sql } = await setup(t, { '0001_one.sql': ONE, '0002_two.sql': STEPS })
  const check = `alter table two add check (id <> 15 or name = 'old');`
  const broken = STEPS.replace('-- step: batches', `${check}\n-- step: batches`)
  await fs.writeFile(join(dir, '0002_two.sql'), broken)
  await assert.rejects(migrate(url, { dir }), /violates check constraint/)
  const count = `select count(*) from two where name = 'new'`
  assert.deepEqual(await sql(count), [{ count: '10' }])

  await sql('alter table two drop constraint two_check')
  // A batch of before would count twice.
  await sql(`update two set name = 'seen' where name = 'new'`)
  await sql('delete from two where id = 25')
  assert.deepEqual((await migrate(url, { dir })).applied, ['0002_two'])
  assert.deepEqual(await sql(count), [{ count: '14' }])
})

test('any number of concurrent runs make each step once', async (t) => {
  const steps = STEPS.replace(' + 0 / (id - 25)', '')
  const { url, dir, sql } = await setup(t, { '0001_one.sql': ONE, '0002_two.sql': steps })
  const results = await Promise.all(Array.from({ length: 5 }, () => migrate(url, { dir })))
  assert.deepEqual(results.flatMap(({ applied }) => applied).toSorted(), ['0001_one', '0002_two'])
  assert.deepEqual(await sql('select count(*) from one'), [{ count: '26' }])
})

test('an error in a step names the line of the file', async (t) => {
  const text = '-- step: once\nselect 1;\n-- step: once\nselect 2;\nselect nothing;\n'
  const { url, dir } = await setup(t, { ...FILES, '0003_three.sql': text })
  await assert.rejects(migrate(url, { dir }), /column "nothing" does not exist \(line 5\)/)
})

test('a step that waits for a lock gives way to those behind it, and tries again', async (t) => {
  const text =
    '-- step: once\ncreate table three ();\n-- step: once\nalter table one add more int;\n'
  const { url, dir } = await setup(t, { ...FILES, '0003_three.sql': text })
  const reader = new Client({ connectionString: url })
  await migrate(url, { dir: await folder(t, FILES) })
  // If the test fails, its database goes before it does.
  reader.on('error', () => undefined)
  await reader.connect()
  await reader.query('begin')
  await reader.query('select from one')

  const migrating = migrate(url, { dir })
  await waitingForLock(url)
  // It queues behind the migration, which queues behind the reader: it ends when one gives way.
  assert.equal((await query(url, 'select from one')).length, 1)
  await reader.query('commit')
  assert.deepEqual((await migrating).applied, ['0003_three'])
  await reader.end()
})

const ODD_STEPS: readonly (readonly [text: string, error: RegExp])[] = [
  ['-- step: twice\nselect 1;\n', /0003_three has a step of no known kind: -- step: twice/],
  ['select 1;\n-- step: once\nselect 2;\n', /0003_three has SQL before its first step/],
]

for (const [text, error] of ODD_STEPS) {
  test(`a file that begins ${JSON.stringify(text.split('\n')[0])} is refused`, async (t) => {
    const { url, dir } = await setup(t, { ...FILES, '0003_three.sql': text })
    await assert.rejects(migrate(url, { dir }), error)
  })
}

test("the project's own migrations apply to an empty database", async (t) => {
  const { url } = await setup(t, {})
  const { applied, current } = await migrate(url)
  assert.equal(applied[0], '0001_initial')
  assert.equal(applied.at(-1), current)
})

test('why old payments were refused is filled in, in batches, and what is shown stays', async (t) => {
  const { url, sql, dir } = await setup(t, {})
  const ours = new URL('../migrations/', import.meta.url)
  for (const file of await fs.readdir(ours)) {
    if (file < '0011') await fs.copyFile(new URL(file, ours), join(dir, file))
  }
  await migrate(url, { dir })
  const errors = [null, 'refused:insufficient_funds', 'http_402', 'refused', 'connection_refused']
  const values = errors.map((error) => (error === null ? 'null' : `'${error}'`)).join(', ')
  // More than a batch, over two shards.
  await sql(`
    insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps,
      last_error, created_at, finished_at)
    select n % 2, n, 1, 'deposit', 'failed', 100, 2, 200, (array[${values}])[n % 5 + 1],
      now(), now()
    from generate_series(1, 22000) n`)
  await migrate(url)
  const rows = await sql(`
    select last_error as error, refused_for as why, count(*)::int
    from payments
    group by 1, 2
    order by last_error collate "C" nulls first`)
  assert.deepEqual(rows, [
    { error: null, why: null, count: 4_400 },
    { error: 'connection_refused', why: null, count: 4_400 },
    { error: 'http_402', why: null, count: 4_400 },
    { error: 'refused', why: null, count: 4_400 },
    { error: 'refused:insufficient_funds', why: 'insufficient_funds', count: 4_400 },
  ])
  await assert.rejects(migrate(url, { dir }), /0011_refused_for, which this build does not know/)
})

const TABLES = `
  select table_name::text as name
  from information_schema.tables
  where table_schema = 'public'
  order by 1`

/** An empty database and a folder with `files`, both gone after the test. */
async function setup(t: TestContext, files: Readonly<Record<string, string>>) {
  const url = await emptyDatabase(t)
  return { url, dir: await folder(t, files), sql: (text: string) => query(url, text) }
}

/** A folder with files, gone after the test. */
async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await fs.mkdtemp(join(TEMPORARY, 'payments-migrate-'))
  t.after(() => fs.rm(dir, { recursive: true }))
  for (const [file, text] of Object.entries(files)) await fs.writeFile(join(dir, file), text)
  return dir
}

/** Resolves when a migration waits for the lock of a table. */
async function waitingForLock(url: string): Promise<void> {
  const waiting = `
    select from pg_stat_activity
    where application_name = 'payments-migrate' and datname = current_database()
      and wait_event_type = 'Lock'`
  while ((await query(url, waiting)).length === 0);
}

test('the commands of a migration are told apart, whatever stands in texts and bodies', () => {
  const text = `-- one; two
    create table a (x text default ';''');
    do $x$ begin perform 1; end $x$; alter table "a;b" add y int -- the end;
    ;`
  const commands = commandsOf(text).map((command) => command.trim())
  assert.deepEqual(commands, [
    "create table a (x text default ';''')",
    'do $x$ begin perform 1; end $x$',
    'alter table "a;b" add y int',
  ])
})
