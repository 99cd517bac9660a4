import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { guardedGateway, type GuardedGateway } from '../src/gateways/guarded.ts'
import { sharedBreakers, type Alert, type SharedBreakers } from '../src/gateways/shared-breaker.ts'
import { readBreakers } from '../src/gateways/breaker-store.ts'
import type { BreakerPolicy } from '../src/domain/breaker.ts'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import { operationOf, GATEWAY, type PaymentType } from '../src/domain/payment.ts'
import { scriptedGateway, testWorld, type ScriptedGateway, type TestWorld } from './harness.ts'

const POLICY: BreakerPolicy = {
  callsMin: 10,
  failuresPercent: 90,
  windowMs: 60_000,
  quickWindowMs: 60_000,
  pauseMs: 1_000,
  pauseMsMax: 15_000,
  probes: 3,
}

const OK: ChargeOutcome = { kind: 'success', gatewayRef: null }
const TIMEOUT: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }
const WRONG_KEY: ChargeOutcome = { kind: 'misconfigured', reason: 'http_401' }

/** A worker's process as far as its breakers go; it looks only when told. */
interface Process {
  readonly remote: ScriptedGateway
  readonly gateway: GuardedGateway
  readonly breakers: SharedBreakers
  readonly alerts: Alert[]
  /** What the gateway answers to charges. */
  answers: ChargeOutcome
  /** Make calls as a worker would: only as many as are admitted. */
  call(times: number, type?: PaymentType): Promise<number>
}

let payments = 0n

function startProcess({ db, clock }: TestWorld, answers: ChargeOutcome): Process {
  const remote = scriptedGateway()
  const execute: ScriptedGateway['execute'] = ({ key, paymentId }) => {
    remote.calls.push({ kind: 'charge', key, paymentId })
    const httpStatus = process.answers === WRONG_KEY ? 401 : null
    return Promise.resolve({ outcome: process.answers, sent: true, httpStatus })
  }
  const gateway = guardedGateway({ ...remote, execute }, clock, () => undefined, POLICY)
  const alerts: Alert[] = []
  const onAlert = (alert: Alert) => void alerts.push(alert)
  const breakers = sharedBreakers({
    gateway: GATEWAY,
    db: db.global,
    clock,
    policy: POLICY,
    local: gateway.route,
    onAlert,
  })
  const process: Process = {
    remote,
    gateway,
    breakers,
    alerts,
    answers,
    async call(times, type = 'deposit') {
      const admitted = breakers.admitted(type === 'deposit' ? 'charge' : 'payout', times, 0)
      for (let made = 0; made < admitted; made += 1) await gateway.execute(request(type))
      return admitted
    },
  }
  return process
}

function request(type: PaymentType) {
  payments += 1n
  return {
    key: 'k',
    paymentId: payments,
    userId: 1n,
    amount: 1n,
    exponent: 2 as const,
    currency: 'USD',
    commission: 0n,
    kind: operationOf(type),
  }
}

async function look(...processes: readonly Process[]): Promise<void> {
  for (const { breakers } of processes) await breakers.look()
}

async function started(t: TestContext, count: number, answers: ChargeOutcome) {
  const world = await testWorld(t)
  const processes = Array.from({ length: count }, () => startProcess(world, answers))
  await look(...processes)
  return { world, processes }
}

test("one worker's outage stops them all, one probes, and its success lets all back in", async (t) => {
  const { world, processes } = await started(t, 2, TIMEOUT)
  const [one, other] = processes as [Process, Process]
  assert.equal(await one.call(10), 10)
  await look(one, other)
  assert.equal(one.breakers.state('charge'), 'open')
  assert.equal(other.breakers.state('charge'), 'open')
  assert.equal(other.breakers.admitted('charge', 100, 0), 0)
  assert.equal(other.remote.calls.length, 0, 'the other never called')

  world.clock.advance(POLICY.pauseMs)
  await look(other, one)
  assert.equal(other.breakers.state('charge'), 'half_open')
  assert.equal(one.breakers.admitted('charge', 100, 0), 0, 'one of them probes')
  assert.equal(other.breakers.admitted('charge', 100, 0), POLICY.probes)

  other.answers = OK
  await other.call(1)
  await look(other, one)
  assert.equal(one.breakers.state('charge'), 'closed')
  assert.equal(other.breakers.state('charge'), 'closed')
  assert.equal(other.breakers.admitted('charge', 1_000, 0), POLICY.probes, 'slowly at first')
  // Those of before the outage may still be on their way.
  assert.equal(
    other.breakers.admitted('charge', 1_000, POLICY.probes + 5),
    0,
    'never less than none',
  )
  assert.deepEqual([...one.alerts, ...other.alerts], [], 'an outage is nothing to set right')
  // Who saw the outage itself does not begin it again.
  await look(one, other)
  assert.equal(one.breakers.state('charge'), 'closed')
  assert.equal(other.breakers.state('charge'), 'closed')
  world.clock.advance(30_000)
  assert.equal(other.breakers.admitted('charge', 1_000, 0), 1_000)
})

test('a process keeps its probe while a call takes longer than a look, and its success closes the breaker', async (t) => {
  const { world, processes } = await started(t, 2, TIMEOUT)
  const [own, other] = processes as [Process, Process]
  await own.call(10)
  await look(own, other)
  world.clock.advance(POLICY.pauseMs)
  for (let looks = 0; looks < 5; looks += 1) {
    await look(own, other)
    assert.equal(own.breakers.state('charge'), 'half_open')
    assert.equal(other.breakers.state('charge'), 'open', 'it is the only one')
    assert.equal(own.breakers.admitted('charge', 100, 1), POLICY.probes - 1, 'beside the one')
    world.clock.advance(250)
  }
  own.answers = OK
  await own.call(1)
  await look(own, other)
  assert.equal(own.breakers.state('charge'), 'closed')
  assert.equal(other.breakers.state('charge'), 'closed')
})

test('probes that fail double the pause and stop everybody again', async (t) => {
  const { world, processes } = await started(t, 1, TIMEOUT)
  const [own] = processes as [Process]
  await own.call(10)
  await look(own)
  for (const [trips, pauseMs] of [
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [4, 8_000],
    [5, 15_000],
    [6, 15_000],
  ]) {
    const shared = (await readBreakers(world.db.global, GATEWAY)).get('charge')
    assert.deepEqual([shared?.trips, Math.round(shared?.openMs ?? 0)], [trips, pauseMs])
    world.clock.advance(pauseMs ?? 0)
    await look(own)
    await own.call(POLICY.probes)
    await look(own)
    assert.equal(own.breakers.state('charge'), 'open')
  }
})

test('a worker that starts during an outage calls nobody, however often it starts', async (t) => {
  const { world, processes } = await started(t, 1, TIMEOUT)
  await processes[0]?.call(10)
  await look(...processes)
  for (let start = 0; start < 3; start += 1) {
    const fresh = startProcess(world, TIMEOUT)
    assert.equal(await fresh.call(256), 0, 'before it has looked')
    await look(fresh)
    assert.equal(await fresh.call(256), 0, 'after')
  }
})

test('a worker that starts while all is well is not held back', async (t) => {
  const { processes } = await started(t, 1, OK)
  assert.equal(await processes[0]?.call(256), 256)
})

test('a wrong credential stops one operation, is told once, and once more when it is right', async (t) => {
  const { world, processes } = await started(t, 3, WRONG_KEY)
  const all = () => processes.flatMap(({ alerts }) => alerts)
  for (const each of processes) await each.call(50, 'withdraw')
  await look(...processes)
  await look(...processes)
  const told = { operation: 'payout', kind: 'misconfigured', reason: 'http_401' }
  assert.deepEqual(all(), [told])
  for (const { breakers } of processes) {
    assert.deepEqual(
      breakers.routes().map(({ misconfigured }) => misconfigured),
      [false, true, false],
    )
    assert.equal(breakers.admitted('payout', 100, 0), 0)
    assert.equal(breakers.admitted('charge', 100, 0), 100, 'deposits go on')
  }
  for (let minute = 0; minute < 10; minute += 1) {
    world.clock.advance(60_000)
    await look(...processes)
    let probes = 0
    for (const each of processes) probes += await each.call(50, 'withdraw')
    assert.equal(probes, 1, 'one call in a pause, of all workers')
    await look(...processes)
  }
  assert.deepEqual(all(), [told], 'probes that fail are no news')

  for (const each of processes) each.answers = OK
  world.clock.advance(60_000)
  await look(...processes)
  for (const each of processes) await each.call(50, 'withdraw')
  await look(...processes)
  assert.deepEqual(all().slice().sort(), [told, { ...told, kind: 'right_again' }])
  for (const { breakers } of processes) {
    assert.ok(breakers.routes().every(({ misconfigured }) => !misconfigured))
  }
})

test('whether the gateway answers others well is known of every worker, by the age of the answer', async (t) => {
  const { world, processes } = await started(t, 2, OK)
  const [one, other] = processes as [Process, Process]
  assert.equal(one.breakers.answeredSince('charge', 1e12), false, 'never')
  await one.call(1)
  world.clock.advance(5_000)
  await look(one, other)
  for (const { breakers } of processes) {
    assert.equal(breakers.answeredSince('charge', 5_001), true)
    assert.equal(breakers.answeredSince('charge', 4_999), false)
    assert.equal(breakers.answeredSince('payout', 1e12), false, 'of another operation')
  }
  world.clock.advance(5_000)
  assert.equal(other.breakers.answeredSince('charge', 9_999), false)
  assert.equal(other.breakers.answeredSince('charge', 10_001), true)
})

test('an outage that stops for a moment goes on with its age', async (t) => {
  const { world, processes } = await started(t, 1, WRONG_KEY)
  const [own] = processes as [Process]
  const outage = async () => {
    const shared = await readBreakers(world.db.global, GATEWAY)
    return Math.round(shared.get('charge')?.outageMs ?? 0)
  }
  await own.call(1)
  await look(own)
  world.clock.advance(300_000)
  await look(own)
  await own.call(1)
  await look(own)
  assert.equal(await outage(), 300_000, 'a probe that fails does not begin it anew')
  world.clock.advance(300_000)
  await look(own)
  own.answers = OK
  await own.call(1)
  await look(own)
  assert.equal(own.breakers.state('charge'), 'closed')
  own.answers = WRONG_KEY
  world.clock.advance(50_000)
  await own.call(1)
  await look(own)
  assert.equal(await outage(), 650_000, 'one call worked in between')

  own.answers = OK
  world.clock.advance(15_000)
  await look(own)
  await own.call(1)
  await look(own)
  own.answers = WRONG_KEY
  world.clock.advance(61_000)
  await own.call(1)
  await look(own)
  assert.equal(await outage(), 0, 'a minute without one is the end of it')
})

test('a process that cannot ask the others for long sends probes by itself, and no more', async (t) => {
  const world = await testWorld(t)
  const one = startProcess(world, TIMEOUT)
  const other = startProcess(world, OK)
  await one.breakers.look()
  await one.call(20)
  await one.breakers.look()
  await other.breakers.look()
  assert.equal(other.breakers.state('charge'), 'open')
  world.clock.advance(29_000)
  assert.equal(other.breakers.admitted('charge', 50, 0), 0)
  world.clock.advance(1_000)
  assert.equal(other.breakers.admitted('charge', 50, 0), POLICY.probes)
  assert.equal(other.breakers.admitted('charge', 50, POLICY.probes), 0)
  // One that has never looked knows nothing, and waits.
  const newcomer = startProcess(world, OK)
  world.clock.advance(60_000)
  assert.equal(newcomer.breakers.admitted('charge', 50, 0), 0)
})

test('what is shared is read every two seconds while all is calm, and at each turn otherwise', async (t) => {
  const world = await testWorld(t)
  let reads = 0
  const run: TestWorld['db']['global']['run'] = (statement, values) => {
    if (statement.name === 'breaker_read') reads += 1
    return world.db.global.run(statement, values)
  }
  const own = startProcess({ ...world, db: { ...world.db, global: { run } } }, OK)
  const turns = async (count: number, running: number) => {
    reads = 0
    for (let turn = 0; turn < count; turn += 1) {
      own.breakers.admitted('charge', 10, running)
      await own.breakers.turn()
      world.clock.advance(250)
    }
    return reads
  }
  assert.equal(await turns(17, 0), 3)
  assert.equal(await turns(8, 1), 8)
  // Another process trips: that is no calm any more, however little is under way.
  const other = startProcess(world, TIMEOUT)
  await other.breakers.look()
  await other.call(10)
  await other.breakers.look()
  world.clock.advance(2_000)
  await own.breakers.turn()
  assert.equal(await turns(4, 0), 4)
})
