import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createMetrics } from '../src/adapters/metrics.ts'
import { loadConfig } from '../src/config/config.ts'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import type { BreakerPolicy } from '../src/domain/breaker.ts'
import { guardedGateway, type CallSeen } from '../src/gateways/guarded.ts'
import type { Evidence, Gateway } from '../src/ports.ts'
import type { Process } from '../src/process/shared.ts'
import { openGateway } from '../src/process/gateway.ts'
import { manualClock, scriptedGateway } from './harness.ts'
import { operationOf } from '../src/domain/payment.ts'

const POLICY: BreakerPolicy = {
  callsMin: 2,
  failuresPercent: 90,
  windowMs: 60_000,
  quickWindowMs: 60_000,
  pauseMs: 1_000,
  pauseMsMax: 15_000,
  probes: 3,
}

/** A gateway that answers as it is told, after `tookMs`. */
function world() {
  const clock = manualClock()
  const seen: CallSeen[] = []
  const told = {
    charge: { kind: 'success', gatewayRef: null } as ChargeOutcome,
    lookup: { kind: 'not_found' } as LookupOutcome,
    cancel: { kind: 'declined', reason: 'canceled' } as LookupOutcome,
    sent: true,
    tookMs: 0,
    closed: 0,
  }
  const answer = <Outcome>(outcome: () => Outcome) => {
    return async (): Promise<Evidence<Outcome>> => {
      await Promise.resolve()
      clock.advance(told.tookMs)
      return { outcome: outcome(), sent: told.sent, httpStatus: null }
    }
  }
  const remote: Gateway = {
    ...scriptedGateway(),
    execute: answer(() => told.charge),
    lookup: answer(() => told.lookup),
    cancel: answer(() => told.cancel),
    close: () => Promise.resolve(void (told.closed += 1)),
  }
  const gateway = guardedGateway(remote, clock, (call) => void seen.push(call), POLICY)
  let id = 0n
  const request = (type: 'deposit' | 'withdraw') => {
    id += 1n
    const money = { amount: 1n, commission: 0n, exponent: 2, currency: 'USD' } as const
    return { kind: operationOf(type), key: 'k', paymentId: id, userId: 1n, ...money }
  }
  return { clock, seen, told, gateway, remote, request }
}

test('each call is told with its outcome, its reason and how long it took', async () => {
  const { seen, told, gateway, request } = world()
  told.tookMs = 40
  await gateway.execute(request('deposit'))
  told.charge = { kind: 'in_doubt', reason: 'timeout' }
  await gateway.execute(request('withdraw'))
  told.lookup = { kind: 'no_answer', reason: 'http_500' }
  await gateway.lookup(request('deposit'))
  await gateway.cancel?.(request('deposit'))
  assert.deepEqual(seen, [
    { call: 'charge', outcome: 'success', reason: null, ms: 40 },
    { call: 'charge', outcome: 'in_doubt', reason: 'timeout', ms: 40 },
    { call: 'lookup', outcome: 'no_answer', reason: 'http_500', ms: 40 },
    { call: 'cancel', outcome: 'declined', reason: 'canceled', ms: 40 },
  ])
  await gateway.close()
  assert.equal(told.closed, 1)
})

test('an operation was answered by a charge of its own that got a word, and by nothing else', async () => {
  const { clock, told, gateway, request } = world()
  const ages = () =>
    [gateway.route('charge'), gateway.route('payout')].map((route) => route.answeredMs())
  for (const charge of [
    { kind: 'in_doubt', reason: 'timeout' },
    { kind: 'not_executed', reason: 'http_429', retryAfterMs: null },
    { kind: 'rejected', reason: 'limit' },
    { kind: 'misconfigured', reason: 'http_404' },
  ] satisfies ChargeOutcome[]) {
    told.charge = charge
    await gateway.execute(request('deposit'))
  }
  told.lookup = { kind: 'success', gatewayRef: null }
  await gateway.lookup(request('deposit'))
  assert.deepEqual(ages(), [Infinity, Infinity])
  for (const charge of [
    { kind: 'success', gatewayRef: null },
    { kind: 'declined', reason: 'no' },
    { kind: 'pending', reason: 'pending' },
  ] satisfies ChargeOutcome[]) {
    told.charge = charge
    await gateway.execute(request('withdraw'))
    assert.deepEqual(ages(), [Infinity, 0])
    clock.advance(5)
    assert.deepEqual(ages(), [Infinity, 5])
  }
})

test('while its breaker is not closed an operation admits its probes less those that run; the other all', async () => {
  const { clock, told, gateway, request } = world()
  const [charge, payout] = [gateway.route('charge'), gateway.route('payout')]
  assert.equal(charge.admitted(10, 8), 10)
  told.charge = { kind: 'in_doubt', reason: 'reset' }
  for (const _ of [1, 2, 3, 4, 5, 6]) await gateway.execute(request('deposit'))
  assert.equal(charge.breaker(), 'open')
  assert.deepEqual(charge.why(), { cause: 'charges', reason: 'reset' })
  assert.equal(charge.admitted(10, 0), 0)
  assert.deepEqual([payout.breaker(), payout.why(), payout.admitted(10, 9)], ['closed', null, 10])
  clock.advance(POLICY.pauseMs)
  assert.deepEqual(
    [0, 1, 3, 4].map((running) => charge.admitted(10, running)),
    [3, 2, 0, 0],
  )
})

test('what a driver refuses by itself says nothing of a gateway that is down', async () => {
  const { clock, told, gateway, request } = world()
  const route = gateway.route('charge')
  const why = { cause: 'charges', reason: 'reset' } as const
  route.probe(why)
  told.sent = false
  told.charge = { kind: 'rejected', reason: 'no_payment_method' }
  for (const _ of [1, 2, 3, 4]) {
    await gateway.execute(request('deposit'))
    clock.advance(1_000)
  }
  assert.deepEqual([route.breaker(), route.why(), route.admitted(10, 0)], ['half_open', why, 3])
  told.sent = true
  await gateway.execute(request('deposit'))
  assert.equal(route.breaker(), 'closed')
})

test('a route that is told to probe does, whatever it has seen itself, until a call of its own works', async () => {
  const { clock, told, gateway, request } = world()
  const route = gateway.route('payout')
  clock.advance(60_000)
  const why = { cause: 'lookups', reason: 'http_500' } as const
  route.probe(why)
  assert.deepEqual([route.breaker(), route.why(), route.admitted(10, 0)], ['half_open', why, 3])
  assert.equal(gateway.route('charge').breaker(), 'closed')
  told.lookup = { kind: 'not_found' }
  await gateway.lookup(request('withdraw'))
  assert.deepEqual([route.breaker(), route.why()], ['closed', null])
})

const COUNTED: readonly (readonly [ChargeOutcome, counter: string])[] = [
  [{ kind: 'success', gatewayRef: null }, 'gateway_success_total'],
  [{ kind: 'declined', reason: 'no' }, 'gateway_non_retryable_errors_total'],
  [{ kind: 'in_doubt', reason: 'timeout' }, 'gateway_timeouts_total'],
  [{ kind: 'in_doubt', reason: 'reset' }, 'gateway_errors_total'],
  [{ kind: 'misconfigured', reason: 'http_401' }, 'gateway_errors_total'],
]

test('cancelations that fail keep no payment waiting, and those that work end no outage', async () => {
  const { told, gateway, request } = world()
  const route = gateway.route('charge')
  told.cancel = { kind: 'no_answer', reason: 'timeout' }
  for (const _ of [1, 2, 3, 4, 5, 6]) await gateway.cancel?.(request('deposit'))
  assert.equal(route.breaker(), 'closed')
  route.probe({ cause: 'lookups', reason: 'http_500' })
  told.cancel = { kind: 'declined', reason: 'canceled' }
  await gateway.cancel?.(request('deposit'))
  assert.equal(route.breaker(), 'half_open')
})

test('a gateway that cancels nothing does not either with a breaker around it', () => {
  const gateway = guardedGateway(scriptedGateway(), manualClock(), () => undefined, POLICY)
  assert.equal(gateway.cancel, undefined)
})

test('every charge counts once by its outcome, and other calls count nothing', async (t) => {
  const { told, remote, request } = world()
  const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  const own = {
    log: pino({ level: 'silent' }),
    metrics,
    db: { currency: 'USD' },
    decorators: { gateway: () => remote, db: (db: unknown) => db },
  } as unknown as Process
  const [http] = loadConfig({}).gateways
  assert.ok(http)
  const { gateway } = openGateway(own, http, () => assert.fail('nobody asks for its address'))
  const counted = () =>
    Object.fromEntries(Object.entries(metrics.drain()).filter(([, count]) => count !== 0))
  for (const [outcome, counter] of COUNTED) {
    told.charge = outcome
    await gateway.execute(request('deposit'))
    assert.deepEqual(counted(), { [counter]: 1 }, outcome.kind)
  }
  for (const lookup of [
    { kind: 'success', gatewayRef: null },
    { kind: 'no_answer', reason: 'timeout' },
  ] satisfies LookupOutcome[]) {
    told.lookup = lookup
    told.cancel = lookup
    await gateway.lookup(request('deposit'))
    await gateway.cancel?.(request('deposit'))
  }
  assert.deepEqual(counted(), {})
})
