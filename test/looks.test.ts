import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withShards, withWork, type LookForWork } from '../src/each-shard.ts'
import { shardsWithFresh } from '../src/events/store.ts'
import { shardsToFold } from '../src/metrics/series-store.ts'
import { OPERATIONS } from '../src/domain/payment.ts'
import { Unavailable } from '../src/ports.ts'
import { shardsWithDue } from '../src/queue/load-store.ts'
import { shardsWithWatches } from '../src/queue/watches-store.ts'
import { shardsWithDeliveries } from '../src/webhooks/deliveries-store.ts'
import { testWorld } from './harness.ts'

const SHARDS = 16

/** A world whose two servers are halves of the same database, with users in some shards. */
async function halved(t: Parameters<typeof testWorld>[0]) {
  const world = await testWorld(t, { shards: SHARDS })
  const servers = [
    { first: 0, last: 7 },
    { first: 8, last: 15 },
  ]
  const users: bigint[] = []
  while (users.length < SHARDS) users.push(await world.user(100_000n))
  const in_ = (number: number) => users.find((id) => world.db.of(id).number === number) ?? 0n
  const pay = (type: 'deposit' | 'withdraw', number: number) =>
    world.accept([{ type, userId: in_(number), amount: 1_000n, idempotencyKey: null }])
  const seen = async (look: LookForWork) => {
    const { asked, without } = await withWork({ ...world.db, servers }, world.db.shards, look)
    assert.equal(asked.length + without.length, SHARDS)
    return asked.map(({ number }) => number)
  }
  const due =
    (gateway: string, ...operations: (typeof OPERATIONS)[number][]): LookForWork =>
    async (session, server) => {
      const found = await shardsWithDue(session, server, [gateway], operations)
      return [...new Set(found.map(({ number }) => number))]
    }
  return { world, servers, pay, seen, due }
}

test('a look tells which shards have due tasks of a route, and no others', async (t) => {
  const { world, pay, seen, due } = await halved(t)
  assert.deepEqual(await seen(due('http', ...OPERATIONS)), [])
  await pay('deposit', 3)
  await pay('deposit', 7)
  await pay('withdraw', 8)
  assert.deepEqual(await seen(due('http', ...OPERATIONS)), [3, 7, 8])
  assert.deepEqual(await seen(due('http', 'charge')), [3, 7])
  assert.deepEqual(await seen(due('http', 'payout')), [8])
  assert.deepEqual(await seen(due('bank', ...OPERATIONS)), [])
  await world.sql(`update payment_tasks set gateway = 'bank' where shard = 8`)
  assert.deepEqual(await seen(due('bank', 'payout')), [8])
  // What is claimed, or waits for later, is not due.
  await world.sql(`update payment_tasks set run_at = run_at + interval '1 day' where shard = 7`)
  assert.deepEqual(await seen(due('http', ...OPERATIONS)), [3])
})

test('a look tells which shards have due watches, events without a position, and many counts', async (t) => {
  const { world, seen } = await halved(t)
  const watches: LookForWork = (session, server) => shardsWithWatches(session, server, 'http')
  assert.deepEqual(await seen(watches), [])
  const now = world.clock.now()
  await world.sql(
    `insert into payment_watches (shard, payment_id, gateway, fence, run_at)
     select shard, 1, gateway, 1, $1::timestamptz + wait * interval '1 hour'
     from (values (2, 'http', -1), (9, 'http', 1), (10, 'bank', -1)) as own (shard, gateway, wait)`,
    [now],
  )
  assert.deepEqual(await seen(watches), [2])

  assert.deepEqual(await seen(shardsWithFresh), [])
  await world.sql(
    `insert into events (shard, id, payment_id, type, body, position, created_at)
     select shard, shard, 0, 'books.broken', '{}', position, $1
     from (values (1, null), (12, null), (13, 1)) as own (shard, position)`,
    [now],
  )
  assert.deepEqual(await seen(shardsWithFresh), [1, 12])

  assert.deepEqual(await seen(shardsToFold), [])
  await world.sql(
    `insert into payment_counts (shard, enqueued)
     select shard, 1 from (values (4, 100), (5, 101), (15, 101)) as own (shard, rows),
       generate_series(1, rows)`,
  )
  assert.deepEqual(await seen(shardsToFold), [5, 15])
})

test('a look tells which shards have due deliveries to endpoints that are called', async (t) => {
  const { world, seen } = await halved(t)
  assert.deepEqual(await seen(shardsWithDeliveries), [])
  await world.sql(
    `insert into webhook_subscriptions (shard, endpoint_id, version, types, deliver, ordered)
     select number, id, 1, '{}', id = 1, false
     from generate_series(0, ${SHARDS - 1}) number, generate_series(1, 2) id`,
  )
  await world.sql(
    `insert into deliveries
       (shard, event_id, endpoint_id, payment_id, position, state, run_at, created_at, ended_at)
     select shard, shard, endpoint, 1, 1, state, $1::timestamptz + wait * interval '1 hour', $1,
       case when state <> 'pending' then $1 end
     from (values
       (2, 1, 'pending', -1), (3, 2, 'pending', -1), (9, 1, 'pending', 1), (11, 1, 'pending', -1),
       (12, 1, 'delivered', -1)
     ) as own (shard, endpoint, state, wait)`,
    [world.clock.now()],
  )
  assert.deepEqual(await seen(shardsWithDeliveries), [2, 11])
})

test('the shards of a server that cannot be looked at are all asked, and few are asked at once', async (t) => {
  const { world, servers, pay, due } = await halved(t)
  await pay('deposit', 3)
  const away = () => Promise.reject(new Unavailable('away'))
  const db = withShards(world.db, (shard) => (shard.number === 8 ? { ...shard, run: away } : shard))
  const look = due('http', ...OPERATIONS)
  const numbers = async (shards: typeof db.shards) =>
    (await withWork({ ...db, servers }, shards, look)).asked.map(({ number }) => number)
  assert.deepEqual(await numbers(db.shards), [3, 8, 9, 10, 11, 12, 13, 14, 15])
  assert.deepEqual(await numbers(db.shards.slice(0, 3)), [0, 1, 2])
  assert.deepEqual(await numbers(db.shards.slice(0, 4)), [3])
})
