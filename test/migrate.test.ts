import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Client } from 'pg'
import { migrate, migrationStatus } from '../src/adapters/migrate.ts'

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

test("the project's own migrations apply to an empty database", async (t) => {
  const { url } = await setup(t, {})
  const { applied, current } = await migrate(url)
  assert.equal(applied[0], '0001_initial')
  assert.equal(applied.at(-1), current)
})

const TABLES = `
  select table_name::text as name
  from information_schema.tables
  where table_schema = 'public'
  order by 1`

/** An empty database and a folder with `files`, both gone after the test. */
async function setup(t: TestContext, files: Readonly<Record<string, string>>) {
  const admin = process.env['TEST_DATABASE_URL']
  assert.ok(admin, 'run the tests with `npm test`')
  const name = `migrate_${randomBytes(6).toString('hex')}`
  await query(admin, `create database ${name}`)
  t.after(() => query(admin, `drop database ${name} with (force)`))
  const url = Object.assign(new URL(admin), { pathname: `/${name}` }).href

  const dir = await fs.mkdtemp(join(TEMPORARY, 'payments-migrate-'))
  t.after(() => fs.rm(dir, { recursive: true }))
  for (const [file, text] of Object.entries(files)) await fs.writeFile(join(dir, file), text)
  return { url, dir, sql: (text: string) => query(url, text) }
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}
