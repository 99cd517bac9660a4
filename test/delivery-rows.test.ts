import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { claimDeliveries, settleDeliveries } from '../src/webhooks/deliveries-store.ts'
import type { DeliveryResult } from '../src/webhooks/delivery-values.ts'
import { want } from './events-kit.ts'
import { raw, testWorld } from './harness.ts'
import { delivering, receiver, status, succeed } from './webhooks-kit.ts'

const LEASE_MS = 45_000

/** Deliveries of one endpoint that are due, as rows. */
async function due(t: TestContext, count: number) {
  const { world, endpoint } = await delivering(t)
  const { id } = await endpoint((await receiver(t, status(200))).url)
  await succeed(world, count)
  while ((await feed(world.db)) > 0) continue
  const [shard] = world.db.shards
  assert.ok(shard)
  const ids = await world.sql<{ id: bigint }>('select event_id as id from deliveries order by 1')
  const claimed = async (limit = 100, free = 100) => {
    const limits = { limit, leaseMs: LEASE_MS, look: 100 }
    const dues = await claimDeliveries(shard, limits, [{ endpointId: id, free }])
    return dues.map(({ eventId }) => eventId).toSorted((one, two) => Number(one - two))
  }
  const settled = (...results: readonly (Partial<DeliveryResult> & { eventId: bigint })[]) =>
    settleDeliveries(
      shard,
      results.map((one) => ({
        endpointId: id,
        fence: 1,
        state: 'delivered',
        made: true,
        delayMs: 0,
        ageMs: 10,
        tookMs: 5,
        status: 200,
        reason: null,
        reply: 'ok',
        ...one,
      })),
    )
  const states = () =>
    world.sql<{ state: string; attempts: number; leased: boolean }>(
      'select state, attempts, leased from deliveries order by event_id',
    )
  const calls = () =>
    world.sql('select event_id as id, fence, reply from delivery_attempts order by 1, 2')
  return { world, ids: ids.map((row) => row.id), endpointId: id, claimed, settled, states, calls }
}

test('no more deliveries are claimed than there is room for, of an endpoint and of all', async (t) => {
  const { claimed } = await due(t, 6)
  assert.equal((await claimed(100, 2)).length, 2)
  assert.equal((await claimed(3, 100)).length, 3)
  assert.equal((await claimed()).length, 1)
})

test('a claim of deliveries waits for nobody who holds one of them, and takes the others', async (t) => {
  const { world, ids, claimed } = await due(t, 2)
  const [first = 0n, second = 0n] = ids
  const [other] = world.connect().shards
  await other?.transaction(async (tx) => {
    await tx.run(raw('select from deliveries where event_id = $1 for update'), [first])
    assert.deepEqual(await claimed(), [second])
  })
  assert.deepEqual(await claimed(), [first])
})

test('what came of a claim that was lost, was settled or was given back changes nothing but the list of calls', async (t) => {
  const { world, ids, claimed, settled, states, calls } = await due(t, 3)
  const [lost = 0n, done = 0n, back = 0n] = ids
  await claimed()
  await settled(
    { eventId: done },
    { eventId: back, made: false, state: 'pending', delayMs: 60_000 },
  )
  await world.sql('update deliveries set fence = 2 where event_id = $1', [lost])
  const before = await states()
  assert.deepEqual(before, [
    { state: 'pending', attempts: 0, leased: true },
    { state: 'delivered', attempts: 1, leased: false },
    { state: 'pending', attempts: 0, leased: false },
  ])
  await settled(
    ...[lost, done, back].map((eventId) => ({ eventId, state: 'failed' as const, reply: 'late' })),
  )
  assert.deepEqual(await states(), before)
  assert.deepEqual(await calls(), [
    { id: lost, fence: 1, reply: null },
    { id: done, fence: 1, reply: 'ok' },
    { id: back, fence: 1, reply: null },
  ])
})

test('nothing is put on its way to an endpoint that asks for events itself', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.*'])
  await succeed(world)
  assert.ok((await feed(world.db)) > 0)
  assert.deepEqual(await world.sql('select from deliveries'), [])
})
