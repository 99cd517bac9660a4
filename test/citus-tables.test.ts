import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { shardByShard } from '../src/adapters/citus-driver.ts'
import { inTables } from '../src/adapters/citus-tables.ts'
import type { Driver, DriverTx } from '../src/adapters/shard-session.ts'
import { Busy, type Statement } from '../src/ports.ts'
import { cloneDatabase, query } from './databases.ts'
import { statements } from './statements.ts'

const BUCKET = '7'

/** The tables whose rows belong to a shard, each as a node calls its part. */
async function partOf(url: string) {
  const rows = await query<{ name: string }>(
    url,
    `select relname as name from pg_class join pg_attribute on attrelid = pg_class.oid
     where attname = 'shard' and relkind = 'r' and relnamespace = 'public'::regnamespace`,
  )
  const tables = new Map(rows.map(({ name }) => [name, `${name}_${BUCKET}`]))
  return { bucket: BUCKET, group: 1, tables }
}

test('every statement about a shard can be said of the tables of a part', async (t) => {
  const url = await cloneDatabase(t)
  const part = await partOf(url)
  assert.ok(part.tables.size >= 20)
  for (const [table, held] of part.tables) {
    await query(url, `alter table ${table} rename to ${held}`)
  }
  await query(url, `alter table payment_counts_${BUCKET} alter slot drop default`)
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  const failed: string[] = []
  for (const found of (await statements()).filter(({ sharded }) => sharded)) {
    const { name, text } = inTables({ name: found.name, text: found.text }, part)
    assert.equal(name, `${found.name}_${BUCKET}`)
    assert.ok(name.length <= 63, name)
    if (/insert into payment_counts_/.test(text)) assert.match(text, /\(shard, slot,/, name)
    try {
      await client.query({ text: `prepare statement as ${text}` })
      await client.query('deallocate statement')
    } catch (error) {
      failed.push(`${name}: ${error instanceof Error ? error.message : ''}`)
    }
    const shadows = [...part.tables.keys()].filter((table) =>
      new RegExp(`\\b${table} as (?:materialized )?\\(`).test(found.text),
    )
    assert.deepEqual(shadows, [], 'no part of a statement is called as a table is')
  }
  assert.deepEqual(failed, [])
})

test('tables keep the names that a statement gives them', () => {
  const part = { bucket: '7', group: 1, tables: new Map([['users', 'users_7']]) }
  const said = (text: string) => inTables({ name: 'one', text }, part).text
  const pairs = [
    ['select from users where users.id = $1', 'select from users_7 as users where users.id = $1'],
    ['update users set held = users.held', 'update users_7 as users set held = users.held'],
    ['insert into users (shard) select $1', 'insert into users_7 as users (shard) select $1'],
    ['from clock, users u where u.id = 1', 'from clock, users_7 u where u.id = 1'],
    ['delete from users as gone', 'delete from users_7 as gone'],
    ['(select id from users)', '(select id from users_7 as users)'],
    ['from users_view join users on true', 'from users_view join users_7 as users on true'],
  ]
  for (const [text = '', wanted] of pairs) assert.equal(said(text), wanted)
})

/** A node that says of some statements that they fail. */
function node(fails: Readonly<Record<string, string>>) {
  const asked: string[] = []
  const run: DriverTx['run'] = ({ name }) => {
    asked.push(name)
    const code = fails[name]
    if (code === undefined) return Promise.resolve([])
    return Promise.reject(Object.assign(new Error(name), { code }))
  }
  const transaction: Driver['transaction'] = async (work) => {
    asked.push('begin')
    const sent: Promise<unknown>[] = []
    const noted: DriverTx['run'] = (...one) => {
      const rows = run(...one)
      rows.catch(() => undefined)
      sent.push(rows)
      return rows
    }
    const done = await work({ run: noted, write: (...one) => void noted(...one) })
    await Promise.all(sent)
    return done
  }
  return { asked, driver: { run, transaction } }
}

const PART = { bucket: '7', group: 1, tables: new Map([['users', 'users_7']]) }
const CHANGE: Statement<never> = { name: 'change', text: 'update users set held = $2' }
const LOOK: Statement<never> = { name: 'look', text: 'select from users where shard = $1' }

test('a change makes sure first that the part stays here, and what only reads is asked of Citus', async () => {
  const { asked, driver } = node({})
  const held = shardByShard(driver, driver).in(PART)
  await held.run(CHANGE, [])
  await held.run(LOOK, [])
  await held.transaction(async (tx) => {
    tx.write(CHANGE, [])
    await tx.run(LOOK, [])
  })
  const here = ['begin', 'citus_stay', 'citus_here']
  assert.deepEqual(asked, [...here, 'change_7', 'look', ...here, 'change_7', 'look_7'])
})

test('what is not here any more is done by way of Citus, and is looked for', async () => {
  for (const [name, code] of [
    ['citus_here', '22012'],
    ['citus_stay', 'XX000'],
    ['citus_stay', '42501'],
  ] as const) {
    const { asked, driver } = node({ [name]: code })
    let doubts = 0
    const held = shardByShard(driver, driver, () => (doubts += 1)).in(PART)
    await held.run(CHANGE, [])
    assert.deepEqual([asked.at(-1), doubts], ['change', 1])
    await held.transaction((tx) => tx.run(LOOK, []))
    assert.deepEqual([...asked.slice(-2), doubts], ['begin', 'look', 2])
  }
})

test('what fails for another reason fails', async () => {
  const { asked, driver } = node({ citus_stay: '55P03' })
  const held = shardByShard(driver, driver).in(PART)
  await assert.rejects(held.run(CHANGE, []), { code: '55P03' })
  assert.ok(!asked.includes('change'))
  await assert.rejects(
    held.transaction(() => Promise.reject(new Busy('locked'))),
    Busy,
  )
})
