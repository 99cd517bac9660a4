import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRun, runStarted } from '../src/runs/read-store.ts'
import {
  advanceRun,
  planRun,
  beginStep,
  cancelRun,
  forgetItems,
  putOff,
  startRun,
  type RunStep,
  type StepCounts,
} from '../src/runs/store.ts'
import { testWorld, type TestWorld } from './harness.ts'

const START = {
  actor: 'joe',
  reason: 'again',
  requestId: 'r2',
  ageMsMax: 60_000,
  key: null,
  endpointId: null,
}
const LEASE_MS = 30_000
const NONE: StepCounts = { carriedOut: 0, skipped: 0, refused: 0, refusals: {} }

/** Plan a run of letters with these ids. */
function planned(world: TestWorld, ids: readonly bigint[]) {
  const plan = { filter: { class: 'failed' }, ids, amount: 70n, actor: 'jane' }
  return planRun(world.db.global, { ...plan, others: null, endpointId: null })
}

async function started(world: TestWorld, letterIds: readonly bigint[], ratePerSecond = 2) {
  const { id } = await planned(world, letterIds)
  await startRun(world.db.global, id, { ...START, ratePerSecond })
  return id
}

/** Take the next step; it has to be due. */
async function begun(world: TestWorld, id: bigint | null): Promise<RunStep> {
  const step = await beginStep(world.db.global, id, LEASE_MS)
  assert.ok(step !== null, 'a step is due')
  return step
}

/** What is stored of a run beside what it is about; times in milliseconds from the start. */
async function rowOf(world: TestWorld, id: bigint) {
  const [row] = await world.sql<Record<string, unknown>>(
    `select state, position, redriven, skipped, refused, refusals, letter_ids::text as letters,
       next_at, ended_at
     from redrives where id = $1`,
    [id],
  )
  const ms = (at: unknown) => (at instanceof Date ? at.getTime() - Date.UTC(2030, 0, 1) : null)
  return { ...row, next_at: ms(row?.['next_at']), ended_at: ms(row?.['ended_at']) }
}

test('a run is started once, by its id, while its plan is young', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const run = await planned(world, [1n, 2n])
  const other = await planned(world, [3n])
  world.clock.advance(START.ageMsMax)
  const begin = { ...START, ratePerSecond: 7 }
  const running = await startRun(global, run.id, begin)
  const at = world.clock.now()
  assert.deepEqual(running, {
    ...run,
    state: 'running',
    ratePerSecond: 7,
    startedBy: 'joe',
    startedAt: at,
    reason: 'again',
  })
  assert.deepEqual(await readRun(global, run.id), running)
  assert.equal((await rowOf(world, run.id)).next_at, START.ageMsMax)
  assert.equal(await startRun(global, run.id, begin), null)
  assert.deepEqual(await readRun(global, other.id), other)
  world.clock.advance(1)
  assert.equal(await startRun(global, other.id, begin), null)
  assert.equal(await readRun(global, 99n), null)
})

test('a key stands for the one run that it started, of the API key that it came with', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const begin = { ...START, ratePerSecond: 7 }
  const [one, two, other] = [
    await planned(world, [1n]),
    await planned(world, [2n]),
    await planned(world, [3n]),
  ]
  const key = { apiKey: 'ops', key: 'k' }
  assert.equal(await runStarted(global, key), null)
  const run = await startRun(global, one.id, { ...begin, key })
  await assert.rejects(startRun(global, two.id, { ...begin, key }), /redrives_keys/)
  assert.deepEqual(await readRun(global, two.id), two)
  assert.deepEqual(await runStarted(global, key), run)
  const another = { apiKey: '', key: 'k' }
  assert.equal((await startRun(global, other.id, { ...begin, key: another }))?.id, other.id)
  assert.equal((await runStarted(global, another))?.id, other.id)
  assert.equal(await runStarted(global, { apiKey: 'ops', key: 'K' }), null)
})

test('a run of no letters is done when it is started', async (t) => {
  const world = await testWorld(t)
  const id = await started(world, [])
  const row = await rowOf(world, id)
  assert.deepEqual([row.ended_at, (await readRun(world.db.global, id))?.state], [0, 'done'])
  assert.equal(await beginStep(world.db.global, null, LEASE_MS), null)
})

test('what an ended run went through is forgotten an hour later, and how much it was is not', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const done = await started(world, [1n, 2n])
  await advanceRun(global, await begun(world, done), { ...NONE, carriedOut: 2 })
  const canceled = await started(world, [3n, 4n, 5n])
  await cancelRun(global, canceled, 'joe')
  const running = await started(world, [6n])
  const before = await readRun(global, done)
  world.clock.advance(3_600_000)
  assert.equal(await forgetItems(global), false)
  assert.equal((await rowOf(world, done))['letters' as never], '{1,2}')
  world.clock.advance(1)
  await forgetItems(global)
  for (const [id, letters, total] of [
    [done, '{}', 2],
    [canceled, '{}', 3],
    [running, '{6}', 1],
  ] as const) {
    assert.equal((await rowOf(world, id))['letters' as never], letters)
    assert.equal((await readRun(global, id))?.total, total)
  }
  assert.deepEqual(await readRun(global, done), before)
})

test('a plan that nobody started is forgotten after a day, and nothing else', async (t) => {
  const world = await testWorld(t)
  const old = await planned(world, [1n])
  const running = await started(world, [2n])
  world.clock.advance(1)
  const young = await planned(world, [3n])
  world.clock.advance(86_400_000)
  const now = await planned(world, [4n])
  const left = await world.sql<{ id: bigint }>('select id from redrives order by id')
  assert.deepEqual(
    left.map(({ id }) => id),
    [running, young.id, now.id],
  )
  assert.equal(await readRun(world.db.global, old.id), null)
})

test('steps are taken one after the other under a lease, the one that waits longest first', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const first = await started(world, [1n, 2n, 3n])
  world.clock.advance(10)
  const second = await started(world, [4n])
  await planned(world, [5n])
  const step = await begun(world, null)
  assert.deepEqual(step, {
    id: first,
    position: 0,
    ratePerSecond: 2,
    endpointId: null,
    ids: ['1', '2'],
    startedBy: 'joe',
    reason: 'again',
    requestId: 'r2',
    traceparent: null,
    begunAt: world.clock.now(),
  })
  assert.equal(await beginStep(global, first, LEASE_MS), null)
  assert.equal((await begun(world, second)).id, second)
  assert.equal(await beginStep(global, null, LEASE_MS), null)
  world.clock.advance(LEASE_MS - 1)
  assert.equal(await beginStep(global, null, LEASE_MS), null)
  // Whoever began it is lost.
  world.clock.advance(1)
  assert.deepEqual((await begun(world, null)).ids, ['1', '2'])
})

test('a step counts what it did, once, and the next is due a second after it began', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const id = await started(world, [1n, 2n, 3n], 2)
  const other = await started(world, [9n])
  const before = await rowOf(world, other)
  const step = await begun(world, id)
  world.clock.advance(400)
  const counts = { carriedOut: 1, skipped: 2, refused: 3, refusals: { busy: 1, payment_final: 2 } }
  await advanceRun(global, step, counts)
  await advanceRun(global, step, counts)
  const row = {
    state: 'running',
    position: 2,
    redriven: 1,
    skipped: 2,
    refused: 3,
    refusals: counts.refusals,
    letters: '{1,2,3}',
    next_at: 1_000,
    ended_at: null,
  }
  assert.deepEqual(await rowOf(world, id), row)
  assert.equal(await beginStep(global, id, LEASE_MS), null)
  world.clock.advance(600)
  const last = await begun(world, id)
  assert.deepEqual(last.ids, ['3'])
  world.clock.advance(50)
  await advanceRun(global, last, { ...counts, refusals: { payment_final: 5, letter_not_open: 1 } })
  assert.deepEqual(await rowOf(world, id), {
    state: 'done',
    position: 3,
    redriven: 2,
    skipped: 4,
    refused: 6,
    refusals: { busy: 1, payment_final: 7, letter_not_open: 1 },
    letters: '{1,2,3}',
    next_at: 2_000,
    ended_at: 1_050,
  })
  assert.deepEqual(await rowOf(world, other), before)
})

test('a run that was canceled stays so when its step ends, whether that was the last or not', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  for (const letters of [[1n], [1n, 2n, 3n]]) {
    const id = await started(world, letters)
    const step = await begun(world, id)
    world.clock.advance(100)
    const canceled = await cancelRun(global, id, 'ann')
    assert.deepEqual([canceled?.state, canceled?.canceledBy], ['canceled', 'ann'])
    const { ended_at: endedAt } = await rowOf(world, id)
    world.clock.advance(100)
    await advanceRun(global, step, { ...NONE, carriedOut: 1 })
    const row = await rowOf(world, id)
    const position = Math.min(letters.length, 2)
    assert.deepEqual([(row as { state?: unknown }).state, row.ended_at], ['canceled', endedAt])
    assert.equal((row as { position?: unknown }).position, position)
    assert.equal(await cancelRun(global, id, 'ann'), null)
  }
})

test('letters that are put off have their turn after all others, and no refusal is counted away', async (t) => {
  const world = await testWorld(t)
  const { global } = world.db
  const id = await started(world, [1n, 2n, 3n, 4n, 5n, 6n, 7n], 4)
  const other = await started(world, [1n, 2n, 3n, 4n], 4)
  const before = await rowOf(world, other)
  const first = { ...NONE, refused: 1, refusals: { busy: 1, payment_final: 3 } }
  await advanceRun(global, { ...(await begun(world, id)), ids: ['1'] }, first)
  world.clock.advance(1_000)
  const step = await begun(world, id)
  assert.deepEqual(step.ids, ['2', '3', '4', '5'])
  const counts = { carriedOut: 1, skipped: 1, refused: 2, refusals: { payment_final: 2 } }
  await putOff(global, step, counts, new Set(['2', '4']))
  const row = {
    state: 'running',
    position: 3,
    redriven: 1,
    skipped: 1,
    refused: 3,
    refusals: { busy: 1, payment_final: 5 },
    letters: '{1,3,5,6,7,2,4}',
    next_at: 2_000,
    ended_at: null,
  }
  assert.deepEqual(await rowOf(world, id), row)
  // Another process did the same step: its letters do not stand there any more.
  await putOff(global, step, counts, new Set(['2', '4']))
  await advanceRun(global, step, counts)
  assert.deepEqual(await rowOf(world, id), row)
  assert.deepEqual(await rowOf(world, other), before)
  world.clock.advance(1_000)
  assert.deepEqual((await begun(world, id)).ids, ['6', '7', '2', '4'])
})
