import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { checkFile, readBackup } from '../src/adapters/backup-files.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { cloneDatabase, emptyDatabase, query } from './databases.ts'
import { CALM, FAST, range, temporaryFolder, until } from './process-kit.ts'
import { run } from './programs.ts'
import { serve } from './serve.ts'

type Row = Record<string, unknown>

/** Every table of a database by its name, but for the list of migrations. */
async function tablesOf(url: string): Promise<string[]> {
  const rows = await query<{ name: string }>(
    url,
    `select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE'
      and table_name not like 'schema_migration%'
    order by 1`,
  )
  return rows.map(({ name }) => name)
}

/** The rows of a table as texts, in an order of their own. */
async function rowsOf(url: string, table: string): Promise<string[]> {
  const rows = await query<{ row: string }>(url, `select t::text as row from ${table} t order by 1`)
  return rows.map(({ row }) => row)
}

/** A database with payments of all kinds, and texts that a format of files may trip over. */
async function usedDatabase(t: TestContext): Promise<string> {
  const service = await serve(t, FAST)
  await service.call('PUT', '/mock-gateway/faults', CALM)
  const opened = await service.call('POST', '/users', { balance: 100 })
  assert.equal(opened.status, 201, opened.text)
  const user = opened.body['id']
  const endpoint = { url: 'http://127.0.0.1:9/nobody', types: ['payment.*'] }
  const wanted = await service.call('POST', '/webhook-endpoints', endpoint)
  assert.equal(wanted.status, 201, wanted.text)
  for (const amount of range(6)) {
    const kind = amount % 2 === 0 ? 'deposit' : 'withdraw'
    const body = { user_id: user, [kind === 'deposit' ? 'deposit' : 'amount']: amount }
    const made = await service.call('POST', `/payments/${kind}`, body)
    assert.equal(made.status, 202, made.text)
  }
  await until('all are done', async () => {
    const { body } = await service.call('GET', '/payments?status=new')
    return (body['data'] as unknown[]).length === 0
  })
  await until('somebody is told of each', async () => {
    const told = `select count(*)::int as count from deliveries`
    const [row] = await query<{ count: number }>(service.database, told)
    return row?.count === 6
  })
  await service.stop()
  await query(
    service.database,
    `insert into payment_details (shard, payment_id, description, metadata, sent)
    select
      shard, id, E'tab\\there, \\\\N, \\\\.\\nand\\r\\n„quotes“ "" '''' 💶', '{"a": [1.50, null]}',
      '{}'
    from payments`,
  )
  return service.database
}

/** A database with a row in some tables, made by hand. */
async function filledDatabase(t: TestContext): Promise<string> {
  const url = await cloneDatabase(t)
  await query(
    url,
    `insert into settings (name, value) values ('shards', '1'), ('currency', 'USD');
    insert into users (shard, id, available, held, created_at)
    select 0, id, id, 0, now() from generate_series(1, 1000) id`,
  )
  return url
}

async function backedUp(t: TestContext, env: Readonly<Record<string, string>>): Promise<string> {
  const to = join(await temporaryFolder(t), 'backups', 'first')
  const made = await run(t, ['backup', '--to', to], env)
  assert.equal(made.code, 0, made.stderr)
  return to
}

/** Tables that a restore changes, and what it changes in them is shown below. */
const CHANGED = [
  'console_sessions',
  'event_wants',
  'payment_tasks',
  'payment_counts',
  'redrives',
  'restores',
]

test('every table comes back row by row, whoever added it, and no number is given twice', async (t) => {
  const source = await usedDatabase(t)
  const from = await backedUp(t, { DATABASE_URL: source })
  const target = await emptyDatabase(t)
  const env = { DATABASE_URL: target }
  const restored = await run(t, ['restore', '--from', from], env)
  assert.equal(restored.code, 0, restored.stderr)
  assert.match(restored.stdout, /run `payments recover`/)

  const tables = await tablesOf(source)
  const files = await fs.readdir(join(from, 'home'))
  assert.deepEqual(
    files.toSorted(),
    tables.map((table) => `${table}.copy.gz`),
  )
  assert.deepEqual(await tablesOf(target), tables)
  const filled: string[] = []
  for (const table of tables.filter((name) => !CHANGED.includes(name))) {
    const rows = await rowsOf(source, table)
    if (rows.length > 0) filled.push(table)
    assert.deepEqual(await rowsOf(target, table), rows, table)
  }
  for (const table of [
    'users',
    'payments',
    'postings',
    'payment_details',
    'events',
    'deliveries',
  ]) {
    assert.ok(filled.includes(table), table)
  }
  const newest = 'select max(position)::float8 as newest from event_wants'
  const [was] = await query<{ newest: number }>(source, newest)
  const [is] = await query<{ newest: number }>(target, newest)
  assert.ok((was?.newest ?? 0) > 0)
  assert.ok((is?.newest ?? 0) >= (was?.newest ?? 0) + 1_000_000, 'a reader’s cursor stays behind')
  const told = 'select min(dropped - position)::float8 as behind from event_wants'
  const [{ behind } = { behind: -1 }] = await query<{ behind: number }>(target, told)
  assert.equal(behind, 0, 'a reader is told that some may be gone')
  const lasts = `
    select sequencename as name, coalesce(last_value, 0)::float8 as last
    from pg_sequences where schemaname = 'public' order by 1`
  const before = await query<{ name: string; last: number }>(source, lasts)
  const after = await query<{ name: string; last: number }>(target, lasts)
  for (const [index, { name, last }] of before.entries()) {
    assert.equal(after[index]?.name, name)
    assert.ok((after[index]?.last ?? 0) >= last + 1_000_000, name)
  }
})

test('a table that no migration makes is in the backup, and restoring it is refused', async (t) => {
  const source = await cloneDatabase(t)
  await query(source, 'create table "../Extra, table" (value text)')
  await query(source, `insert into "../Extra, table" values ('kept')`)
  const from = await backedUp(t, { DATABASE_URL: source })
  const target = await emptyDatabase(t)
  const restored = await run(t, ['restore', '--from', from], { DATABASE_URL: target })
  assert.equal(restored.code, 1)
  assert.match(restored.stderr, /has the table \.\.\/Extra, table, which no migration makes/)
  assert.deepEqual(await query(target, 'select * from settings'), [])
})

test('nothing is overwritten: neither a folder nor a database with rows', async (t) => {
  const source = await filledDatabase(t)
  const env = { DATABASE_URL: source }
  const from = await backedUp(t, env)
  const again = await run(t, ['backup', '--to', from], env)
  assert.equal(again.code, 1)
  assert.match(again.stderr, /is there already, and nothing is overwritten/)
  const restored = await run(t, ['restore', '--from', from], env)
  assert.equal(restored.code, 1)
  assert.match(restored.stderr, /is not empty \(\w+ has rows\)/)
  // Nothing is left of what was begun.
  assert.deepEqual(await fs.readdir(join(from, '..')), ['first'])
  const mode = async (path: string) => (await fs.stat(path)).mode & 0o077
  assert.deepEqual([await mode(from), await mode(join(from, 'manifest.json'))], [0, 0])
})

/** Read and write what a backup says of itself, as somebody with an editor would. */
async function edited(from: string, change: (manifest: Row) => void): Promise<void> {
  const path = join(from, 'manifest.json')
  const manifest = JSON.parse(await fs.readFile(path, 'utf8')) as Row
  change(manifest)
  await fs.writeFile(path, JSON.stringify(manifest))
}

/** Name another file for the first table, and vouch for it as a forger would. */
function withFile(manifest: Row, file: string): void {
  const [part] = manifest['parts'] as { tables: { file: string }[] }[]
  if (part?.tables[0] !== undefined) part.tables[0].file = file
  const { sha256, ...all } = manifest
  assert.notEqual(sha256, undefined)
  manifest['sha256'] = createHash('sha256').update(JSON.stringify(all)).digest('hex')
}

const DAMAGES: readonly (readonly [
  name: string,
  damage: (from: string) => Promise<void>,
  says: RegExp,
])[] = [
  [
    'a flipped bit',
    async (from) => {
      const path = join(from, 'home', 'users.copy.gz')
      const bytes = await fs.readFile(path)
      bytes[20] = (bytes[20] ?? 0) ^ 1
      await fs.writeFile(path, bytes)
    },
    /users\.copy\.gz is damaged/,
  ],
  [
    'a missing file',
    (from) => fs.rm(join(from, 'home', 'payments.copy.gz')),
    /payments\.copy\.gz is missing/,
  ],
  [
    'a changed manifest',
    (from) => edited(from, (it) => (it['currency'] = 'EUR')),
    /manifest\.json was changed/,
  ],
  [
    'another form',
    (from) => edited(from, (it) => (it['form'] = 'payments-backup-9')),
    /a form that this build/,
  ],
  [
    'half a manifest',
    (from) => fs.truncate(join(from, 'manifest.json'), 40),
    /manifest\.json is damaged/,
  ],
  [
    'a file of somebody else',
    (from) => edited(from, (it) => withFile(it, '../../etc/passwd')),
    /names a file that is not its own: \.\.\/\.\.\/etc\/passwd/,
  ],
  ['no manifest', (from) => fs.rm(join(from, 'manifest.json')), /is no backup: it has no manifest/],
]

test('what is damaged or was changed is refused before anything is restored', async (t) => {
  const from = await backedUp(t, { DATABASE_URL: await filledDatabase(t) })
  const env = { DATABASE_URL: await emptyDatabase(t) }
  assert.equal((await run(t, ['restore', '--from', from, '--check'], env)).code, 0)
  for (const [name, damage, says] of DAMAGES) {
    const copy = join(await temporaryFolder(t), 'copy')
    await fs.cp(from, copy, { recursive: true })
    await damage(copy)
    const read = async () => {
      const backup = await readBackup(copy)
      for (const { tables } of backup.manifest.parts) {
        for (const table of tables) await checkFile(backup, table)
      }
    }
    await assert.rejects(read, says, name)
  }
  await DAMAGES[0]?.[1](from)
  const refused = await run(t, ['restore', '--from', from], env)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /users\.copy\.gz is damaged/)
  assert.deepEqual(await tablesOf(env.DATABASE_URL), [])
})

test('settings with which the backup could not be used are refused', async (t) => {
  const from = await backedUp(t, { DATABASE_URL: await filledDatabase(t) })
  const other = await emptyDatabase(t)
  const refused = await run(t, ['restore', '--from', from], {
    DATABASE_URL: other,
    CURRENCY: 'EUR',
    SHARDS: '4',
    SHARD_DATABASES: `0-3=${other}`,
  })
  assert.equal(refused.code, 2)
  for (const says of [
    /set SHARDS=1/,
    /set CURRENCY=USD/,
    /SHARD_DATABASES must be as the backup/,
  ]) {
    assert.match(refused.stderr, says)
  }
})

test('a restore that fails in the middle restores nothing, and is run again', async (t) => {
  const from = await backedUp(t, { DATABASE_URL: await filledDatabase(t) })
  const target = await emptyDatabase(t)
  const env = { DATABASE_URL: target }
  await migrate(target)
  // A table near the end takes no rows.
  await query(target, 'alter table users add constraint closed check (id < 0)')
  const failed = await run(t, ['restore', '--from', from], env)
  assert.equal(failed.code, 1)
  assert.match(failed.stderr, /violates check constraint "closed"/)
  for (const table of await tablesOf(target)) {
    assert.deepEqual(await rowsOf(target, table), [], table)
  }
  await query(target, 'alter table users drop constraint closed')
  assert.equal((await run(t, ['restore', '--from', from], env)).code, 0)
  const again = await run(t, ['restore', '--from', from], env)
  assert.equal(again.code, 0, again.stderr)
  assert.match(again.stderr, /has it already/)
  // Cut short behind the commit, it lacks what is newer than the backup.
  await query(
    target,
    `insert into schema_migrations (version, name, checksum)
    values (9999, '9999_newer.sql', 'another')`,
  )
  const newer = await run(t, ['restore', '--from', from], env)
  assert.doesNotMatch(newer.stderr, /restore into a new database/)
})

test('several servers are a part each, and come back into as many', async (t) => {
  const servers = async () => {
    const [home, other] = [await emptyDatabase(t), await emptyDatabase(t)]
    return {
      DATABASE_URL: home,
      SHARDS: '4',
      SHARD_DATABASES: `0-1=${home},2-3=${other}`,
      other,
    }
  }
  const { other, ...before } = await servers()
  assert.equal((await run(t, ['distribute'], before)).code, 0)
  const service = await serve(t, { ...before, ...FAST }, { database: before.DATABASE_URL })
  for (const balance of range(8)) await service.call('POST', '/users', { balance })
  await service.stop()
  const to = join(await temporaryFolder(t), 'backup')
  const made = await run(t, ['backup', '--to', to], before)
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /Its 2 servers were read at moments of their own, \d+ ms apart/)

  const apart = await servers()
  const moved = { ...before, DATABASE_URL: apart.other }
  const misplaced = await run(t, ['restore', '--from', to], moved)
  assert.equal(misplaced.code, 2)
  assert.match(misplaced.stderr, /must be as they were: the backup has the parts home, shards-2-3/)
  const { other: otherAfter, ...after } = apart
  const restored = await run(t, ['restore', '--from', to, '--json'], after)
  assert.equal(restored.code, 0, restored.stderr)
  const { parts } = JSON.parse(restored.stdout) as { parts: { name: string }[] }
  assert.deepEqual(
    parts.map(({ name }) => name),
    ['home', 'shards-2-3'],
  )
  for (const [from, into] of [
    [before.DATABASE_URL, after.DATABASE_URL],
    [other, otherAfter],
  ] as const) {
    assert.deepEqual(await rowsOf(into, 'users'), await rowsOf(from, 'users'))
    assert.deepEqual(await rowsOf(into, 'settings'), await rowsOf(from, 'settings'))
  }
  // The mark is on each.
  await query(after.DATABASE_URL, 'delete from restores')
  await assert.rejects(
    serve(t, after, { database: after.DATABASE_URL }),
    /was restored to .*: run `payments recover` first/,
  )
})
