import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { draw, type Faults } from '../src/mock-gateway/faults.ts'
import { REQUESTS_MAX } from '../src/mock-gateway/journal.ts'
import type { Order } from '../src/mock-gateway/orders.ts'
import { mockGateway } from '../src/mock-gateway/server.ts'
import { manualClock } from './harness.ts'
import { FAULTS_NONE } from './mock-server.ts'

const ORDER: Order = {
  key: 'k1',
  paymentId: 1,
  userId: 2,
  amount: 20_050n,
  commission: 401n,
  type: 'deposit',
}

const MIXED = { error_before: 0.3, error_after: 0.3, decline: 0.2 }

/** A gateway without a socket. */
function gateway(t: TestContext, faults: Partial<Faults> = {}) {
  const mock = mockGateway({ clock: manualClock(), seed: 7, faults: { ...FAULTS_NONE, ...faults } })
  t.after(() => mock.close())
  let sent = 0
  /** What becomes of the next orders, each under a key of its own. */
  const acts = (count: number) =>
    Array.from({ length: count }, () => {
      sent += 1
      mock.pay({ ...ORDER, key: `s${sent}`, paymentId: sent })
      return mock.requests(1, 0)[0]?.fault ?? 'none'
    })
  return { mock, acts }
}

/** The status of an answer, and the code in its body. */
function told(reply: ReturnType<ReturnType<typeof mockGateway>['pay']>) {
  if (reply.kind !== 'answer') return [reply.kind]
  const { code } = reply.body as { code?: string }
  return [reply.status, code]
}

test('a key belongs to the whole order, its commission too', (t) => {
  const { mock } = gateway(t)
  assert.deepEqual(told(mock.pay(ORDER)), [200, undefined])
  const others: readonly Partial<Order>[] = [
    { paymentId: 9 },
    { userId: 9 },
    { amount: 1n },
    { commission: 1n },
    { type: 'withdraw' },
  ]
  for (const change of others) {
    assert.deepEqual(told(mock.pay({ ...ORDER, ...change })), [422, 'idempotency_key_reuse'])
  }
  const { executed, conflicts, duplicatesRefused } = mock.audit()
  assert.deepEqual([executed, conflicts, duplicatesRefused], [1, 5, 0])
  mock.pay(ORDER)
  assert.equal(mock.audit().duplicatesRefused, 1)
})

test('no more of a charge is refunded than is left, in whichever way the rest went back', (t) => {
  const { mock } = gateway(t)
  mock.pay({ ...ORDER, amount: 1_000n })
  let refunds = 0
  const refund = (amount: bigint) => {
    refunds += 1
    const own = { key: `r${refunds}`, paymentId: 100 + refunds, parentId: 1, amount }
    const [status] = told(mock.pay({ ...ORDER, ...own, commission: 0n, type: 'refund' }))
    return status === 200
  }
  const comesBack = (kind: 'charged_back' | 'refunded_there' | 'dispute_won', amount: bigint) =>
    mock.comeBack(kind, 1, amount)?.ok
  assert.equal(refund(1_001n), false)
  assert.equal(refund(300n), true)
  assert.equal(comesBack('charged_back', 400n), true)
  assert.deepEqual([refund(301n), refund(100n)], [false, true])
  assert.equal(comesBack('refunded_there', 150n), true)
  assert.deepEqual([refund(51n), refund(50n), refund(1n)], [false, true, false])
  assert.equal(comesBack('dispute_won', 400n), true)
  assert.deepEqual([refund(401n), refund(400n), refund(1n)], [false, true, false])
})

test('every reply takes as long as is set, a refusal too', (t) => {
  const { mock } = gateway(t, { latency_ms: 40, late_execute: 1, late_ms: 60_000, timeout_ms: 1 })
  mock.pay(ORDER)
  const replies = [
    mock.pay(ORDER),
    mock.pay({ ...ORDER, amount: 1n }),
    mock.lookup('k1'),
    mock.lookup('nobody'),
  ]
  for (const reply of replies) assert.equal('afterMs' in reply && reply.afterMs, 40)
})

test('a late charge is executed when its time has come, under its key, and then is one like any', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { mock } = gateway(t, { pending: 1, late_ms: 3_000 })
  assert.equal(told(mock.pay(ORDER))[0], 202)
  t.mock.timers.tick(2_999)
  assert.deepEqual(told(mock.pay(ORDER)), [409, 'in_progress'])
  assert.equal(mock.audit().executed, 0)
  t.mock.timers.tick(1)
  assert.equal(mock.audit().executed, 1)
  assert.deepEqual(told(mock.lookup('k1')), [200, undefined])
  mock.setFaults(FAULTS_NONE)
  assert.deepEqual(told(mock.pay(ORDER)), [200, undefined])
  assert.equal(mock.audit().executed, 1)
})

test('a late charge is executed when its gateway’s clock is set forward, and not before', (t) => {
  const clock = manualClock()
  const mock = mockGateway({ clock, faults: { ...FAULTS_NONE, pending: 1, late_ms: 604_800_000 } })
  t.after(() => mock.close())
  mock.pay(ORDER)
  clock.advance(604_799_999)
  assert.equal(told(mock.lookup('k1'))[0], 200)
  assert.equal(mock.audit().executed, 0)
  clock.advance(1)
  assert.deepEqual(told(mock.lookup('k1')), [200, undefined])
  assert.equal(mock.audit().executed, 1)
})

test('what is late when everything is forgotten, or at the end, is not executed', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { mock } = gateway(t, { pending: 1, late_ms: 3_000 })
  mock.pay(ORDER)
  mock.reset()
  t.mock.timers.tick(60_000)
  assert.equal(mock.audit().executed, 0)
  assert.deepEqual(told(mock.lookup('k1')), [404, 'not_found'])
  mock.pay(ORDER)
  mock.close()
  t.mock.timers.tick(60_000)
  assert.equal(mock.audit().executed, 0)
})

test('after the end orders and lookups are refused, nothing is held, and nothing is forgotten', async (t) => {
  const { mock } = gateway(t)
  mock.pay(ORDER)
  const held = mock.hold(60_000)
  mock.close()
  mock.close()
  await held
  await mock.hold(60_000)
  assert.deepEqual(told(mock.pay({ ...ORDER, key: 'k2' })), [503, 'closing'])
  assert.deepEqual(told(mock.lookup('k1')), [503, 'closing'])
  mock.reset()
  assert.equal(mock.audit().executed, 1)
})

test('the same seed repeats a run: from its start, when it is turned, and after a reset', (t) => {
  const { mock, acts } = gateway(t, MIXED)
  const first = acts(30)
  assert.ok(new Set(first).size > 2)
  assert.notDeepEqual(acts(30), first)
  assert.ok(mock.setFaults({ seed: 7 }).ok)
  assert.deepEqual(acts(30), first)
  mock.reset()
  assert.deepEqual(acts(30), first)
  // Other faults leave chance where it is.
  mock.setFaults({ seed: 7 })
  const begun = acts(10)
  mock.setFaults({ latency_ms: 1 })
  assert.deepEqual([...begun, ...acts(20)], first)
  mock.setFaults({ seed: 8 })
  assert.notDeepEqual(acts(30), first)
})

test('lookups take no chance from charges, and have the same ones in every run', (t) => {
  const { mock, acts } = gateway(t, { ...MIXED, lookup_errors: 0.5 })
  const looked = () => Array.from({ length: 30 }, () => told(mock.lookup('nobody'))[0])
  const [first, lookups] = [acts(30), looked()]
  assert.deepEqual(new Set(lookups), new Set([404, 502]))
  mock.setFaults({ seed: 7 })
  assert.deepEqual(looked(), lookups)
  assert.deepEqual(acts(30), first)
})

test('faults that are put back keep the seed that chance goes by', (t) => {
  const { mock } = gateway(t, { decline: 1 })
  mock.setFaults({ decline: 0.5, seed: 9, latency_ms: 3 })
  const back = mock.resetFaults()
  assert.deepEqual([back.decline, back.latency_ms, back.seed], [1, 0, 9])
  assert.deepEqual(mock.faults(), back)
  const refused = mock.setFaults({ decline: 2, latency_ms: 5 })
  assert.equal(refused.ok, false)
  assert.equal(mock.faults().latency_ms, 0)
})

test('each request takes two chances, and at most one fault, in the order of the settings', () => {
  const faults = { ...FAULTS_NONE, error_before: 0.25, decline: 0.5, latency_ms: 10 }
  const drawn = (...chances: number[]) => {
    const plan = draw({ ...faults, latency_jitter_ms: 8 }, () => chances.shift() ?? assert.fail())
    assert.deepEqual(chances, [])
    return [plan.fault, plan.latencyMs]
  }
  assert.deepEqual(drawn(0, 0), ['error_before', 10])
  assert.deepEqual(drawn(0.2499, 0.5), ['error_before', 14])
  assert.deepEqual(drawn(0.25, 0.99), ['decline', 17])
  assert.deepEqual(drawn(0.7499, 0), ['decline', 10])
  assert.deepEqual(drawn(0.75, 0), [null, 10])
})

test('the last requests are listed newest first, in pages, and none before them', (t) => {
  const { mock } = gateway(t)
  for (let id = 1; id <= REQUESTS_MAX + 3; id += 1) {
    mock.pay({ ...ORDER, key: `k${id}`, paymentId: id })
  }
  const ids = (limit: number, offset: number) =>
    mock.requests(limit, offset).map(({ paymentId }) => paymentId)
  assert.deepEqual(ids(3, 0), [1_003, 1_002, 1_001])
  assert.deepEqual(ids(2, 3), [1_000, 999])
  assert.deepEqual(ids(5, REQUESTS_MAX - 2), [5, 4])
  assert.deepEqual(ids(5, REQUESTS_MAX), [])
  mock.reset()
  assert.deepEqual(ids(5, 0), [])
  mock.pay(ORDER)
  assert.deepEqual(ids(5, 0), [1])
})

test('executed charges are listed in order, behind as many as asked for, without declined ones', (t) => {
  const { mock } = gateway(t)
  mock.setFaults({ decline: 1 })
  mock.pay({ ...ORDER, key: 'no', paymentId: 99 })
  mock.setFaults({ decline: 0 })
  for (const id of [1, 2, 3, 4]) mock.pay({ ...ORDER, key: `k${id}`, paymentId: id })
  const ids = (after: number, limit: number) =>
    mock.executed(after, limit).map(({ paymentId }) => paymentId)
  assert.deepEqual([ids(0, 2), ids(2, 2), ids(3, 5), ids(4, 1)], [[1, 2], [3, 4], [4], []])
  const { charges, executed, declined, distinctPayments, executedAmounts } = mock.audit()
  assert.deepEqual([charges, executed, declined, distinctPayments], [5, 4, 1, 4])
  assert.deepEqual([...executedAmounts], [[null, 4n * ORDER.amount]])
})

test('the audit names all charges of a payment that was charged more than once, and no declined one', (t) => {
  const { mock } = gateway(t)
  for (const key of [null, null, null, 'k']) mock.pay({ ...ORDER, key })
  mock.pay({ ...ORDER, key: 'other', paymentId: 2 })
  mock.setFaults({ decline: 1 })
  mock.pay({ ...ORDER, key: 'no', paymentId: 2 })
  const { chargedTwice } = mock.audit()
  assert.deepEqual(
    chargedTwice.map((charges) => charges.map(({ number, paymentId }) => [number, paymentId])),
    [
      [
        [1, 1],
        [2, 1],
        [3, 1],
        [4, 1],
      ],
    ],
  )
})
