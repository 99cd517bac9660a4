import assert from 'node:assert/strict'
import { test } from 'node:test'
import { insertTasksLater, redriveTasks } from '../src/dead-letters/tasks-store.ts'
import { oldestDueMs, strandedTasks, viewQueue, waitingTasks } from '../src/queue/load-store.ts'
import {
  chargedPayments,
  deleteTasks,
  hurryTask,
  readTasks,
  releaseTasks,
  rescheduleTasks,
  type Rescheduled,
} from '../src/queue/store.ts'
import type { Operation } from '../src/domain/payment.ts'
import { countsOf, queueOf, type Task } from './queue-kit.ts'

const RESCHEDULED: Rescheduled = {
  paymentId: 1n,
  delayMs: 4_000,
  lookups: 0,
  pendings: 0,
  tries: 0,
  sent: 0,
  doubted: false,
  unsent: false,
  refused: false,
  reason: null,
  action: null,
}

/** What the end of a claim makes of a task. */
const ENDS: readonly (readonly [Partial<Task>, Partial<Rescheduled>, Partial<Task>])[] = [
  [{}, {}, {}],
  [
    { last_error: 'x' },
    { lookups: 2, pendings: 3 },
    { last_error: 'x', lookups: 2, pendings: 3, pending_at: 0 },
  ],
  [{ lookups: 2, pendings: 3, last_error: 'x' }, { reason: 'y' }, { last_error: 'y' }],
  [
    { tries: 1, attempts: 5 },
    { tries: 1, sent: 1 },
    { tries: 2, attempts: 6, tried_at: 0 },
  ],
  [{ tries: 1, tried_at: -9 }, { tries: 1 }, { tries: 2, tried_at: -9 }],
  [{ tried_at: -9 }, { sent: 1 }, { tried_at: -9, attempts: 1 }],
  [{ doubt_at: -9 }, { doubted: true }, { doubt_at: 0 }],
  [{ doubt_at: -9 }, { unsent: true }, { doubt_at: -9 }],
  [{ first_sent_at: -9 }, {}, { first_sent_at: -9 }],
  [{ first_sent_at: -9 }, { unsent: true }, {}],
  [{ first_sent_at: -9, doubt_at: -8 }, { unsent: true }, { first_sent_at: -9, doubt_at: -8 }],
  [{ pending_at: -9, pendings: 1 }, { pendings: 2 }, { pending_at: -9, pendings: 2 }],
  [{ pending_at: -9 }, { pendings: 1 }, { pending_at: 0, pendings: 1 }],
  [{ pending_at: -9, pendings: 1 }, {}, {}],
  [{ misconfigured_at: -9 }, {}, { misconfigured_at: -9 }],
  [{ misconfigured_at: -9 }, { refused: true }, { misconfigured_at: 0 }],
]

test('the end of a claim that goes on changes what it says, of its own tasks alone', async (t) => {
  const { world, shard, put, rows, write } = await queueOf(t)
  await put(
    ...ENDS.map(([task], at) => ({ run_at: 99, leased: true, ...task, payment_id: at + 1 })),
  )
  await put({ payment_id: 1, shard: 1, run_at: 99, leased: true }, { payment_id: 50, leased: true })
  const before = await rows()
  await write((tx) =>
    rescheduleTasks(
      tx,
      ENDS.map(([, end], at) => {
        const own = { paymentId: BigInt(at + 1), delayMs: 1_000 * (at + 1) }
        return { ...RESCHEDULED, ...end, ...own }
      }),
    ),
  )
  const after = ENDS.map(([, , task], at) => [`0/${at + 1}`, { run_at: 1_000 * (at + 1), ...task }])
  assert.deepEqual(await rows(), { ...before, ...Object.fromEntries(after) })
  assert.deepEqual(await countsOf(world), { retried: 2, rows: 1 })
  await write((tx) => rescheduleTasks(tx, [RESCHEDULED]))
  assert.deepEqual(await countsOf(world), { retried: 2, rows: 1 })
  await shard.transaction(async (tx) => rescheduleTasks(tx, []))
})

test('a claim that is given back is as if it had not been made, but for a charge in doubt', async (t) => {
  const { world, put, rows, write } = await queueOf(t)
  const held = { run_at: 99, leased: true, fence: 2, first_sent_at: -9, lookups: 1 }
  await put(
    { ...held, payment_id: 1 },
    { ...held, payment_id: 2, doubt_at: -9, attempts: 2 },
    { ...held, payment_id: 3 },
    { ...held, payment_id: 1, shard: 1 },
  )
  const before = await rows()
  await write((tx) => releaseTasks(tx, [1n, 2n]))
  const free = { fence: 2, lookups: 1 }
  assert.deepEqual(await rows(), {
    ...before,
    '0/1': free,
    '0/2': { ...free, first_sent_at: -9, doubt_at: -9, attempts: 2 },
  })
  await write((tx) => {
    deleteTasks(tx, [1n, 3n])
    releaseTasks(tx, [])
    deleteTasks(tx, [])
  })
  assert.deepEqual(Object.keys(await rows()), ['0/2', '1/1'])
  assert.deepEqual(await countsOf(world), {})
})

test('what is shown of tasks is as it is now: a lease that is over holds nothing', async (t) => {
  const { world, shard, put } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: 1, leased: true, attempts: 2, last_error: 'timeout' },
    { payment_id: 2, run_at: 0, leased: true, doubt_at: -9, lookups: 3 },
    { payment_id: 3, run_at: 1, pendings: 1 },
    { payment_id: 4 },
    { payment_id: 1, shard: 1 },
  )
  const at = (ms: number) => new Date(world.clock.now().getTime() + ms)
  const plain = {
    attempts: 0,
    lookups: 0,
    pending: false,
    action: null,
    leased: false,
    inDoubt: false,
  }
  const tasks = await readTasks(shard, [1n, 2n, 3n])
  assert.deepEqual(
    [...tasks.values()].toSorted((one, two) => Number(one.paymentId - two.paymentId)),
    [
      {
        ...plain,
        paymentId: 1n,
        runAt: at(1),
        attempts: 2,
        leased: true,
        lastError: 'timeout',
      },
      { ...plain, paymentId: 2n, runAt: at(0), lookups: 3, inDoubt: true, lastError: null },
      { ...plain, paymentId: 3n, runAt: at(1), pending: true, lastError: null },
    ],
  )
  assert.deepEqual([...tasks.keys()].toSorted(), [1n, 2n, 3n])
})

test('a payment was charged if any of its calls said so, whichever claim made it', async (t) => {
  const { shard, world } = await queueOf(t)
  await world.sql(
    `insert into payment_attempts
       (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms, late)
     select shard, id, fence, 1, 'charge', outcome, true, now(), 0, late
     from (values (0, 1, 1, 'success', false), (0, 1, 2, 'success', true),
      (0, 2, 1, 'in_doubt', false),
       (0, 2, 2, 'success', true), (0, 3, 1, 'declined', false), (1, 4, 1, 'success', false),
       (0, 5, 1, 'success', false)) as given (shard, id, fence, outcome, late)`,
  )
  const charged = await chargedPayments(shard, [1n, 2n, 3n, 4n])
  assert.deepEqual(charged.toSorted(), [1n, 2n])
  assert.deepEqual(await chargedPayments(shard, []), [])
})

const route = (operation: Operation, gateway = 'http') => ({ gateway, operation })

test('the queue is counted by what its tasks wait for, and told how old its oldest is', async (t) => {
  const { world, shard, put } = await queueOf(t)
  const empty = { due: 0, leased: 0, waiting: 0, oldestDueAt: null, oldestDueSeconds: 0 }
  assert.deepEqual(await viewQueue(shard), empty)
  assert.deepEqual(await oldestDueMs(shard, 'http'), [])
  await put(
    { payment_id: 1, run_at: -2_500 },
    { payment_id: 2, run_at: 0, leased: true },
    { payment_id: 3, run_at: 1, leased: true },
    { payment_id: 4, run_at: 1 },
    { payment_id: 5, run_at: 60_000 },
    { payment_id: 6, run_at: 60_001 },
    { payment_id: 7, run_at: -9_000, gateway: 'other' },
    { payment_id: 8, run_at: -9_000, shard: 1 },
    { payment_id: 9, run_at: 0, operation: 'payout' },
  )
  const oldestDueAt = new Date(world.clock.now().getTime() - 9_000)
  const view = { due: 4, leased: 1, waiting: 3, oldestDueAt, oldestDueSeconds: 9 }
  assert.deepEqual(await viewQueue(shard), view)
  assert.deepEqual(await oldestDueMs(shard, 'http'), [
    { operation: 'charge', ageMs: 2_500 },
    { operation: 'payout', ageMs: 0 },
  ])
  assert.equal(await waitingTasks(shard, route('charge'), 100), 5)
  assert.equal(await waitingTasks(shard, route('charge'), 3), 3)
  assert.equal(await waitingTasks(shard, route('payout'), 100), 1)
  assert.deepEqual(await oldestDueMs(shard, 'other'), [{ operation: 'charge', ageMs: 9_000 }])
  assert.equal(await waitingTasks(shard, route('charge', 'other'), 100), 1)
  assert.deepEqual(await strandedTasks(shard, ['http']), new Map([['other', 1]]))
  assert.deepEqual(await strandedTasks(shard, ['other']), new Map([['http', 7]]))
  assert.deepEqual(await strandedTasks(shard, ['http', 'other']), new Map())
})

test('a redrive starts a task over, in doubt as long as it was, and counts it as enqueued', async (t) => {
  const { world, put, rows, write } = await queueOf(t)
  const userId = await world.user(100_000n)
  const draft = { type: 'withdraw', userId, amount: 100n, idempotencyKey: null } as const
  await world.accept([draft, draft, draft])
  await world.sql('delete from payment_tasks')
  await world.sql('update payments set attempts = id + 10, created_at = $1', [
    new Date(world.clock.now().getTime() - 7_000),
  ])
  const before = await countsOf(world)
  const used = {
    fence: 4,
    attempts: 3,
    tries: 3,
    tried_at: -9,
    lookups: 2,
    pendings: 1,
    leased: true,
    operation: 'payout',
    last_error: 'timeout',
    misconfigured_at: -8,
  }
  await put(
    { ...used, payment_id: 1, doubt_at: -9, first_sent_at: -10 },
    { ...used, payment_id: 2 },
    { ...used, payment_id: 8 },
  )
  const evidence = [3, 7].map((fence) => `(0, 3, ${fence}, 1), (0, 1, ${fence + 90}, 1)`).join()
  await world.sql(
    `insert into payment_attempts
       (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms)
     select *, 'charge', 'in_doubt', true, now(), 0 from (values ${evidence}) as given`,
  )
  const delayed = (paymentId: bigint, delayMs: number) =>
    ({ paymentId, delayMs, operation: 'payout' }) as const
  const other = (await rows())['0/8']
  await write((tx) => redriveTasks(tx, [delayed(1n, 100), delayed(2n, 200), delayed(3n, 300)]))
  const kept = { operation: 'payout', last_error: 'timeout', misconfigured_at: -8 }
  const over = { ...kept, fence: 5, attempts: 3 }
  assert.deepEqual(await rows(), {
    '0/1': { ...over, run_at: 100, doubt_at: -9, first_sent_at: -10 },
    '0/2': { ...over, run_at: 200, doubt_at: 0, first_sent_at: -7_000 },
    '0/3': {
      operation: 'payout',
      run_at: 300,
      fence: 1_007,
      attempts: 13,
      doubt_at: 0,
      first_sent_at: -7_000,
    },
    '0/8': other,
  })
  const { enqueued = 0 } = before
  assert.equal((await countsOf(world))['enqueued'], enqueued + 3)
  await write((tx) => insertTasksLater(tx, [delayed(20n, 50), delayed(21n, 60)]))
  const { '0/20': one, '0/21': two } = await rows()
  assert.deepEqual(
    [one, two],
    [
      { operation: 'payout', run_at: 50 },
      { operation: 'payout', run_at: 60 },
    ],
  )
  assert.equal((await countsOf(world))['enqueued'], enqueued + 5)
})

test('a notice that comes while a payment is held brings one question forward, and no other', async (t) => {
  const { world, shard, put, rows, write } = await queueOf(t)
  await put({ payment_id: 1, run_at: 99, leased: true, lookups: 1 })
  assert.equal(await hurryTask(shard, 1n, { gateway: 'http', operation: 'charge' }), true)
  const end = () => write((tx) => rescheduleTasks(tx, [{ ...RESCHEDULED, lookups: 2 }]))
  await end()
  assert.equal((await rows())['0/1']?.run_at, undefined, 'it is due now')
  await world.sql('update payment_tasks set leased = true')
  await end()
  assert.equal((await rows())['0/1']?.run_at, RESCHEDULED.delayMs)
})
