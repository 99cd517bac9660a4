import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { citusPartsOf } from '../src/adapters/citus-parts.ts'
import type { Statement } from '../src/ports.ts'
import { cloneDatabase } from './databases.ts'
import { statements } from './statements.ts'

const TABLES = ['payments', 'payment_tasks', 'payment_counts', 'postings', 'users'] as const

test('a batch is accepted the same in one statement and in a part for each table', async (t) => {
  const all = await statements()
  const accept = all.find(({ name }) => name === 'payments_accept')
  assert.ok(accept)
  const parts = citusPartsOf(accept as unknown as Statement<unknown>) ?? []
  assert.equal(parts.length, TABLES.length)
  const client = new pg.Client({ connectionString: await cloneDatabase(t) })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  await client.query(
    `insert into users (shard, id, available, held, created_at)
     values (0, 7, 1000, 0, '2030-01-01'), (0, 8, 1000, 0, '2030-01-01')`,
  )
  const drafts = [
    [1, 2, 3],
    [7, 8, 7],
    ['deposit', 'withdraw', 'withdraw'],
    [10, 20, 3_000],
    [0, 1, 60],
    ['a', null, null],
    [null, null, 'insufficient_funds'],
  ]
  const tasks = [
    [1, 2],
    ['charge', 'payout'],
  ]
  const holds = [[8], [2], [-21], [21]]
  const values = [0, new Date('2030-01-02'), 200, ...drafts, ...tasks, ...holds]
  const written = async (write: () => Promise<unknown>) => {
    await client.query('begin')
    await write()
    const rows: Record<string, unknown[]> = {}
    for (const table of TABLES) {
      const found = await client.query<{ row: object }>(
        `select to_jsonb(own) - '{gateway_key,slot}'::text[] as row from ${table} own order by own::text`,
      )
      rows[table] = found.rows.map(({ row }) => row)
    }
    await client.query('rollback')
    return rows
  }
  const whole = await written(() => client.query(accept.text, values))
  assert.deepEqual(whole['payments']?.length, 3)
  assert.deepEqual(whole['postings']?.length, 1)
  const apart = await written(async () => {
    for (const { statement, places } of parts) {
      await client.query(
        statement.text,
        places.map((place) => values[place - 1]),
      )
    }
  })
  assert.deepEqual(apart, whole)
})

test('what needs the rows of a part that changes some is left whole, as is one change', () => {
  const texts = [
    'with a as (insert into one values ($1) returning id) insert into two select id from a',
    'with a as materialized (select $1::int as id) insert into one select id from a',
    'insert into one values ($1)',
  ]
  for (const text of texts) assert.equal(citusPartsOf({ name: 'test', text }), null, text)
})
