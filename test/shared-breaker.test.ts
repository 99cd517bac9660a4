import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { guardedGateway, type GuardedGateway } from '../src/adapters/guarded-gateway.ts'
import { shareBreaker, type SharedBreakerLoop } from '../src/breaker/share.ts'
import type { BreakerPolicy } from '../src/domain/breaker.ts'
import { scriptedGateway, testWorld, type ScriptedGateway, type TestWorld } from './harness.ts'

const POLICY: BreakerPolicy = {
  callsMin: 10,
  failuresPercent: 90,
  windowMs: 60_000,
  quickWindowMs: 60_000,
  pauseMs: 300,
  pauseMsMax: 600,
  probes: 3,
}

const REQUEST = {
  key: 'k',
  paymentId: 1n,
  userId: 1n,
  amount: 1n,
  commission: 0n,
  type: 'deposit' as const,
}

interface Process {
  readonly remote: ScriptedGateway
  readonly gateway: GuardedGateway
  readonly loop: SharedBreakerLoop
  /** Make calls as a worker would: only as many as are admitted. */
  call(times: number): Promise<number>
}

function startProcess(t: TestContext, world: TestWorld): Process {
  const remote = scriptedGateway(['in_doubt'])
  const gateway = guardedGateway(remote, systemClock, () => undefined, POLICY)
  const { db } = world
  const loop = shareBreaker({
    db,
    clock: systemClock,
    gateway: 'g',
    local: gateway,
    policy: POLICY,
  })
  t.after(() => loop.stop())
  return {
    remote,
    gateway,
    loop,
    async call(times) {
      const admitted = loop.admitted(times, 0)
      for (let made = 0; made < admitted; made += 1) await gateway.charge(REQUEST)
      return admitted
    },
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, `in time: ${what}`)
    await systemClock.sleep(20)
  }
}

test("one worker's outage stops them all, one probes, and its success lets all back in", async (t) => {
  const world = await testWorld(t)
  const [one, other] = [startProcess(t, world), startProcess(t, world)]
  await until('the ramp admits ten calls', () => one.loop.admitted(10, 0) === 10)

  assert.equal(await one.call(10), 10)
  await until(
    'both are stopped',
    () => one.loop.state() === 'open' && other.loop.state() === 'open',
  )
  assert.equal(other.loop.admitted(100, 0), 0)
  assert.equal(other.remote.calls.length, 0, 'the other never called')

  const probing = () => [one, other].filter(({ loop }) => loop.state() === 'half_open')
  await until('one of them probes', () => probing().length > 0)
  assert.equal(probing().length, 1)
  const [prober] = probing()
  assert.ok(prober)
  const idle = prober === one ? other : one
  assert.equal(idle.loop.admitted(100, 0), 0)
  assert.ok(prober.loop.admitted(100, 0) <= POLICY.probes)

  prober.remote.script = ['success']
  await prober.call(1)
  await until(
    'both are back',
    () => one.loop.state() === 'closed' && other.loop.state() === 'closed',
  )
  assert.ok(idle.loop.admitted(1_000, 0) < 1_000, 'slowly at first')
})

test('probes that fail double the pause and stop everybody again', async (t) => {
  const world = await testWorld(t)
  const own = startProcess(t, world)
  await until('the ramp admits ten calls', () => own.loop.admitted(10, 0) === 10)
  await own.call(10)
  await until('it is open', () => own.loop.state() === 'open')
  await until('it probes', () => own.loop.state() === 'half_open')
  await own.call(POLICY.probes)
  await until('it is open again', () => own.loop.state() === 'open')
  const [row] = await world.sql<{ trips: number }>('select trips from gateway_breakers')
  assert.equal(row?.trips, 2)
})
