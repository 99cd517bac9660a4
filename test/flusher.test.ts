import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFlusher, totals } from '../src/metrics/flush.ts'
import { databaseGauges } from '../src/metrics/database-gauges.ts'
import { sessions } from '../src/adapters/shard-session.ts'
import type { Statement } from '../src/ports.ts'
import { manualClock, testWorld } from './harness.ts'
import { declined, lost } from './operators.ts'

type Answer = (name: string, shard: number, values: readonly unknown[]) => unknown[]

/** A database of three shards that answers by name of statement; the shard is the first value. */
function fakeDb(answer: Answer) {
  const run = <Row>(statement: Statement<Row>, values: readonly unknown[]): Promise<Row[]> => {
    const shard = statement.sharded === false ? -1 : Number(values[0])
    try {
      return Promise.resolve(answer(statement.name, shard, values) as Row[])
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }
  const none = () => Promise.reject(new Error('no transactions'))
  return sessions({ run, transaction: none }, { currency: 'USD', shards: 3 })
}

const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done))
}

/** A flusher whose turns come when they are told to. */
function flushing(failing: () => boolean) {
  const turns: (() => void)[] = []
  const clock = {
    ...manualClock(),
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        turns.push(resolve)
        signal?.addEventListener('abort', () => resolve())
      }),
  }
  const seen: string[] = []
  const db = fakeDb((name, shard, values) => {
    if (name === 'counters_add' && failing()) throw new Error('away')
    seen.push(name === 'counters_add' ? `add ${JSON.stringify(values)}` : `${name} ${shard}`)
    return []
  })
  let counted: Record<string, number> = {}
  const counters = {
    drain() {
      const drained = counted
      counted = {}
      return drained
    },
    undrain(deltas: Record<string, number>) {
      for (const [name, value] of Object.entries(deltas)) count(name, value)
    },
  }
  const count = (name: string, by: number) => void (counted[name] = (counted[name] ?? 0) + by)
  return {
    db,
    flusher: startFlusher({ db, clock }, counters),
    count,
    seen: () => seen.splice(0),
    async turn() {
      turns.shift()?.()
      await settled()
    },
  }
}

test('what could not be added is kept, and added with what came later, once', async () => {
  let failing = true
  const { flusher, count, seen, turn } = flushing(() => failing)
  count('a', 2)
  await assert.rejects(flusher.flush(), /away/)
  count('a', 3)
  await turn()
  assert.deepEqual(seen(), [])
  failing = false
  await turn()
  assert.deepEqual(seen(), ['add [["a"],"{5}"]'])
  await flusher.flush()
  assert.deepEqual(seen(), [], 'nothing is added where nothing was counted')
  await flusher.stop()
})

test('a process that stops adds what it counted last, and no database keeps it from stopping', async () => {
  for (const failing of [false, true]) {
    const { flusher, count, seen } = flushing(() => failing)
    await settled()
    count('a', 1)
    await flusher.stop()
    assert.deepEqual(seen(), failing ? [] : ['add [["a"],"{1}"]'])
  }
})

test('minutes are rolled up at every sixtieth turn, once for all shards of a server', async () => {
  const { flusher, seen, turn } = flushing(() => false)
  await settled()
  for (let turns = 1; turns < 59; turns += 1) await turn()
  seen()
  await turn()
  const folds = [0, 1, 2].map((shard) => `payment_counts_fold ${shard}`)
  assert.deepEqual(seen(), [...folds, 'payment_series_roll_up -1'])
  await flusher.stop()
})

test('the rows of counts are folded at every fifth turn, on every shard', async () => {
  const { flusher, seen, turn } = flushing(() => false)
  await settled()
  const folds = [0, 1, 2].map((shard) => `payment_counts_fold ${shard}`)
  for (const _ of [2, 3, 4]) await turn()
  assert.deepEqual(seen(), [])
  await turn()
  assert.deepEqual(seen(), folds)
  for (const _ of [6, 7, 8, 9]) await turn()
  assert.deepEqual(seen(), [])
  await turn()
  assert.deepEqual(seen(), folds)
  await flusher.stop()
})

test('totals are those of all processes, this one until now, and exact ones those of all shards', async () => {
  const added: string[] = []
  const db = fakeDb((name, shard) => {
    if (name === 'counters_read') {
      return [
        { name: 'idempotency_hits_total', value: 7n },
        { name: 'payments_success_total', value: 100n },
      ]
    }
    return name === 'payment_counts_read'
      ? [{ name: 'payments_success_total', value: BigInt(shard + 1) }]
      : []
  })
  const flusher = {
    flush: () => Promise.resolve(void added.push('flushed')),
    stop: () => Promise.resolve(),
  }
  const all = await totals({ db, flusher })
  assert.deepEqual(added, ['flushed'])
  assert.deepEqual(
    [all.idempotency_hits_total, all.payments_success_total, all.payments_failed_total],
    [7, 106, 0],
  )
  const away = { ...flusher, flush: () => Promise.reject(new Error('away')) }
  await assert.rejects(totals({ db, flusher: away }), /away/)
})

const QUEUES = [
  { due: 1, leased: 20, waiting: 300, oldestDueSeconds: 5 },
  { due: 2, leased: 30, waiting: 400, oldestDueSeconds: 50 },
  { due: 4, leased: 50, waiting: 600, oldestDueSeconds: 0 },
]
const BEHIND = [
  [{ endpointId: 1n, dueSeconds: 3, failing: true }],
  [
    { endpointId: 1n, dueSeconds: 7, failing: true },
    { endpointId: 2n, dueSeconds: 0, failing: false },
  ],
  [],
]
const RISKS = [
  { unknownCount: 1, unknownAmount: 10n, unknownOldestSeconds: 9, failedLetters: 100 },
  { unknownCount: 3, unknownAmount: 30n, unknownOldestSeconds: 2, failedLetters: 0 },
  { unknownCount: 0, unknownAmount: 0n, unknownOldestSeconds: 0, failedLetters: 50 },
]

test('gauges add amounts and counts of unlike shards, and show the oldest of their ages', async () => {
  const db = fakeDb((name, shard) => {
    if (name === 'risk_read') return [RISKS[shard]]
    if (name === 'held_read') return [{ currency: null, held: BigInt(10 ** shard) }]
    if (name === 'webhooks_behind') return BEHIND[shard] ?? []
    if (name === 'webhooks_disabled') return [{ count: 2 }]
    return name.includes('counts') || name.includes('counters') ? [] : [QUEUES[shard]]
  })
  const { counts, ...gauges } = await databaseGauges(db)()
  assert.equal(counts.payments_success_total, 0)
  assert.deepEqual(gauges, {
    queueTasks: { due: 7, leased: 100, waiting: 1_300 },
    queueOldestDueSeconds: 50,
    unknownPayments: 4,
    unknownAmounts: { USD: 40n },
    unknownOldestSeconds: 9,
    heldAmounts: { USD: 111n },
    webhookEndpoints: { failing: 1, disabled: 2 },
    webhookOldestDueSeconds: 7,
    deadLettersOpen: { unknown: 4, failed: 150 },
  })
})

test('money at risk is what nobody knows the outcome of, and as old as that, whatever else failed before', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await declined(world, 'withdraw', 2)
  world.clock.advance(86_400_000)
  assert.equal((await databaseGauges(world.db)()).unknownOldestSeconds, 0)
  const unknown = await lost(world, 'withdraw')
  const { amount } = (await world.view(unknown)).payment
  await world.sql(`update dead_letters set created_at = '${world.clock.now().toISOString()}'
    where payment_id = ${unknown}`)
  world.clock.advance(60_000)
  await declined(world, 'withdraw', 2)
  const gauges = await databaseGauges(world.db)()
  assert.equal(gauges.unknownOldestSeconds, 60)
  assert.deepEqual(gauges.unknownAmounts, { USD: amount })
  assert.equal(gauges.unknownPayments, 1)
  assert.deepEqual(gauges.deadLettersOpen, { unknown: 1, failed: 4 })
})
