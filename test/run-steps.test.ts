import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RedriveFilter } from '../src/dead-letters/store.ts'
import { Busy, Unavailable, type Db } from '../src/ports.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { plan } from '../src/runs/letters.ts'
import { start, startRunner, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { withShards } from '../src/each-shard.ts'
import { testWorld } from './harness.ts'
import { declined, JANE } from './operators.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

const ANY: RedriveFilter = {
  class: null,
  error: null,
  type: null,
  userId: null,
  createdBefore: null,
  createdAfter: null,
}
const BY = { actor: 'joe', reason: 'again', requestId: 'r', ratePerSecond: 10 }

test('letters that the database does not take are told and not counted, and have their turn again', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 2)
  const { run } = await plan(world.world, ANY, 'joe')
  await start(world.world, run.id, BY)
  const away = () => Promise.reject(new Unavailable('away'))
  const db = withShards(world.db, (shard) => ({ ...shard, transaction: away }))
  const told: unknown[] = []
  assert.equal(await step({ ...world.world, db }, null, (error) => told.push(error)), 0)
  assert.ok(told.length === 1 && told[0] instanceof Unavailable)
  const before = await readRun(world.db.global, run.id)
  assert.deepEqual([before?.position, before?.refused, before?.total], [0, 0, 2])
  world.clock.advance(60_000)
  assert.equal(await step(world.world, null), 2)
  const after = await readRun(world.db.global, run.id)
  assert.deepEqual([after?.position, after?.carriedOut, after?.state], [2, 2, 'done'])
})

for (const [what, locked, statement] of [
  ['of letters that were redriven', false, 'redrives_advance'],
  ['of letters that somebody else has locked', true, 'redrives_put_off'],
] as const) {
  test(`a step ${what} fails when its end is not written, and is made again`, async (t) => {
    const world = await testWorld(t)
    await declined(world, 'deposit', 2)
    const { run } = await plan(world.world, ANY, 'joe')
    await start(world.world, run.id, BY)
    const held = withShards(world.db, (shard) => ({
      ...shard,
      transaction: (work, ms) =>
        locked ? Promise.reject(new Busy('locked')) : shard.transaction(work, ms),
    }))
    const { global } = world.db
    const asked: string[] = []
    const cut: Db = {
      ...held,
      global: {
        run(given, values) {
          asked.push(given.name)
          return given.name === statement
            ? Promise.reject(new Unavailable('away'))
            : global.run(given, values)
        },
      },
    }
    await assert.rejects(step({ ...world.world, db: cut }, null), Unavailable)
    assert.ok(asked.includes(statement), asked.join())
    world.clock.advance(60_000)
    assert.equal(await step({ ...world.world, db: held }, null), locked ? 0 : 2)
    const after = await readRun(global, run.id)
    assert.deepEqual([after?.state, after?.carriedOut], locked ? ['running', 0] : ['done', 2])
  })
}

test('a plan says what it filters by, and nothing else', async (t) => {
  const { world } = await testWorld(t)
  const [from, to] = [new Date('2029-12-31T00:00:00Z'), new Date('2030-01-02T00:00:00Z')]
  const table: readonly (readonly [Partial<RedriveFilter>, object])[] = [
    [{}, {}],
    [{ class: 'failed' }, { class: 'failed' }],
    [{ error: 'http_402' }, { error: 'http_402' }],
    [{ type: 'withdraw' }, { payment_type: 'withdraw' }],
    [{ userId: 7n }, { user_id: 7 }],
    [{ createdAfter: from }, { created_after: '2029-12-31T00:00:00.000Z' }],
    [{ createdBefore: to }, { created_before: '2030-01-02T00:00:00.000Z' }],
  ]
  for (const [filter, shown] of table) {
    const { run } = await plan(world, { ...ANY, ...filter }, 'joe')
    assert.deepEqual(run.filter, shown)
    assert.deepEqual((await readRun(world.db.global, run.id))?.filter, shown)
  }
})

test('a run takes the oldest letters first, in whichever shards they are', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const ids: (bigint | undefined)[] = []
  for (let letter = 0; letter < 4; letter += 1) {
    // Each has a user of its own, in one shard after the other.
    ids.push((await declined(world, 'deposit'))[0])
    world.clock.advance(1_000)
  }
  const { sample } = await plan(world.world, ANY, 'joe')
  assert.deepEqual(
    sample.map(({ paymentId }) => paymentId),
    ids,
  )
  assert.equal(new Set(ids.map((id) => world.db.of(id ?? 0n).number)).size, 2)
})

test('runs are looked for once a second, and at once after a step that was made', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 2)
  const { run } = await plan(world.world, ANY, 'joe')
  const clock = waitingClock()
  const redriver = startRunner({ ...world.world, clock })
  const asleep = async () => {
    for (let turn = 0; turn < 500 && clock.waits().length === 0; turn += 1) await quiet()
    return clock.waits()
  }
  assert.deepEqual(await asleep(), [1_000])
  await start(world.world, run.id, { ...BY, ratePerSecond: 1 })
  await clock.advance(1_000)
  assert.deepEqual(await asleep(), [1_000])
  assert.equal((await readRun(world.db.global, run.id))?.position, 1)
  world.clock.advance(1_000)
  await clock.advance(1_000)
  await asleep()
  assert.equal((await readRun(world.db.global, run.id))?.state, 'done')
  await redriver.stop()
})

test('a shard that is ill keeps back its own letters of a redrive alone, and they follow', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  const ids: bigint[] = []
  for (let letter = 0; letter < 6; letter += 1) ids.push(...(await declined(world, 'deposit')))
  const { run, sample } = await plan(world.world, ANY, 'joe')
  await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
  const away = () => Promise.reject(new Unavailable('away'))
  const db = withShards(world.db, (shard) =>
    shard.number === 1 ? { ...shard, run: away, transaction: away } : shard,
  )
  const told: unknown[] = []
  for (let steps = 0; steps < 8; steps += 1) {
    await step({ ...world.world, db }, null, (error) => told.push(error))
    world.clock.advance(1_000)
  }
  const halfway = await readRun(world.db.global, run.id)
  assert.deepEqual([halfway?.state, halfway?.position, halfway?.carriedOut], ['running', 3, 3])
  assert.ok(told.length > 0 && told.every((error) => error instanceof Unavailable))
  // Who asks for one of them is told that its shard is away.
  const own = sample.find(({ id }) => world.db.of(id).number === 1)
  const asked = [{ letterId: own?.id ?? 0n, delayMs: 0 }]
  await assert.rejects(redrive({ ...world.world, db }, JANE, asked), Unavailable)

  for (let steps = 0; steps < 3; steps += 1) {
    await step(world.world, null)
    world.clock.advance(1_000)
  }
  const ended = await readRun(world.db.global, run.id)
  assert.deepEqual([ended?.state, ended?.carriedOut, ended?.skipped], ['done', 6, 0])
  const payments = await world.sql<object>('select from payments')
  assert.equal(payments.length, 2 * ids.length, 'none is redriven twice')
})
