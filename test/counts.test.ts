import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../src/adapters/metrics.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import type { ExactName } from '../src/domain/counters.ts'
import { readExact } from '../src/metrics/exact-counters.ts'
import { startFlusher, totals } from '../src/metrics/flush.ts'
import { foldCounts } from '../src/metrics/series-store.ts'
import { readCounters } from '../src/metrics/store.ts'
import { Unavailable, type Global } from '../src/ports.ts'
import { claimTasks } from '../src/queue/claims-store.ts'
import { COUNTED, miscounted, MISCOUNTED_MINUTES } from './counts.ts'
import { cloneDatabase, query } from './databases.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'
import { declined, JANE, lost, openLetter, somebodyElse } from './operators.ts'
import { API, CALM, FAST, get, MOCK, post, range, until } from './process-kit.ts'
import { launch, launchMortal } from './programs.ts'
import { turnGateway } from '../tools/client.ts'
import { samplesOf } from './prometheus.ts'
import { serve } from './serve.ts'
import { busyHistory } from './verify-history.ts'

type Counted = Record<ExactName, bigint>

async function assertCounts(world: TestWorld): Promise<Record<ExactName, number>> {
  const shown = await readExact(world.db)
  const [counted] = await world.sql<Counted>(COUNTED)
  assert(counted !== undefined)
  assert.deepEqual(miscounted(counted, shown), [])
  assert.deepEqual(await world.sql(MISCOUNTED_MINUTES), [])
  return shown
}

for (const shards of [1, 3]) {
  test(`counters equal the finals after a busy history, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await busyHistory(world, 5)
    const shown = await assertCounts(world)
    for (const name of ['payments_success_total', 'payments_failed_total'] as const) {
      assert(shown[name] > 10, `${name} ${shown[name]}`)
    }
    assert(shown.payments_unknown_total > 0 && shown.payments_retried_total > 0)
    const [claims] = await world.sql<{ seen: bigint }>(
      'select count(distinct (payment_id, fence)) as seen from payment_attempts where call > 0',
    )
    // Those whose worker was lost made no call, and left evidence only when they came due.
    assert(shown.payments_processing_started_total >= Number(claims?.seen))
  })
}

test('claims and retries are counted as they are made', async (t) => {
  const world = await testWorld(t, { script: ['not_executed', 'not_executed', 'success'] })
  await world.accept([
    { type: 'deposit', userId: await world.user(0n), amount: 100n, idempotencyKey: null },
  ])
  for (const [started, retried] of [
    [1, 1],
    [2, 2],
    [3, 2],
  ] as const) {
    await world.work()
    world.clock.advance(60_000)
    const shown = await assertCounts(world)
    assert.equal(shown.payments_processing_started_total, started)
    assert.equal(shown.payments_retried_total, retried)
  }
  // An idle worker claims nothing, and writes nothing about it.
  await world.work()
  assert.equal((await assertCounts(world)).payments_processing_started_total, 3)
})

test('a claim that used up no attempt is no retry, however often the payment is claimed again', async (t) => {
  const world = await testWorld(t, { script: ['pending'] })
  await world.accept([
    { type: 'deposit', userId: await world.user(0n), amount: 100n, idempotencyKey: null },
  ])
  for (let round = 1; round <= 3; round += 1) {
    await world.work()
    world.clock.advance(24 * 3_600_000)
    const shown = await assertCounts(world)
    assert.equal(shown.payments_processing_started_total, round)
    assert.equal(shown.payments_retried_total, 0)
  }
})

test('what operators end is counted once, as final and as theirs', async (t) => {
  const world = await testWorld(t)
  const [yes, no, again] = [
    await lost(world, 'withdraw'),
    await lost(world, 'withdraw'),
    await lost(world, 'deposit'),
  ]
  const [failed] = await declined(world, 'deposit')
  const before = await assertCounts(world)
  const end = async (paymentId: bigint, outcome: 'success' | 'failed') =>
    resolve(world.world, JANE, [
      { letterId: await openLetter(world, paymentId), outcome, gatewayRef: null },
    ])
  await end(yes, 'success')
  await end(no, 'failed')
  await redrive(world.world, JANE, [{ letterId: await openLetter(world, again), delayMs: 0 }])
  await redrive(world.world, JANE, [
    { letterId: await openLetter(world, failed ?? 0n), delayMs: 0 },
  ])
  const after = await assertCounts(world)
  const grown = Object.entries(after).map(([name, count]) => [
    name,
    count - before[name as ExactName],
  ])
  assert.deepEqual(Object.fromEntries(grown.filter(([, count]) => count !== 0)), {
    payments_success_total: 1,
    payments_resolved_success_total: 1,
    payments_failed_total: 1,
    payments_resolved_failed_total: 1,
    payments_task_enqueued_total: 2,
  })
})

test('a transaction that is rolled back has counted nothing', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(1_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 500n, idempotencyKey: null }])
  const before = await assertCounts(world)
  // The journal refuses a second hold of a payment, so the settlement fails as a whole.
  const settlements = await world.claimAndCharge()
  const claimed = await assertCounts(world)
  assert.equal(
    claimed.payments_processing_started_total - before.payments_processing_started_total,
    1,
  )
  await world.sql('alter table postings rename to postings_away')
  await assert.rejects(world.settle(settlements))
  await world.sql('alter table postings_away rename to postings')
  assert.deepEqual(await assertCounts(world), claimed)
})

/** Accept deposits, each in a transaction of its own. */
async function acceptEach(world: TestWorld, count: number): Promise<void> {
  const userId = await world.user(0n)
  for (let index = 0; index < count; index += 1) {
    await world.accept([{ type: 'deposit', userId, amount: 100n, idempotencyKey: null }])
  }
}

async function rowsOfCounts(world: TestWorld): Promise<number> {
  const [row] = await world.sql<{ rows: number }>(
    'select count(*)::int as rows from payment_counts',
  )
  return row?.rows ?? 0
}

/** What a test world's payments go through, so that each statement counts something. */
async function eachCounts(world: TestWorld): Promise<void> {
  for (const outcome of ['success', 'failed'] as const) {
    const letterId = await openLetter(world, await lost(world, 'withdraw'))
    await resolve(world.world, JANE, [{ letterId, outcome, gatewayRef: null }])
  }
  const [failed] = await declined(world, 'deposit')
  const repeated = await openLetter(world, failed ?? 0n)
  await redrive(world.world, JANE, [{ letterId: repeated, delayMs: 0 }])
  await world.work()
}

test('whoever holds every row of the counts keeps nobody waiting, and nothing is miscounted', async (t) => {
  const world = await testWorld(t)
  await acceptEach(world, 120)
  await eachCounts(world)
  const before = await assertCounts(world)
  const other = await somebodyElse(t, world)
  await other.lockAll('payment_counts')
  // Each of these would end in the limit for locks.
  await eachCounts(world)
  await foldCounts(world.db.of(0n))
  const after = await assertCounts(world)
  assert(
    Object.entries(after).every(([name, count]) => count > before[name as ExactName]),
    'all',
  )
  await other.release()
  assert.deepEqual(await assertCounts(world), after)
})

test('transactions that count at the same time do not wait for each other, nor does a folder', async (t) => {
  const world = await testWorld(t)
  await acceptEach(world, 120)
  // Each begins within the one before, and ends before it.
  const open = async (left: number): Promise<void> => {
    if (left === 0) return foldCounts(world.db.of(0n))
    await world.db.of(0n).transaction(async (tx) => {
      assert.equal(
        (await claimTasks(tx, { gateway: 'http', operation: 'charge' }, 1, LEASE_MS)).length,
        1,
      )
      await open(left - 1)
    })
  }
  await open(6)
  const shown = await assertCounts(world)
  assert.equal(shown.payments_processing_started_total, 6)
  assert.equal(await rowsOfCounts(world), 7)
})

test('rows of counts become one, and the totals are right at every moment of it', async (t) => {
  const world = await testWorld(t)
  const folding = async () => {
    for (let round = 0; round < 10; round += 1) await foldCounts(world.db.of(0n))
  }
  const reading = async () => {
    let least = 130
    for (let round = 0; round < 20; round += 1) {
      const { payments_task_enqueued_total: seen } = await readExact(world.db)
      assert(seen >= least && seen <= 260, `${seen} after ${least}`)
      least = seen
    }
  }
  await acceptEach(world, 130)
  await Promise.all([folding(), folding(), reading(), acceptEach(world, 130), folding()])
  await acceptEach(world, 130)
  await foldCounts(world.db.of(0n))
  assert.equal((await assertCounts(world)).payments_task_enqueued_total, 390)
  assert.equal(await rowsOfCounts(world), 1)
  // A few rows are not worth it: an idle service writes nothing.
  await acceptEach(world, 5)
  await foldCounts(world.db.of(0n))
  assert.equal(await rowsOfCounts(world), 6)
})

test('counts that could not be added are added by the next flush', async (t) => {
  const world = await testWorld(t)
  const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  const line = { cut: true }
  const global: Global = {
    run: (statement, values) =>
      line.cut ? Promise.reject(new Unavailable('cut')) : world.db.global.run(statement, values),
  }
  const sleep = (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((done) => signal?.addEventListener('abort', () => done(), { once: true }))
  const flusher = startFlusher(
    { db: { ...world.db, global }, clock: { ...world.clock, sleep } },
    metrics,
  )
  metrics.count('gateway_success_total', 2)
  await assert.rejects(flusher.flush(), Unavailable)
  line.cut = false
  metrics.count('gateway_success_total')
  assert.equal((await totals({ db: world.db, flusher })).gateway_success_total, 3)
  metrics.count('gateway_success_total')
  await flusher.stop()
  assert.equal((await readCounters(world.db.global))['gateway_success_total'], 4)
})

test('the JSON map and Prometheus show the same numbers, and refusals and replays are requests', async (t) => {
  const service = await serve(t, { MOCK_GATEWAY_SEED: '1' })
  await service.call('PUT', '/mock-gateway/faults', CALM)
  const user = await service.call('POST', '/users', { balance: 10 })
  const ask = (path: string, body: object, key?: string) =>
    service.call(
      'POST',
      `/payments/${path}`,
      { user_id: user.body.id, ...body },
      key === undefined ? {} : { 'idempotency-key': key },
    )
  const first = await ask('deposit', { deposit: 5 }, 'one')
  await ask('deposit', { deposit: 5 }, 'one')
  await ask('withdraw', { amount: 9_999 })
  // No amount of any currency, so nothing was asked for.
  await ask('withdraw', { amount: 0.00001 })
  await until('the deposit is settled', async () => {
    const seen = await service.call('GET', `/payments/${String(first.body.payment_id)}`)
    return seen.body.status === 'success'
  })
  const map = (await service.call('GET', '/metrics')).body as Record<string, number>
  const expected = {
    payments_deposit_requests_total: 2,
    payments_withdraw_requests_total: 1,
    idempotency_hits_total: 1,
    payments_task_enqueued_total: 1,
    payments_processing_started_total: 1,
    gateway_success_total: 1,
    payments_success_total: 1,
    payments_failed_total: 0,
  }
  for (const [name, count] of Object.entries(expected)) assert.equal(map[name], count, name)
  const samples = samplesOf(await (await fetch(`${service.url}/metrics`)).text())
  for (const [name, count] of Object.entries(map)) {
    const full = name.startsWith('payments_') ? name : `payments_${name}`
    assert.equal(samples.find((sample) => sample.name === full)?.value, count, name)
  }
})

test('counters equal the finals exactly, though api and workers are killed at every point', async (t) => {
  const database = await cloneDatabase(t)
  const env = {
    ...FAST,
    DATABASE_URL: database,
    APP_ENV: 'test',
    WORKER_PROCESSING_TIMEOUT_SECONDS: '2.9',
    GATEWAY_TIMEOUT_SECONDS: '0.3',
  }
  const mock = await launch(t, 'mock-gateway')
  await turnGateway(mock.url + MOCK, { ...CALM, decline: 0.2 })
  const own = { ...env, PAYMENT_GATEWAY_URL: mock.url + MOCK }
  const api = await launch(t, 'api', own)
  const userId = (await post(`${api.url}${API}/users`, { balance: 1_000 })).json['id']
  const ask = (url: string, key: string) =>
    post(`${url}${API}/payments/deposit`, { user_id: userId, deposit: 1 }, key)

  // Each of these dies on its way, and the client asks another process under the same key.
  for (const point of ['accept.before_commit:1', 'accept.after_commit:1']) {
    const mortal = await launchMortal(t, 'api', point, own)
    await assert.rejects(ask(mortal.url, point))
    assert.equal((await ask(api.url, point)).status, 202)
  }
  await Promise.all(range(40).map((index) => ask(api.url, `key-${index}`)))
  for (const point of ['claim.after_commit:1', 'settle.before_commit:1', 'settle.after_commit:1']) {
    const mortal = await launchMortal(t, 'worker', point, {
      ...own,
      WORKER_BATCH: '5',
      WORKER_CONCURRENCY: '5',
    })
    await until(`a worker dies at ${point}`, async () => {
      return fetch(`${mortal.url}/livez`).then(
        () => false,
        () => true,
      )
    })
  }
  await launch(t, 'worker', own)
  await until('nothing is left to do', async () => {
    const [row] = await query<{ open: number }>(
      database,
      'select count(*)::int as open from payment_tasks',
    )
    return row?.open === 0
  })
  const [counted] = await query<Counted>(database, COUNTED)
  assert(counted !== undefined)
  const shown = await get<Record<string, number>>(`${api.url}${API}/metrics`)
  assert.deepEqual(miscounted(counted, shown), [])
  assert.deepEqual(await query(database, MISCOUNTED_MINUTES), [])
  const { payments_success_total: succeeded = 0, payments_failed_total: failed = 0 } = shown
  assert.equal(succeeded + failed, 42)
})
