import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settlement } from '../src/charging/charge.ts'
import { feed } from '../src/events/feed.ts'
import { pageOfEvents } from '../src/events/read.ts'
import { pay } from './charge-kit.ts'
import { gate, polled, want } from './events-kit.ts'
import { testWorld } from './harness.ts'

test('events are paged by positions that are given after their commit', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  await want(world, ['payment.succeeded'])
  for (let count = 0; count < 7; count += 1) await pay(world, 'deposit')
  await world.work()
  assert.deepEqual(await polled(world), [], 'not before they have positions')
  assert.equal(await feed(world.db), 7)
  assert.equal(await feed(world.db), 0)
  const seen = await polled(world)
  assert.equal(seen.length, 7)
  assert.equal(new Set(seen.map(({ id }) => id)).size, 7)
})

test('while events give way to payments, their share is of all shards together', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  await want(world, ['payment.succeeded'])
  for (let count = 0; count < 9; count += 1) await pay(world, 'deposit')
  await world.work()
  const some = () => feed(world.db, undefined, undefined, 4)
  assert.deepEqual([await some(), await some(), await some(), await some()], [4, 4, 1, 0])
  assert.equal((await polled(world)).length, 9)
})

test('an event that is committed late gets a position behind those that were seen', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.succeeded'])
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  const insert = (id: number) => ({
    name: `test_event_${id}`,
    text: `insert into events (shard, id, payment_id, type, body, created_at)
      values ($1, ${id}, 1, 'payment.succeeded', '{}', '2030-01-01')`,
  })
  const [goOn, release] = gate()
  const late = shard.transaction(async (tx) => {
    await tx.run(insert(1), [])
    await goOn
  })
  await shard.run(insert(2), [])
  await feed(world.db)
  assert.deepEqual(
    (await polled(world)).map(({ id }) => id),
    [2n],
  )
  release()
  await late
  await feed(world.db)
  assert.deepEqual(
    (await polled(world)).map(({ id, position }) => [id, position]),
    [
      [2n, 1n],
      [1n, 2n],
    ],
  )
})

test('a cursor of before the database was put back is told so, and goes on at the end', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await want(world, ['payment.succeeded'])
  for (let count = 0; count < 6; count += 1) await pay(world, 'deposit')
  await world.work()
  await feed(world.db)
  const begin = world.db.shards.map(() => 0n)
  const { next: end } = await pageOfEvents(world.db, begin, null, 100)
  const calm = await pageOfEvents(world.db, end, null, 100)
  assert.deepEqual([calm.next, calm.dropped], [end, false], 'a cursor at the end is none ahead')
  for (const types of [null, ['payment.failed']]) {
    const ahead = await pageOfEvents(world.db, [(end[0] ?? 0n) + 3n, end[1] ?? 0n], types, 100)
    assert.deepEqual([ahead.events, ahead.next, ahead.dropped], [[], end, true])
  }
  for (let count = 0; count < 4; count += 1) await pay(world, 'deposit')
  await world.work()
  await feed(world.db)
  const { events, dropped } = await pageOfEvents(world.db, end, null, 100)
  assert.deepEqual([events.length, dropped], [4, false], 'from there on none is left out')
})

test('a poller misses none of the events that are written and placed at the same time', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await want(world, ['payment.succeeded'])
  const user = await Promise.all([world.user(0n), world.user(0n)])
  const PAYMENTS = 300
  let ended = 0
  const seen = new Map<bigint, bigint>()
  let after: readonly bigint[] = [0n, 0n]
  const poll = async () => {
    const { events, next } = await pageOfEvents(world.db, after, null, 20)
    for (const { id, position } of events) {
      assert.ok(!seen.has(id), 'none is seen twice')
      seen.set(id, position)
    }
    after = next
  }
  const settleDue = async () => {
    const settlements = await world.claimAndCharge()
    // In small parts side by side, so that ids and commits come in different orders. Those that
    // find the others in their way are busy, and come again.
    const settleOne = async (settlement: Settlement) => {
      let left: readonly Settlement[] = [settlement]
      while (left.length > 0) left = (await world.settle(left)).busy
    }
    await Promise.all(settlements.map(settleOne))
    ended += settlements.length
  }
  const settleAll = async () => {
    for (const userId of user) {
      for (let count = 0; count < PAYMENTS / 20; count += 1) {
        const drafts = Array.from({ length: 10 }, () => ({
          type: 'deposit' as const,
          userId,
          amount: 1_000n,
          idempotencyKey: null,
        }))
        await world.accept(drafts)
        await settleDue()
      }
    }
    // What was busy when the last ones were claimed.
    while (ended < PAYMENTS) await settleDue()
  }
  const busy = { on: true }
  const goesOn = async (turn: () => Promise<unknown>) => {
    while (busy.on) await turn()
  }
  const turns = [goesOn(() => feed(world.db)), goesOn(() => feed(world.db)), goesOn(poll)]
  await settleAll()
  busy.on = false
  await Promise.all(turns)
  while ((await feed(world.db)) > 0) continue
  for (let size = -1; size !== seen.size;) {
    size = seen.size
    for (let page = 0; page < 3; page += 1) await poll()
  }
  assert.equal(ended, PAYMENTS)
  assert.equal(seen.size, PAYMENTS)
})
