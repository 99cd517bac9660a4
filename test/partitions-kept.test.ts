import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { grantTo } from '../src/adapters/app-role.ts'
import { cutIntoRanges, makeRange } from '../src/adapters/id-ranges.ts'
import { connectToPrimary } from '../src/adapters/primary.ts'
import { emptyDatabase, query } from './databases.ts'
import { testWorld } from './harness.ts'
import { pay } from './charge-kit.ts'
import { ownServer } from './own-server.ts'
import { temporaryFolder } from './process-kit.ts'
import { run } from './programs.ts'

async function cut(url: string, given: bigint): Promise<void> {
  const client = await connectToPrimary({}, url)
  try {
    await cutIntoRanges(client, { given, size: 4n, ahead: 30 })
  } finally {
    await client.end()
  }
}

/** A database of one shard whose payments are in two ranges. */
async function ranged(t: TestContext) {
  const world = await testWorld(t)
  const user = await world.user(1_000_000n)
  for (let count = 0; count < 3; count += 1) await pay(world, 'withdraw', user)
  await cut(world.url, 3n)
  for (let count = 0; count < 4; count += 1) await pay(world, 'withdraw', user)
  await world.work()
  await world.sql(`insert into settings (name, value) values ('shards', '1'), ('currency', 'USD')`)
  const rows = await world.sql<{ id: bigint }>('select id from payments_p1')
  assert.ok(rows.length > 0)
  return world
}

const SUMS = `
  select
    (select count(*) from payments) as payments, (select count(*) from payment_attempts) as calls,
    (select count(*) from postings) as postings, (select sum(user_held) from postings) as held,
    (select sum(amount) from ledger_entries where account = 'gateway') as gateway`

test('a backup of ranges is restored whole, each row once, into tables that are not cut', async (t) => {
  const { url } = await ranged(t)
  const folder = join(await temporaryFolder(t), 'backup')
  const env = { SHARDS: '1' }
  const made = await run(t, ['backup', '--to', folder], { DATABASE_URL: url, ...env })
  assert.equal(made.code, 0, made.stderr)
  const target = await emptyDatabase(t)
  const back = await run(t, ['restore', '--from', folder], { DATABASE_URL: target, ...env })
  assert.equal(back.code, 0, back.stderr)
  assert.deepEqual(await query(target, SUMS), await query(url, SUMS))
})

test('ranges are copied into a database with more shards, and every row is compared', async (t) => {
  const { url } = await ranged(t)
  const target = await emptyDatabase(t)
  const env = { DATABASE_URL: target, SHARDS: '4' }
  const { code, stderr } = await run(t, ['reshard', '--from', url], env)
  assert.equal(code, 0, stderr)
  assert.deepEqual(await query(target, SUMS), await query(url, SUMS))
})

test('a role that owns nothing may write payments of every range, and take nothing back', async (t) => {
  const { url, admin } = await ownServer(t)
  const migrated = await run(t, ['migrate'], { DATABASE_URL: url })
  assert.equal(migrated.code, 0, migrated.stderr)
  await admin.query(`create role app login password 'secret'`)
  await grantTo(url, 'app')
  await admin.query('revoke all on payment_keys from app')
  await cut(url, 3n)
  const client = await connectToPrimary({}, url)
  try {
    await makeRange(client, { number: 31, from: 124n, to: 224n })
  } finally {
    await client.end()
  }
  const app = Object.assign(new URL(url), { username: 'app', password: 'secret' }).href
  for (const name of ['postings', 'postings_p0', 'postings_p1', 'postings_p31']) {
    await query(app, `select from ${name}`)
    await assert.rejects(query(app, `delete from ${name}`), { code: '42501' }, name)
  }
  for (const name of ['payments', 'payments_p0', 'payments_p1', 'payments_p31']) {
    await query(app, `update ${name} set attempts = 1 where id = 1`)
  }
  await assert.rejects(query(app, 'drop table payments_p1'), { code: '42501' })
  await query(
    app,
    `insert into payments
       (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, idempotency_key)
     values (0, 5, 1, 'deposit', 'new', 100, 2, 200, now(), 'k')`,
  )
  assert.deepEqual(await query(app, 'select payment_id from payment_keys'), [{ payment_id: '5' }])
})
