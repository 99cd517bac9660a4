import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { knownOf } from '../src/dead-letters/known-store.ts'
import { actsOfPayment, insertActs } from '../src/operators/acts-store.ts'
import {
  closeLetters,
  endLetters,
  lettersOfPayment,
  lockFreeLetters,
  lockLetters,
  matchingLetters,
  openLetters,
  readLetters,
  type NewLetter,
  type RedriveFilter,
} from '../src/dead-letters/store.ts'
import { CHARGED_AFTER_FAILED } from '../src/domain/explain.ts'
import { NO_EVIDENCE } from '../src/domain/evidence.ts'
import {
  finishPayments,
  insertRepeats,
  readPayments,
  reopenPayments,
  repeatsOf,
} from '../src/payments/store.ts'
import type { Tx } from '../src/ports.ts'
import { testWorld } from './harness.ts'
import { JANE } from './operators.ts'

async function shardOf(t: TestContext) {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard, 'shard')
  return {
    world,
    shard,
    write: (work: (tx: Tx) => unknown) => shard.transaction(async (tx) => void (await work(tx))),
    /** What is counted, by these columns. */
    async counted(...columns: readonly string[]) {
      const sums = columns.map((column) => `sum(${column})`)
      const [row] = await world.sql<{ counts: string }>(
        `select concat_ws(' ', ${sums.join()}) as counts from payment_counts`,
      )
      return row?.counts
    },
    /** How often anything was counted: what changes nothing leaves no row. */
    async countings() {
      const [row] = await world.sql<{ rows: number }>(
        'select count(*)::int as rows from payment_counts',
      )
      return row?.rows
    },
    at: (ms: number) => new Date(world.clock.now().getTime() + ms),
  }
}

const letter = (paymentId: bigint, more: Partial<NewLetter> = {}): NewLetter => ({
  paymentId,
  userId: 3n,
  type: 'withdraw',
  amount: 500n,
  commission: 10n,
  currency: null,
  class: 'failed',
  error: 'timeout',
  attempts: 2,
  ...more,
})

const OPEN = { state: 'open', closedAt: null, closedBy: null, closedReason: null, redriveId: null }

test('a payment has one open letter, and a second says only that it was charged after all', async (t) => {
  const { world, shard, write, counted, countings } = await shardOf(t)
  const later = { class: 'unknown', error: 'no_answer', attempts: 9 } as const
  await write((tx) => openLetters(tx, [letter(7n), letter(8n, { type: 'deposit', amount: 1n })]))
  await write((tx) => openLetters(tx, [letter(7n, later)]))
  const first = { id: 1n, ...letter(7n), ...OPEN, createdAt: world.clock.now() }
  assert.deepEqual(await lettersOfPayment(shard, 7n), [first])
  const charged = { ...later, error: CHARGED_AFTER_FAILED }
  await write((tx) => openLetters(tx, [letter(7n, charged)]))
  assert.deepEqual(await lettersOfPayment(shard, 7n), [
    { ...first, class: 'unknown', error: CHARGED_AFTER_FAILED },
  ])
  assert.deepEqual([await counted('letters'), await countings()], ['2', 1])
  await write((tx) => openLetters(tx, []))
  const [other] = await lettersOfPayment(shard, 8n)
  assert.deepEqual([other?.error, other?.type, other?.amount], ['timeout', 'deposit', 1n])
})

test('only open letters are closed, those of these payments, with what the gateway said', async (t) => {
  const { world, shard, write } = await shardOf(t)
  await write((tx) => openLetters(tx, [letter(1n), letter(2n), letter(3n)]))
  world.clock.advance(50)
  const closed = { state: 'resolved', closedBy: 'gateway', closedAt: world.clock.now() }
  await write((tx) =>
    closeLetters(tx, [
      { paymentId: 1n, reason: 'success' },
      { paymentId: 2n, reason: 'failed' },
    ]),
  )
  world.clock.advance(50)
  await write((tx) => openLetters(tx, [letter(1n)]))
  await write((tx) => closeLetters(tx, []))
  const shown = async () =>
    (await Promise.all([1n, 2n, 3n].map((id) => lettersOfPayment(shard, id))))
      .flat()
      .map(({ id, state, closedBy, closedAt, closedReason, redriveId }) => {
        return [Number(id), { state, closedBy, closedAt, closedReason, redriveId }] as const
      })
  const success = { ...closed, closedReason: 'success', redriveId: null }
  assert.deepEqual(await shown(), [
    [1, success],
    [4, OPEN],
    [2, { ...success, closedReason: 'failed' }],
    [3, OPEN],
  ])
  const by = { ...JANE, redriveId: 77n }
  await write((tx) => endLetters(tx, [1n, 3n], 'redriven', by))
  await write((tx) => endLetters(tx, [], 'redriven', by))
  const redriven = { closedBy: 'jane', closedAt: world.clock.now(), closedReason: 'seen' }
  assert.deepEqual(await shown(), [
    [1, success],
    [4, OPEN],
    [2, { ...success, closedReason: 'failed' }],
    [3, { ...redriven, state: 'redriven', redriveId: 77n }],
  ])
})

test('letters are read and locked by their ids, in order', async (t) => {
  const { shard, write } = await shardOf(t)
  await write((tx) => openLetters(tx, [letter(3n), letter(2n), letter(1n)]))
  const idsOf = (letters: readonly { id: bigint }[]) => letters.map(({ id }) => id)
  for (const lock of [lockLetters, lockFreeLetters]) {
    await write(async (tx) => {
      assert.deepEqual(idsOf(await lock(tx, [3n, 1n])), [1n, 3n])
      // Somebody else finds these locked, and no other.
      const others = await shard.transaction((other) => lockFreeLetters(other, [1n, 2n, 3n]))
      assert.deepEqual(idsOf(others), [2n])
    })
  }
  const read = await readLetters(shard, [3n, 1n])
  assert.deepEqual(read.map(({ paymentId }) => paymentId).toSorted(), [1n, 3n])
  assert.deepEqual(await readLetters(shard, []), [])
})

const ANY: RedriveFilter = {
  class: null,
  error: null,
  type: null,
  userId: null,
  createdBefore: null,
  createdAfter: null,
}

test('a filter finds the open letters that match all of it, oldest first, and counts them', async (t) => {
  const { world, shard, write, at } = await shardOf(t)
  await write((tx) =>
    openLetters(tx, [
      letter(1n),
      letter(2n, { class: 'unknown' }),
      letter(3n, { error: 'http_402' }),
      letter(4n, { type: 'deposit' }),
      letter(5n, { userId: 4n }),
      letter(6n, { class: 'unknown', error: CHARGED_AFTER_FAILED }),
      letter(7n),
    ]),
  )
  await write((tx) => endLetters(tx, [7n], 'resolved', JANE))
  world.clock.advance(1_000)
  await write((tx) => openLetters(tx, [letter(8n)]))
  const found = async (filter: Partial<RedriveFilter>, limit = 100) => {
    const { letters, matching } = await matchingLetters(shard, { ...ANY, ...filter }, limit)
    return [letters.map(({ paymentId }) => Number(paymentId)), matching]
  }
  assert.deepEqual(await found({}), [[1, 2, 3, 4, 5, 8], 6])
  assert.deepEqual(await found({}, 2), [[1, 2], 6])
  assert.deepEqual(await found({ class: 'unknown' }), [[2], 1])
  assert.deepEqual(await found({ error: 'http_402' }), [[3], 1])
  assert.deepEqual(await found({ type: 'deposit' }), [[4], 1])
  assert.deepEqual(await found({ userId: 4n }), [[5], 1])
  assert.deepEqual(await found({ createdAfter: at(0) }), [[8], 1])
  assert.deepEqual(await found({ createdAfter: at(1) }), [[], 0])
  assert.deepEqual(await found({ createdBefore: at(-1_000) }), [[], 0])
  assert.deepEqual(await found({ createdBefore: at(-999), class: 'failed' }), [[1, 3, 4, 5], 4])
})

test('an act is kept as it was, and only a payment that it ended is counted', async (t) => {
  const { world, shard, write, counted, countings } = await shardOf(t)
  const act = (paymentId: bigint, was: string, now: string) => ({
    ...JANE,
    act: 'resolve' as const,
    paymentId,
    letterId: paymentId + 10n,
    redriveId: 5n,
    before: { payment: was, letter: 'open' },
    after: { payment: now, letter: 'resolved' },
  })
  const acts = [
    act(1n, 'unknown', 'success'),
    act(2n, 'unknown', 'success'),
    act(3n, 'unknown', 'failed'),
    act(4n, 'unknown', 'new'),
    act(5n, 'failed', 'failed'),
  ]
  await write((tx) => insertActs(tx, acts))
  await write((tx) => insertActs(tx, []))
  assert.equal(await counted('resolved_success', 'resolved_failed'), '2 1')
  await write((tx) => insertActs(tx, [{ ...act(1n, 'failed', 'failed'), reason: 'later' }]))
  assert.equal(await counted('resolved_success', 'resolved_failed'), '2 1')
  assert.equal(await countings(), 1)
  const createdAt = world.clock.now()
  assert.deepEqual(await actsOfPayment(shard, 1n), [
    { ...acts[0], createdAt },
    { ...act(1n, 'failed', 'failed'), reason: 'later', createdAt },
  ])
})

/** Calls of one payment, and what they say. */
const CALLS: readonly (readonly [calls: string, known: Partial<typeof NO_EVIDENCE>])[] = [
  ['', {}],
  ['charge success 200', { yes: true }],
  ['lookup success 200', { yes: true }],
  ['charge declined 402', { declined: true }],
  ['charge declined null', { declined: true }],
  ['charge declined 403', {}],
  ['lookup declined 402', { no: true }],
  ['lookup not_found 404', { absent: true }],
  ['lookup no_answer 500', {}],
  ['lookup pending 200', {}],
  ['charge in_doubt null', { doubted: true }],
  ['charge pending 202', { doubted: true }],
  ['lookup in_doubt null', {}],
  ['charge not_executed null', {}],
  [
    'charge in_doubt null, lookup not_found 404, charge success 200',
    { doubted: true, absent: true, yes: true },
  ],
]

test('what is known of a payment is what all of its calls say, and how long its key is in use', async (t) => {
  const { world, shard } = await shardOf(t)
  const userId = await world.user(0n)
  const draft = { type: 'deposit', userId, amount: 1_000n, idempotencyKey: null } as const
  await world.accept(CALLS.map(() => draft))
  const now = world.clock.now()
  for (const [at, [calls]] of CALLS.entries()) {
    for (const [place, call] of calls.split(', ').filter(Boolean).entries()) {
      const [kind, outcome, status] = call.split(' ')
      await world.sql(
        `insert into payment_attempts
           (shard, payment_id, fence, call, kind, outcome, sent, http_status, started_at, took_ms)
         values (0, $1, 1, $2, $3, $4, true, $5, $6, 0)`,
        [at + 1, place, kind, outcome, status === 'null' ? null : status, now],
      )
    }
  }
  await world.sql('update payment_tasks set first_sent_at = $1 where payment_id = 1', [now])
  await world.sql('delete from payment_tasks where payment_id = 2')
  world.clock.advance(500)
  await world.sql('update payment_tasks set first_sent_at = $1 where payment_id = 3', [
    world.clock.now(),
  ])
  const known = await knownOf(
    shard,
    [...CALLS.keys()].map((at) => BigInt(at + 1)),
  )
  for (const [at, [calls, said]] of CALLS.entries()) {
    const paymentId = BigInt(at + 1)
    const firstSentAgeMs = at === 2 ? 0 : 500
    assert.deepEqual(
      known.get(paymentId),
      { ...NO_EVIDENCE, ...said, paymentId, firstSentAgeMs },
      calls,
    )
  }
  assert.deepEqual([...(await knownOf(shard, [3n])).keys()], [3n])
  assert.equal((await knownOf(shard, [])).size, 0)
})

test('a final state is never left, and every change is dated and counted', async (t) => {
  const { world, shard, write, counted } = await shardOf(t)
  const userId = await world.user(0n)
  const draft = { type: 'deposit', userId, amount: 1_000n, idempotencyKey: null } as const
  await world.accept(Array.from({ length: 5 }, () => draft))
  const shown = async () =>
    (await readPayments(shard, [1n, 2n, 3n, 4n, 5n]))
      .toSorted((one, two) => Number(one.id - two.id))
      .map((one) => [one.status, one.attempts, one.lastError, one.gatewayRef, one.finishedAt])
  world.clock.advance(100)
  const at = world.clock.now()
  const unknown = { status: 'unknown', attempts: 2, error: 'timeout', gatewayRef: null } as const
  const success = { status: 'success', attempts: 3, error: null, gatewayRef: 'gw' } as const
  const failed = { status: 'failed', attempts: 4, error: 'no', gatewayRef: null } as const
  await write((tx) => {
    finishPayments(tx, [
      { id: 1n, ...unknown },
      { id: 2n, ...success },
      { id: 3n, ...failed },
      { id: 4n, ...unknown },
    ])
  })
  const ended = [
    ['success', 3, null, 'gw', at],
    ['failed', 4, 'no', null, at],
  ]
  const open = ['unknown', 2, 'timeout', null, null]
  const fresh = ['new', 0, null, null, null]
  assert.deepEqual(await shown(), [open, ...ended, open, fresh])
  assert.equal(await counted('succeeded', 'failed', 'in_doubt'), '1 1 2')
  world.clock.advance(100)
  await write((tx) => {
    finishPayments(tx, [
      { id: 2n, ...failed },
      { id: 3n, ...success },
    ])
  })
  await write((tx) => {
    finishPayments(tx, [])
    reopenPayments(tx, [1n, 2n, 3n])
    reopenPayments(tx, [])
  })
  assert.deepEqual(await shown(), [['new', 2, null, null, null], ...ended, open, fresh])
})

test('a repeat is another charge of the same, and each knows of the other', async (t) => {
  const { world, shard, write } = await shardOf(t)
  const userId = await world.user(9_000n)
  const draft = { type: 'withdraw', userId, amount: 1_000n, idempotencyKey: 'k' } as const
  await world.accept([draft, { ...draft, idempotencyKey: 'l' }])
  world.clock.advance(100)
  await write((tx) => insertRepeats(tx, [{ id: 50n, repeated: 1n }]))
  await write((tx) => insertRepeats(tx, [{ id: 51n, repeated: 1n }]))
  await write((tx) => insertRepeats(tx, []))
  const [first] = await readPayments(shard, [1n])
  const [repeat] = await readPayments(shard, [50n])
  assert.ok(first && repeat)
  assert.notEqual(repeat.gatewayKey, first.gatewayKey)
  const { gatewayKey } = repeat
  const own = { id: 50n, gatewayKey, createdAt: world.clock.now(), idempotencyKey: null }
  assert.deepEqual(repeat, { ...first, ...own })
  assert.deepEqual(await repeatsOf(shard, 1n), { repeated: null, repeatedBy: 51n })
  assert.deepEqual(await repeatsOf(shard, 50n), { repeated: 1n, repeatedBy: null })
  assert.deepEqual(await repeatsOf(shard, 2n), { repeated: null, repeatedBy: null })
  assert.deepEqual(await repeatsOf(shard, 99n), { repeated: null, repeatedBy: null })
})
