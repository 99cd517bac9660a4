import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbers } from '../src/domain/array-parameters.ts'
import type { Answer, PaymentDraft } from '../src/domain/acceptance.ts'
import { acceptor } from '../src/payments/accept.ts'
import { Busy, Unavailable, type Shard, type Tx } from '../src/ports.ts'
import { deposit, withdraw } from './locks-kit.ts'
import { quiet } from './waiting-clock.ts'

/**
 * A shard of three users with 10.00 each, and of no payments, that keeps nothing: what it is asked
 * for is noted. Of those who are locked nothing is read with a lock.
 */
function shardOf() {
  const seen = { ids: [] as number[], locks: [] as (number | undefined)[], written: 0 }
  const state = {
    locked: [] as bigint[],
    /** What each transaction waits for before it commits, and how often it runs. */
    commits: [] as Promise<void>[],
    runs: 1,
    fails: [] as (Error | null)[],
  }
  let lastId = 0n
  const users = new Set([1n, 2n, 3n])
  const rows = (name: string, [ids]: readonly unknown[]): unknown[] => {
    if (name === 'payments_by_keys') return []
    const asked = [...String(ids).matchAll(/\d+/g)]
      .map(([id]) => BigInt(id))
      .filter((id) => users.has(id))
    const free = asked.filter((id) => name !== 'users_lock_free' || !state.locked.includes(id))
    return free.map((id) => ({ id, available: 1_000n, held: 0n, currency: null }))
  }
  const tx: Tx = {
    run: (statement, values) => Promise.resolve(rows(statement.name, values) as never[]),
    write: () => void (seen.written += 1),
    ids(_sequence, count) {
      seen.ids.push(count)
      return Promise.resolve(Array.from({ length: count }, () => (lastId += 1n)))
    },
  }
  const shard: Shard = {
    number: 0,
    run: tx.run,
    async transaction(work, lockMs) {
      seen.locks.push(lockMs)
      const fails = state.fails.shift()
      if (fails) throw fails
      let result = await work(tx)
      for (let run = 1; run < state.runs; run += 1) result = await work(tx)
      await state.commits.shift()
      return result
    },
  }
  const enqueued: number[] = []
  const accept = acceptor({
    shard,
    currency: 'USD',
    fees: { bps: 200, mins: new Map() },
    onEnqueued: (count) => enqueued.push(count),
  })
  return { shard, seen, state, accept, enqueued }
}

function idsOf(answers: readonly Answer[]): (bigint | string)[] {
  return answers.map((answer) =>
    answer.kind === 'accepted' ? answer.payment.id : answer.refusal.code,
  )
}

const stranger = withdraw(9n)

test('ids that a batch did not use go to the next one, which takes only what it lacks', async () => {
  const { seen, accept } = shardOf()
  const some = [withdraw(1n), stranger, stranger, withdraw(2n)]
  const missing = 'user_not_found'
  assert.deepEqual(idsOf(await accept(some)), [1n, missing, missing, 2n])
  assert.deepEqual(idsOf(await accept([withdraw(1n)])), [3n])
  assert.deepEqual(idsOf(await accept(some)), [4n, missing, missing, 5n])
  assert.deepEqual(seen.ids, [4, 0, 3])
})

test('ids of a batch that another one overtook are given up: they would be out of order', async () => {
  const { seen, state, accept } = shardOf()
  let commit = (): void => undefined
  state.commits = [new Promise((resolve) => (commit = resolve))]
  const first = accept([withdraw(1n), stranger])
  await quiet()
  assert.deepEqual(idsOf(await accept([withdraw(2n)])), [3n])
  commit()
  assert.deepEqual(idsOf(await first), [1n, 'user_not_found'])
  assert.deepEqual(idsOf(await accept([withdraw(3n)])), [4n])
  assert.deepEqual(seen.ids, [2, 1, 1])
})

test('a batch that is repeated takes no further ids, and is told to be decided each time', async () => {
  const { seen, state, accept, enqueued } = shardOf()
  state.runs = 2
  let decided = 0
  const answers = await accept([withdraw(1n), withdraw(2n)], () => (decided += 1))
  assert.deepEqual([idsOf(answers), decided, seen.written], [[1n, 2n], 2, 2])
  assert.deepEqual([seen.ids, enqueued], [[2, 0], [2]])
})

test('it is decided before it is committed, and what is in the queue is told of after that', async () => {
  const { state, accept, enqueued } = shardOf()
  let commit = (): void => undefined
  state.commits = [new Promise((resolve) => (commit = resolve))]
  let decided = false
  const answers = accept(
    [withdraw(1n), deposit(2n), { ...withdraw(3n, 'k'), amount: 5_000n }],
    () => {
      decided = true
    },
  )
  await quiet()
  assert.deepEqual([decided, enqueued], [true, []])
  commit()
  assert.deepEqual(idsOf(await answers), [1n, 2n, 'insufficient_funds'])
  // What was refused waits for no worker.
  assert.deepEqual(enqueued, [2])
  await accept([stranger])
  assert.deepEqual(enqueued, [2])
})

const LOCKED = new Busy('locked')

/** What is tried with which wait, and whether users that are locked are left out in the end. */
const PATIENCE: readonly (readonly [
  name: string,
  lockMs: number | undefined,
  fails: readonly (Error | null)[],
  locks: readonly (number | undefined)[],
  end: 'accepted' | 'left out' | Error,
])[] = [
  ['without patience it waits as the database does', undefined, [], [undefined], 'accepted'],
  ['without patience a lock ends it', undefined, [LOCKED], [undefined], LOCKED],
  ['it waits as long as it may', 50, [], [50], 'accepted'],
  ['then it leaves out who is locked', 50, [LOCKED], [50, undefined], 'left out'],
  ['it does not wait where it may not', 0, [], [undefined], 'left out'],
  ['another failure is one', 50, [new Unavailable('away')], [50], new Unavailable('away')],
  ['a slow statement is one', 50, [new Busy('slow')], [50], new Busy('slow')],
  ['the second attempt may fail', 50, [LOCKED, LOCKED], [50, undefined], LOCKED],
]

for (const [name, lockMs, fails, locks, end] of PATIENCE) {
  test(`a batch and the locks of others: ${name}`, async () => {
    const { seen, state, accept } = shardOf()
    state.locked = [2n]
    state.fails = [...fails]
    const patience = lockMs === undefined ? undefined : { lockMs }
    const answers = accept([withdraw(1n), withdraw(2n)], undefined, patience)
    if (end instanceof Error) await assert.rejects(answers, end)
    else assert.deepEqual(idsOf(await answers), [1n, end === 'accepted' ? 2n : 'busy'])
    assert.deepEqual(seen.locks, locks)
  })
}

test('who is locked is told of before anything is decided, and all others are answered in order', async () => {
  const { state, accept, enqueued } = shardOf()
  state.locked = [2n]
  const told: string[] = []
  const drafts: PaymentDraft[] = [
    withdraw(2n),
    withdraw(1n),
    // It needs no lock, and comes behind the others of its user all the same.
    deposit(2n),
    stranger,
    deposit(3n, 'key'),
    deposit(2n, 'key'),
  ]
  const answers = await accept(drafts, () => void told.push('decided'), {
    lockMs: 0,
    onBusy: (ids) => void told.push([...ids].join()),
  })
  assert.deepEqual(idsOf(answers), ['busy', 1n, 'busy', 'user_not_found', 2n, 'busy'])
  assert.deepEqual([told, enqueued], [['2', 'decided'], [2]])
})

test('who is left out once stays out when the batch is repeated, and others join', async () => {
  const { shard, state, accept } = shardOf()
  const { transaction } = shard
  const told: string[] = []
  state.locked = [2n]
  Object.assign(shard, {
    transaction: (work: (tx: Tx) => Promise<unknown>) =>
      transaction(async (tx) => {
        await work(tx)
        state.locked = [3n]
        return work(tx)
      }),
  })
  const patience = { lockMs: 0, onBusy: (ids: ReadonlySet<bigint>) => told.push([...ids].join()) }
  const answers = await accept([withdraw(1n), withdraw(2n), withdraw(3n)], undefined, patience)
  assert.deepEqual(idsOf(answers), [1n, 'busy', 'busy'])
  assert.deepEqual(told, ['2', '2,3'])
})

test('traces are kept with the payments that their drafts became, whoever is left out', async () => {
  const { shard, state } = shardOf()
  state.locked = [2n]
  const { transaction } = shard
  const kept: unknown[] = []
  const noted = (tx: Tx): Tx => ({
    ...tx,
    write(statement, values) {
      if (statement.name === 'payment_traces_write') kept.push(values)
      tx.write(statement, values)
    },
  })
  Object.assign(shard, {
    transaction: (work: (tx: Tx) => Promise<unknown>, lockMs?: number) =>
      transaction((tx) => work(noted(tx)), lockMs),
  })
  const fees = { bps: 200, mins: new Map() }
  const accept = acceptor({ shard, currency: 'USD', fees, traced: true })
  const drafts: PaymentDraft[] = [
    { ...withdraw(2n), traceparent: 'two' },
    { ...withdraw(1n), traceparent: 'one' },
    withdraw(1n),
    { ...stranger, traceparent: 'stranger' },
    { ...deposit(3n, 'key'), traceparent: 'three' },
  ]
  const answers = await accept(drafts, undefined, { lockMs: 0 })
  assert.deepEqual(idsOf(answers), ['busy', 1n, 2n, 'user_not_found', 3n])
  assert.deepEqual(kept, [[numbers([1n, 3n]), ['one', 'three']]])
})
