import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claimWatched, endWatched, watch } from '../src/charging/watch.ts'
import { withShards } from '../src/each-shard.ts'
import { Unavailable } from '../src/ports.ts'
import { shardTurns } from '../src/queue/shard-turns.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import { done } from './refunds-kit.ts'
import { DAY_MS, watching } from './watch-kit.ts'

/** Payments of which some are in each of two shards. */
async function inTwoShards(world: TestWorld): Promise<void> {
  const [first, second] = world.db.shards
  const found = new Set<unknown>()
  while (found.size < 2) found.add(world.db.of((await done(world)).id))
  assert(found.has(first) && found.has(second))
}

test('the looks of a shard that is away are given up, and those of the others end', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const eyes = watching(world, [DAY_MS])
  await inTwoShards(world)
  world.clock.advance(DAY_MS)
  const claims = await eyes.claim()
  const ends = await Promise.all(claims.map((claimed) => watch(eyes.own, claimed)))
  const isIll = (id: bigint) => world.db.of(id).number === 0
  const away = () => Promise.reject(new Unavailable('away'))
  const db = withShards(world.db, (shard) => (shard.number === 0 ? { ...shard, run: away } : shard))
  const lost = ends.filter(({ paymentId }) => isIll(paymentId))
  assert(lost.length > 0 && lost.length < ends.length)
  const told: bigint[] = []
  const onLost = (some: readonly { paymentId: bigint }[]) =>
    void told.push(...some.map(({ paymentId }) => paymentId))
  assert.deepEqual(await endWatched({ db, onLost }, ends), [])
  assert.deepEqual(
    told.splice(0),
    lost.map(({ paymentId }) => paymentId),
  )
  assert.deepEqual(await endWatched({ db, onLost }, lost), [], 'also where there are no others')
  assert.equal(told.length, lost.length)
  for (const { payment_id: id, leased } of await eyes.rows()) assert.equal(leased, isIll(id))
  // Their leases end them.
  world.clock.advance(LEASE_MS)
  const again = await eyes.claim()
  const left = again.filter(({ payment }) => isIll(payment.id))
  assert.equal(left.length, lost.length)
})

test('what is wrong with an end itself is thrown', async (t) => {
  const world = await testWorld(t)
  const faulty = () => Promise.reject(new Error('faulty'))
  const db = withShards(world.db, (shard) => ({ ...shard, run: faulty }))
  await assert.rejects(
    endWatched({ db }, [{ paymentId: 1n, userId: 1n, fence: 1n, delayMs: null }]),
    /faulty/,
  )
})

test('looks are claimed beginning with any shard, so that a full one starves no other', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const eyes = watching(world, [DAY_MS])
  await inTwoShards(world)
  world.clock.advance(DAY_MS)
  for (const number of [1, 0]) {
    const { shards, servers } = world.db
    const random = () => number / 2
    const look = () => Promise.resolve()
    const turns = shardTurns({ shards, servers, clock: world.clock, random, pauseMs: 1, look })
    const claims = await claimWatched({ ...eyes.own, turns }, 1)
    assert.deepEqual(
      claims.map(({ payment }) => world.db.of(payment.id).number),
      [number],
    )
  }
})

test('a shard that gives no looks is left alone until it answers', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const eyes = watching(world, [DAY_MS])
  await inTwoShards(world)
  world.clock.advance(DAY_MS)
  let asked = 0
  const away = () => {
    asked += 1
    return Promise.reject(new Unavailable('away'))
  }
  const db = withShards(world.db, (shard) => (shard.number === 0 ? { ...shard, run: away } : shard))
  const look = () => Promise.reject(new Unavailable('away'))
  const turns = shardTurns({
    ...db,
    clock: world.clock,
    random: () => 0,
    pauseMs: 1,
    look,
  })
  const ill = { ...eyes.own, db, turns }
  const claims = await claimWatched(ill, 100)
  assert(claims.length > 0)
  assert.deepEqual(await claimWatched(ill, 100), [])
  assert.equal(asked, 1)
})
