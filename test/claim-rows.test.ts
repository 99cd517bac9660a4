import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim as claimPayments } from '../src/charging/charge.ts'
import { withShards } from '../src/each-shard.ts'
import type { Shard } from '../src/ports.ts'
import { claimAhead, claimTasks } from '../src/queue/claims-store.ts'
import { LEASE_MS, raw, testWorld } from './harness.ts'
import { countsOf, queueOf, type Task } from './queue-kit.ts'

async function claimed(shard: Shard, limit = 100) {
  const tasks = await claimTasks(shard, { gateway: 'http', operation: 'charge' }, limit, LEASE_MS)
  return tasks.toSorted((one, two) => Number(one.paymentId - two.paymentId))
}

test('of the queue those are claimed that are due, on their route and in their shard', async (t) => {
  const { world, shard, put, rows } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: -1_000 },
    { payment_id: 2, run_at: 0 },
    { payment_id: 3, run_at: 1 },
    { payment_id: 4, run_at: -1_000, operation: 'payout' },
    { payment_id: 5, run_at: -1_000, gateway: 'other' },
    { payment_id: 6, run_at: 1, leased: true },
    { payment_id: 7, run_at: -1_000, shard: 1 },
  )
  const before = await rows()
  const tasks = await claimed(shard)
  assert.deepEqual(
    tasks.map(({ paymentId }) => paymentId),
    [1n, 2n],
  )
  const lease = { run_at: LEASE_MS, fence: 1, leased: true, first_sent_at: 0 }
  assert.deepEqual(await rows(), { ...before, '0/1': lease, '0/2': lease })
  assert.deepEqual(await countsOf(world), { started: 2, rows: 1 })
  assert.deepEqual(await claimed(shard), [])
  // A claim of nothing leaves nothing.
  assert.deepEqual(await countsOf(world), { started: 2, rows: 1 })
})

test('a claim takes the oldest, and says of each what is known of it', async (t) => {
  const { shard, put, rows } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: -10 },
    {
      payment_id: 2,
      run_at: -30,
      fence: 5,
      attempts: 4,
      tries: 3,
      tried_at: -4_000,
      doubt_at: -3_000,
      first_sent_at: -5_000,
      misconfigured_at: -2_000,
    },
    { payment_id: 3, run_at: -20, lookups: 2, pendings: 1 },
  )
  const unknown = {
    triedAgeMs: null,
    pendingAgeMs: null,
    doubtAgeMs: null,
    misconfiguredAgeMs: null,
  }
  assert.deepEqual(await claimed(shard, 2), [
    {
      paymentId: 2n,
      fence: 6,
      attempts: 4,
      tries: 3,
      lookups: 0,
      pendings: 0,
      pendingAgeMs: null,
      triedAgeMs: 4_000,
      doubtAgeMs: 3_000,
      firstSentAgeMs: 5_000,
      misconfiguredAgeMs: 2_000,
    },
    {
      paymentId: 3n,
      fence: 1,
      attempts: 0,
      tries: 0,
      lookups: 2,
      pendings: 1,
      ...unknown,
      firstSentAgeMs: 0,
    },
  ])
  assert.deepEqual((await rows())['0/1'], { run_at: -10 })
})

test('a lost claim that might charge counts as tried, sent and in doubt since its lease ended', async (t) => {
  const { world, shard, put, rows } = await queueOf(t)
  const lost = { run_at: -500, leased: true, fence: 3, attempts: 2, tries: 1 }
  await put(
    { ...lost, payment_id: 1, first_sent_at: -9_000 },
    { ...lost, payment_id: 2, tried_at: -8_000, doubt_at: -7_000 },
    { ...lost, payment_id: 3, lookups: 1, doubt_at: -7_000 },
    { ...lost, payment_id: 4, pendings: 1 },
    { ...lost, payment_id: 5, leased: false },
  )
  await claimed(shard)
  const now = { run_at: LEASE_MS, leased: true, fence: 4 }
  const counted = { ...now, attempts: 3, tries: 2, doubt_at: -500 }
  const as = { ...now, attempts: 2, tries: 1, first_sent_at: 0 }
  assert.deepEqual(await rows(), {
    '0/1': { ...counted, tried_at: -500, first_sent_at: -9_000 },
    '0/2': { ...counted, tried_at: -8_000, first_sent_at: 0 },
    '0/3': { ...as, lookups: 1, doubt_at: -7_000 },
    '0/4': { ...as, pendings: 1 },
    '0/5': as,
  })
  const evidence = await world.sql(
    `select payment_id::int as id, fence, call, kind, outcome, reason, sent, took_ms, late,
      started_at
     from payment_attempts order by payment_id`,
  )
  const kept = {
    fence: 3,
    call: 0,
    outcome: 'in_doubt',
    reason: 'worker_lost',
    sent: true,
    took_ms: 0,
    late: false,
    started_at: new Date(world.clock.now().getTime() - 500),
  }
  const kinds = ['charge', 'charge', 'lookup', 'lookup']
  assert.deepEqual(
    evidence,
    kinds.map((kind, at) => ({ id: at + 1, kind, ...kept })),
  )
})

const ASKED = { payment_id: 1, run_at: 7_000, doubt_at: -9_000, first_sent_at: -9_000 }
const INTERVAL_MS = 2_000

/** Which tasks are claimed out of turn. */
const AHEAD: readonly (readonly [name: string, Partial<Task>, claimed: boolean])[] = [
  ['in doubt', {}, true],
  ['unknown', { doubt_at: null, lookups: 1 }, true],
  ['without any doubt', { doubt_at: null }, false],
  ['that a worker holds', { leased: true }, false],
  ['whose worker was lost', { leased: true, run_at: -INTERVAL_MS }, true],
  ['whose worker was lost at first', { leased: true, run_at: -INTERVAL_MS, doubt_at: null }, true],
  ['that was asked about just now', { asked_at: 1 - INTERVAL_MS }, false],
  ['that was asked about long ago', { asked_at: -INTERVAL_MS }, true],
  ['of another shard', { shard: 1 }, false],
  ['of another payment', { payment_id: 2 }, false],
]

test('out of turn one task is claimed that is in doubt, not held and was not asked about just now', async (t) => {
  const { shard, world, put, rows } = await queueOf(t)
  const limits = { leaseMs: LEASE_MS, intervalMs: INTERVAL_MS }
  for (const [name, task, expected] of AHEAD) {
    await world.sql('delete from payment_tasks')
    await put({ ...ASKED, ...task })
    const before = await rows()
    const claim = await claimAhead(shard, 1n, limits)
    assert.equal(claim !== null, expected, `a task ${name}`)
    const [row] = Object.values(await rows())
    if (claim === null) assert.deepEqual(await rows(), before, name)
    else {
      assert.deepEqual([row?.run_at, row?.leased, row?.asked_at], [LEASE_MS, true, 0], name)
    }
  }
})

test('a claim out of turn says when it would have been due, and remembers the question', async (t) => {
  const { shard, world, put, rows } = await queueOf(t)
  const limits = { leaseMs: LEASE_MS, intervalMs: INTERVAL_MS }
  await put({ ...ASKED, fence: 4 }, { ...ASKED, payment_id: 2 }, { ...ASKED, shard: 1 })
  const before = await rows()
  const claim = await claimAhead(shard, 1n, limits)
  assert.deepEqual([claim?.dueInMs, claim?.fence, claim?.doubtAgeMs], [7_000, 5, 9_000])
  const { '0/1': own, ...others } = await rows()
  const { '0/1': _, ...rest } = before
  assert.deepEqual(others, rest)
  assert.deepEqual(own, {
    run_at: LEASE_MS,
    fence: 5,
    leased: true,
    asked_at: 0,
    doubt_at: -9_000,
    first_sent_at: -9_000,
  })
  await put({ ...ASKED, payment_id: 3, run_at: -400 })
  assert.equal((await claimAhead(shard, 3n, limits))?.dueInMs, 0)
  // Evidence says as well when somebody asked.
  await put({ ...ASKED, payment_id: 4 })
  const at = (ms: number) => new Date(world.clock.now().getTime() + ms)
  await world.sql(
    `insert into payment_attempts
       (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms)
     select shard, id, 1, 1, 'lookup', 'no_answer', true, at, 0
     from (values (0, 2, $1::timestamptz), (0, 4, $2), (0, 9, $3), (1, 4, $3))
     as made (shard, id, at)`,
    [at(1 - INTERVAL_MS), at(-INTERVAL_MS), at(0)],
  )
  assert.equal(await claimAhead(shard, 2n, limits), null)
  assert.notEqual(await claimAhead(shard, 4n, limits), null)
})

test('a claim whose answer was long under way begins no call that could outlive its lease', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const beganMs = world.clock.elapsedMs()
  const db = withShards(world.db, (shard) => ({
    ...shard,
    async run(statement, values) {
      const rows = await shard.run(statement, values)
      if (statement.name.startsWith('tasks_claim')) world.clock.advance(4_000)
      return rows
    },
  }))
  const { leaseMs, callMsMax } = world.world
  const [own] = await claimPayments({ ...world.world, db }, 10, ['payout'])
  assert.equal(own?.callsUntilMs, beganMs + leaseMs - callMsMax)
  assert.deepEqual([own?.claimedMs, own?.readMs], [beganMs, beganMs + 4_000])
})

test('a claim waits for nobody who holds a task, and takes the others', async (t) => {
  const { world, shard, put } = await queueOf(t)
  await put({ payment_id: 1, run_at: -10 }, { payment_id: 2 })
  const [other] = world.connect().shards
  const ids = async () => (await claimed(shard)).map(({ paymentId }) => paymentId)
  await other?.transaction(async (tx) => {
    await tx.run(raw('select from payment_tasks where payment_id = 1 for update'), [])
    assert.deepEqual(await ids(), [2n])
  })
  assert.deepEqual(await ids(), [1n])
})
