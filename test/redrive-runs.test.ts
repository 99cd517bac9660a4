import assert from 'node:assert/strict'
import { readRun } from '../src/runs/read-store.ts'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { plan } from '../src/runs/letters.ts'
import { cancel, start, startRunner, step } from '../src/runs/run.ts'
import { advanceRun, beginStep, putOff, type RunStep, type StepCounts } from '../src/runs/store.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { assertBooks, declined, JANE, letters } from './operators.ts'
import { ALL, badNight } from './redrive-kit.ts'

const BY = { actor: 'jane', reason: 'back', requestId: 'r2' }

test('a dry run changes nothing and says exactly what would be redriven', async (t) => {
  const world = await testWorld(t)
  const { unknown } = await badNight(world)
  const tables = ['payments', 'payment_tasks', 'dead_letters', 'postings', 'operator_acts']
  const dump = () => Promise.all(tables.map((table) => world.sql(`select * from ${table}`)))
  const before = await dump()

  const all = await plan(world.world, ALL, 'jane')
  assert.deepEqual([all.run.total, all.run.amount, all.matching], [11, 55_000n, 11])
  assert.deepEqual(all.byClass, [
    { class: 'failed', currency: null, count: 10, amount: 50_000n },
    { class: 'unknown', currency: null, count: 1, amount: 5_000n },
  ])
  assert.equal(all.sample.length, 10)
  const [{ userId = null } = {}] = await world.sql<{ userId: bigint }>(
    'select user_id as "userId" from payments where id = $1',
    [unknown],
  )
  const [{ at = null } = {}] = await world.sql<{ at: Date }>(
    'select max(created_at) as at from dead_letters',
  )
  const counts = await Promise.all(
    [
      { class: 'unknown' as const },
      { error: 'http_402' },
      { error: 'nothing' },
      { type: 'withdraw' as const },
      { userId },
      { createdBefore: at },
      { createdAfter: at },
      { class: 'failed' as const, createdAfter: at },
    ].map(async (part) => (await plan(world.world, { ...ALL, ...part }, 'jane')).run.total),
  )
  assert.deepEqual(counts, [1, 10, 0, 1, 1, 10, 1, 0])
  assert.deepEqual(await dump(), before)
})

test('a run redrives exactly its snapshot, at its rate, and counts what became of it', async (t) => {
  const world = await testWorld(t)
  await badNight(world)
  const { run } = await plan(world.world, { ...ALL, class: 'failed' }, 'jane')
  // The first is resolved and another letter opened between the dry run and the start.
  await resolve(world.world, JANE, [{ letterId: 1n, outcome: 'failed', gatewayRef: null }])
  const [later = 0n] = await declined(world, 'deposit')

  const started = await start(world.world, run.id, { ...BY, ratePerSecond: 4 })
  assert(started.kind === 'run' && started.run.state === 'running')
  assert.equal(await step(world.world, null), 4)
  assert.equal(await step(world.world, null), null)
  const delays = await world.sql<{ ms: number }>(
    `select extract(epoch from run_at - $1::timestamptz)::float8 * 1000 as ms
     from payment_tasks where attempts = 0 order by run_at`,
    [world.clock.now()],
  )
  // The first of the four was skipped.
  assert.deepEqual(
    delays.map(({ ms }) => Math.round(ms)),
    [250, 500, 750],
  )
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), 4)
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), 2)
  world.clock.advance(1_000)
  assert.equal(await step(world.world, run.id), null)

  const { state, position, carriedOut, skipped, refused } =
    (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, position, carriedOut, skipped, refused], ['done', 10, 9, 1, 0])
  assert.equal((await letters(world, later))[0]?.state, 'open')
  const acts = await world.sql('select id from operator_acts where redrive_id = $1', [run.id])
  assert.equal(acts.length, 9)
  world.gateway.script = ['success']
  await world.work()
  assert.equal((await assertBooks(world))['gateway'], -9n * 5_000n)
})

test('a step that a dead process began is done by another and counts the same', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 3)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 10 })
  // A process redrives the letters and dies before it records the step.
  await world.sql(`update redrives set next_at = next_at + interval '30 seconds'`)
  const by = { ...BY, redriveId: run.id }
  await redrive(
    world.world,
    by,
    [1n, 2n, 3n].map((letterId) => ({ letterId, delayMs: 0 })),
  )
  assert.equal(await step(world.world, null), null)

  world.clock.advance(30_000)
  assert.equal(await step(world.world, null), 3)

  const { state, carriedOut, skipped } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, carriedOut, skipped], ['done', 3, 0])
  assert.equal((await world.sql('select id from payments')).length, 6)
})

const NO_COUNTS: StepCounts = { carriedOut: 0, skipped: 0, refused: 0, refusals: {} }

/** How the second of two processes records a step, all of which the first has put off. */
const SECOND_RECORDS = {
  'has done it': (world: TestWorld, begun: RunStep) => {
    const counts = { ...NO_COUNTS, carriedOut: 2 }
    return advanceRun(world.db.global, begun, counts)
  },
  'puts off a part of it': (world: TestWorld, begun: RunStep) =>
    putOff(world.db.global, begun, { ...NO_COUNTS, carriedOut: 1 }, new Set(begun.ids.slice(1))),
}

for (const [name, record] of Object.entries(SECOND_RECORDS)) {
  test(`no letter of a run is lost when one process puts a step off and another ${name}`, async (t) => {
    const world = await testWorld(t)
    await declined(world, 'deposit', 5)
    const { run } = await plan(world.world, ALL, 'jane')
    await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
    const begin = async (): Promise<RunStep> => {
      const begun = await beginStep(world.db.global, run.id, 30_000)
      assert(begun !== null)
      return begun
    }
    // The first takes longer than its lease, so a second one does the same step.
    const first = await begin()
    world.clock.advance(30_000)
    const second = await begin()
    assert.deepEqual(second.ids, first.ids)
    await putOff(world.db.global, first, NO_COUNTS, new Set(first.ids))
    await record(world, second)

    for (let round = 0; round < 5; round += 1) {
      world.clock.advance(30_000)
      await step(world.world, run.id)
    }
    const { state, carriedOut, position } = (await readRun(world.db.global, run.id)) ?? run
    assert.deepEqual([state, carriedOut, position], ['done', 5, 5])
    const open = await world.sql(`select id from dead_letters where state = 'open'`)
    assert.deepEqual(open, [])
  })
}

test('a canceled run leaves the rest open', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 5)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
  await step(world.world, null)

  const canceled = await cancel(world.world, run.id, 'joe')
  assert(canceled.kind === 'run' && canceled.run.canceledBy === 'joe')
  world.clock.advance(5_000)

  assert.equal(await step(world.world, null), null)
  const open = await world.sql(`select id from dead_letters where state = 'open'`)
  assert.equal(open.length, 3)
  const again = await cancel(world.world, run.id, 'joe')
  assert.deepEqual(again, { kind: 'refused', refusal: { code: 'redrive_not_running' } })
})

test('a run that is canceled in the middle of its last step stays canceled, and that step counts', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 2)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 2 })
  const begun = await beginStep(world.db.global, run.id, 30_000)
  assert(begun !== null)
  await cancel(world.world, run.id, 'joe')
  await advanceRun(world.db.global, begun, { ...NO_COUNTS, carriedOut: 2 })
  const { state, position, carriedOut } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, position, carriedOut], ['canceled', 2, 2])
})

test('of old runs a dry run forgets only those that nobody started', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 2)
  const ids: bigint[] = []
  for (let run = 0; run < 4; run += 1) ids.push((await plan(world.world, ALL, 'jane')).run.id)
  const [never = 0n, running = 0n, canceled = 0n, done = 0n] = ids
  for (const id of [running, canceled, done]) {
    await start(world.world, id, { ...BY, ratePerSecond: 2 })
  }
  await cancel(world.world, canceled, 'joe')
  await step(world.world, done)
  world.clock.advance(25 * 3_600_000)
  await plan(world.world, ALL, 'jane')
  const left = await Promise.all(ids.map((id) => readRun(world.db.global, id)))
  assert.deepEqual(
    left.map((run) => run?.state),
    [undefined, 'running', 'canceled', 'done'],
  )
  assert.equal(await readRun(world.db.global, never), null)
})

test('a snapshot is started once, and not when it is old', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit')
  const fresh = await plan(world.world, ALL, 'jane')
  const old = await plan(world.world, ALL, 'jane')
  const by = { ...BY, ratePerSecond: 1 }
  const answers = await Promise.all([1, 2, 3].map(() => start(world.world, fresh.run.id, by)))
  assert.equal(answers.filter(({ kind }) => kind === 'run').length, 1)
  assert.deepEqual(await start(world.world, fresh.run.id, by), {
    kind: 'refused',
    refusal: { code: 'redrive_started' },
  })
  world.clock.advance(15 * 60_000 + 1)
  assert.deepEqual(await start(world.world, old.run.id, by), {
    kind: 'refused',
    refusal: { code: 'redrive_expired' },
  })
})

test('several processes carry out a run together, over several shards, each letter once', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  for (let user = 0; user < 6; user += 1) await declined(world, 'withdraw', 20)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 25 })

  for (let second = 0; second < 6; second += 1) {
    await Promise.all([1, 2, 3, 4].map(() => step(world.world, null)))
    world.clock.advance(1_000)
  }

  const { state, position, carriedOut } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, position, carriedOut], ['done', 120, 120])
  assert.equal((await world.sql('select id from payments')).length, 240)
  await assertBooks(world)
})

test('a run is at most 5,000 letters, and says how many more match', async (t) => {
  const world = await testWorld(t)
  await world.sql(
    `insert into dead_letters (shard, id, payment_id, user_id, payment_type, amount, commission,
       class, error, attempts, created_at)
     select 0, 100 + n, 100 + n, 1, 'deposit', 100, 2, 'failed', 'x', 1, now()
     from generate_series(1, 5010) n`,
  )
  const { run, matching } = await plan(world.world, ALL, 'jane')
  assert.deepEqual([run.total, run.amount, matching], [5_000, 500_000n, 5_010])
})

test('the background loop carries out what is started', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit', 3)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { ...BY, ratePerSecond: 100 })
  // The manual clock does not wait, so the loop yields to the test here.
  const sleep = async () => void (await turn())
  const redriver = startRunner({ ...world.world, clock: { ...world.clock, sleep } })
  while ((await readRun(world.db.global, run.id))?.state !== 'done') await sleep()
  await redriver.stop()
  await assertBooks(world)
})

test('what was charged after it had failed is in no snapshot, whatever is asked for', async (t) => {
  const world = await testWorld(t)
  const [charged] = await declined(world, 'deposit', 3)
  await world.sql(
    `update dead_letters set class = 'unknown', error = 'charged_after_failed'
     where payment_id = $1`,
    [charged],
  )
  for (const [filter, count] of [
    [ALL, 2],
    [{ ...ALL, class: 'unknown' }, 0],
    [{ ...ALL, error: 'charged_after_failed' }, 0],
    [{ ...ALL, class: 'failed' }, 2],
  ] as const) {
    const { run, matching } = await plan(world.world, filter, 'jane')
    assert.deepEqual([run.total, matching], [count, count])
  }
})
