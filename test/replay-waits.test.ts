import assert from 'node:assert/strict'
import { test } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { planMissed } from '../src/runs/events.ts'
import { cancel, start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { dropEndpoint, editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import type { TestWorld } from './harness.ts'
import { delivered, found, START, UNSENT } from './replay-kit.ts'
import { BY, delivering, receiver, status, succeed, type Answer } from './webhooks-kit.ts'

const RATE = 2
const EVENTS = 8

/** A replay of `EVENTS` events at `RATE`, of an endpoint that has got them and answers `first`. */
async function replaying(world: TestWorld, id: bigint): Promise<bigint> {
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, ratePerSecond: RATE, endpointId: id })
  return snapshot
}

/** What an endpoint gets in each of so many seconds. */
async function seconds(
  world: TestWorld,
  { turn, received }: { readonly turn: () => Promise<number>; readonly received: unknown[] },
  count: number,
): Promise<number[]> {
  const got: number[] = []
  for (let second = 0; second < count; second += 1) {
    const before = received.length
    await step(world.world, null)
    world.clock.advance(1_000)
    await delivered(turn)
    got.push(received.length - before)
  }
  return got
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)

for (const shards of [1, 4]) {
  test(`a replay waits while its endpoint is disabled, and keeps its rate afterwards: ${shards} shards`, async (t) => {
    const { world, turn, endpoint } = await delivering(t, shards)
    const to = await receiver(t, status(200))
    const { id } = await endpoint(to.url)
    await succeed(world, EVENTS)
    await delivered(turn)
    const at = { turn, received: to.received }
    const snapshot = await replaying(world, id)
    assert.deepEqual(await seconds(world, at, 1), [RATE])
    await editEndpoint(world.db, id, { state: 'disabled' }, BY)
    assert.equal(sum(await seconds(world, at, 60)), 0)
    assert.equal((await readRun(world.db.global, snapshot, id))?.position, RATE, 'nothing is sent')
    await editEndpoint(world.db, id, { state: 'enabled' }, BY)
    const got = await seconds(world, at, 20)
    assert.ok(Math.max(...got) <= RATE, `${got.join()}: no more than it was asked for`)
    assert.equal(sum(got), EVENTS - RATE)
    assert.equal((await readRun(world.db.global, snapshot, id))?.state, 'done')
  })
}

test('a replay waits while its endpoint asks not to be called, and keeps its rate afterwards', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const busy: Answer = status(429, { 'retry-after': '60' })
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, EVENTS)
  await delivered(turn)
  const at = { turn, received: to.received }
  const snapshot = await replaying(world, id)
  to.answers.splice(0, to.answers.length, busy, status(200))
  await seconds(world, at, 1)
  const { length: before } = to.received
  assert.equal(sum(await seconds(world, at, 50)), 0)
  assert.equal((await readRun(world.db.global, snapshot, id))?.position, RATE)
  const got = await seconds(world, at, 30)
  // What was refused is sent with what has its turn then.
  assert.ok(Math.max(...got) <= 2 * RATE, `${got.join()}: no more than it was asked for`)
  assert.ok(to.received.length - before >= EVENTS - RATE)
  assert.equal((await readRun(world.db.global, snapshot, id))?.state, 'done')
})

test('a replay that waits is canceled, and ends with its endpoint', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const ids = [(await endpoint(to.url)).id, (await endpoint(to.url)).id]
  await succeed(world, EVENTS)
  await delivered(turn)
  const runs: bigint[] = []
  for (const id of ids) {
    runs.push(await replaying(world, id))
    await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  }
  const [canceled = 0n, removed = 0n] = runs
  const [first = 0n, second = 0n] = ids
  await seconds(world, { turn, received: to.received }, 3)
  assert.equal((await cancel(world.world, canceled, 'joe', first)).kind, 'run')
  await dropEndpoint(world.db, second, BY)
  await seconds(world, { turn, received: to.received }, 10)
  for (const [run, id] of [
    [canceled, first],
    [removed, second],
  ] as const) {
    assert.equal((await readRun(world.db.global, run, id))?.state, 'canceled')
  }
})

for (const shards of [1, 4]) {
  test(`an endpoint that is enabled while a replay waits is not offered what that will send: ${shards} shards`, async (t) => {
    const { world, turn, endpoint } = await delivering(t, shards)
    const to = await receiver(t, status(200))
    const { id } = await endpoint(to.url)
    const missed = async () => {
      const before = await readEndpoint(world.db.global, id)
      return planMissed(world.db, before ?? assert.fail('it is there'), 'jane')
    }
    await editEndpoint(world.db, id, { state: 'disabled' }, BY)
    await succeed(world, EVENTS)
    await feed(world.db)
    await editEndpoint(world.db, id, { state: 'enabled' }, BY)
    const { snapshot, count } = await missed()
    assert.equal(count, EVENTS)
    await start(world.world, snapshot, { ...START, ratePerSecond: RATE, endpointId: id })
    await step(world.world, null)
    await editEndpoint(world.db, id, { state: 'disabled' }, BY)
    await succeed(world)
    await feed(world.db)
    assert.deepEqual([(await missed()).count, (await missed()).matching], [1, 1])
    assert.equal((await found(world, id, UNSENT)).count, 1)
    assert.equal((await found(world, id)).count, EVENTS + 1, 'whoever asks for all is shown all')
    await cancel(world.world, snapshot, 'joe', id)
    assert.equal((await missed()).count, 1 + EVENTS - RATE, 'nobody sends them now')
    await editEndpoint(world.db, id, { state: 'enabled' }, BY)
    world.clock.advance(1_000)
    await delivered(turn)
    assert.equal(to.received.length, RATE)
  })
}
