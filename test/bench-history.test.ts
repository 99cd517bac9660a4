import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fillBacklog, fillHistory } from '../bench/backlog.ts'
import { insertUsers, openDatabase } from '../bench/rig.ts'
import { testWorld } from './harness.ts'
import { verifyWorld, violated } from './verify-history.ts'

test('the history and the backlog of the benchmark are books that verify finds right', async (t) => {
  const world = await testWorld(t)
  const database = openDatabase(world.url, new URL(world.url).pathname.slice(1))
  await insertUsers(database)
  let told = 0
  await fillHistory(database, 11_000, (count) => (told += count))
  await fillBacklog(database, 1_000)

  assert.equal(told, 11_000)
  assert.deepEqual(violated(await verifyWorld(world)), [])
  const shares = await database.sql<{ kind: string; percent: number }>(
    `select type || ' ' || status as kind, round(count(*) / 110.0)::int as percent
     from payments where status <> 'new' group by 1 order by 1`,
  )
  assert.deepEqual(shares, [
    { kind: 'deposit failed', percent: 5 },
    { kind: 'deposit success', percent: 45 },
    { kind: 'withdraw failed', percent: 5 },
    { kind: 'withdraw success', percent: 45 },
  ])
})

test('payments that follow a benchmark history are accepted, settled and right', async (t) => {
  const world = await testWorld(t)
  const database = openDatabase(world.url, new URL(world.url).pathname.slice(1))
  await insertUsers(database)
  await fillHistory(database, 2_000, () => undefined)
  const answers = await world.accept([
    { userId: 5n, type: 'deposit', amount: 10_000n, idempotencyKey: null },
    { userId: 5n, type: 'withdraw', amount: 10_000n, idempotencyKey: null },
  ])
  assert.deepEqual(
    answers.map(({ kind }) => kind),
    ['accepted', 'accepted'],
  )
  assert.deepEqual(violated(await verifyWorld(world)), [])

  assert.equal((await world.work()).length, 2)
  assert.deepEqual(violated(await verifyWorld(world)), [])
})
