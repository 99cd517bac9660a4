import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgres } from '../src/adapters/postgres.ts'
import { isLocked, Unavailable, type Unsharded } from '../src/ports.ts'
import { cloneDatabase } from './databases.ts'
import { openDb, raw } from './harness.ts'

const LOCK: Unsharded<{ id: bigint }> = {
  name: 'test_lock',
  sharded: false,
  text: 'select id from users where id = $1 for update',
}
const ONE: Unsharded<{ one: number }> = {
  name: 'test_one',
  sharded: false,
  text: 'select 1 as one',
}
const INSERT: Unsharded<never> = {
  name: 'test_insert',
  sharded: false,
  text: 'insert into users (shard, id, available, held, created_at) values (0, $1, 0, 0, now())',
}

function impatient(url: string, more: { poolMax?: number; plansMsMax?: number } = {}) {
  return postgres({
    url,
    shards: 1,
    poolMax: 2,
    connectTimeoutMs: 60_000,
    statementTimeoutMs: 5_000,
    lockTimeoutMs: 100,
    idleTransactionTimeoutMs: 5_000,
    name: 'impatient',
    ...more,
  })
}

test('the first statement that failed is the reason, not those that it took along', async (t) => {
  const url = await cloneDatabase(t)
  const patient = openDb(t, url)
  await patient.global.run(INSERT, [1])
  const db = impatient(url)
  t.after(() => db.close())
  await patient.of(0n).transaction(async (tx) => {
    await tx.run(LOCK, [1])
    // The second statement is on its way when the first gives up waiting, and fails for it.
    const blocked = db
      .of(0n)
      .transaction((other) =>
        Promise.all([other.run(LOCK, [1]), other.run(ONE, []), other.run(ONE, [])]),
      )
    await assert.rejects(blocked, isLocked)
  })
  // The connection is whole again.
  await db.of(0n).transaction(async (tx) => assert.equal((await tx.run(LOCK, [1])).length, 1))
})

test('a write that fails rolls the transaction back, and is the reason', async (t) => {
  const db = openDb(t, await cloneDatabase(t))
  await db.global.run(INSERT, [1])
  const work = db.of(0n).transaction(async (tx) => {
    tx.write(INSERT, [2])
    tx.write(INSERT, [1])
    tx.write(INSERT, [3])
    return Promise.resolve()
  })
  await assert.rejects(work, (error: { code?: string }) => error.code === '23505')
  const users = await db.global.run(raw<{ id: bigint }>('select id from users'), [])
  assert.deepEqual(users, [{ id: 1n }])
})

test('a bug in the work rolls the transaction back and stays what it is', async (t) => {
  const db = openDb(t, await cloneDatabase(t))
  const bug = new TypeError('a bug')
  const work = db.of(0n).transaction(async (tx) => {
    tx.write(INSERT, [1])
    await tx.run(ONE, [])
    throw bug
  })
  await assert.rejects(work, (error) => error === bug)
  const users = await db.global.run(raw('select id from users'), [])
  assert.deepEqual(users, [])
})

const BY_ID: Unsharded<{ id: bigint }> = {
  name: 'test_by_id',
  sharded: false,
  text: 'select id from plans where id = any ($1::bigint[])',
}

/** How a connection that has known a table empty reads it when it has grown. */
async function planOf(url: string, plansMsMax: number): Promise<string> {
  const db = impatient(url, { poolMax: 1, plansMsMax })
  const sql = (text: string) => db.global.run(raw<Record<string, string>>(text), [])
  await sql('drop table if exists plans')
  await sql('create table plans (id bigint primary key) with (autovacuum_enabled = false)')
  await sql('vacuum analyze plans')
  await sql('set plan_cache_mode = force_generic_plan')
  await db.global.run(BY_ID, ['{1}'])
  await sql('insert into plans select generate_series(1, 50000)')
  await db.global.run(BY_ID, ['{1}'])
  const [row] = await sql(`explain execute test_by_id ('{1}')`)
  await db.close()
  return row?.['QUERY PLAN'] ?? ''
}

test('a plan that was made for an empty table does not outlive its time', async (t) => {
  const url = await cloneDatabase(t)
  assert.match(await planOf(url, 60_000), /^Seq Scan/)
  assert.doesNotMatch(await planOf(url, -1), /^Seq Scan/)
})

test('a database that is not there is unavailable, in time', async (t) => {
  const db = impatient('postgresql://payments:x@127.0.0.1:9/payments')
  t.after(() => db.close())
  await assert.rejects(db.global.run(ONE, []), Unavailable)
  await assert.rejects(
    db.of(0n).transaction((tx) => tx.run(ONE, [])),
    Unavailable,
  )
})
