import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, type ChargeWorld, type Claim } from '../src/charging/charge.ts'
import { heard } from '../src/charging/heard.ts'
import { manualClock } from './harness.ts'
import { profileOf } from './profiles.ts'
import { absent, GRACE_MS, paid, POLICY } from './retry-kit.ts'

const TASK = {
  paymentId: 7n,
  fence: 4,
  attempts: 3,
  tries: POLICY.attemptsMax,
  triedAgeMs: 0,
  lookups: 1,
  pendings: 0,
  pendingAgeMs: null,
  misconfiguredAgeMs: null,
}
const LONG_MS = 100 * GRACE_MS
const PAYMENT = {
  id: 7n,
  userId: 3n,
  type: 'deposit',
  amount: 500n,
  commission: 10n,
  status: 'unknown',
  gatewayKey: 'key-7',
  gatewayRef: null,
  currency: null,
}

/**
 * A gateway that stands still and has the last charge in its socket. When it goes on it answers the
 * question that waits as well, and only then reads the charge. It executes within the grace.
 */
function stalled() {
  const clock = manualClock()
  const sentMs = clock.elapsedMs()
  let executedMs = Infinity
  const gateway = {
    profile: profileOf(POLICY),
    lookup: async () => {
      if (executedMs === Infinity) executedMs = clock.elapsedMs() + GRACE_MS - 1
      const outcome = clock.elapsedMs() < executedMs ? absent : paid
      return { outcome, sent: true, httpStatus: outcome === absent ? 404 : 200 }
    },
    execute: () => assert.fail('its tries are used up'),
    close: async () => undefined,
  }
  const world = {
    db: { currency: 'USD' },
    clock,
    gateway,
    policy: POLICY,
    leaseMs: 60_000,
    callMsMax: 1_000,
    random: () => 0,
    heard: heard(clock, GRACE_MS),
  } as unknown as ChargeWorld
  const ask = async (task: object = {}) => {
    const ageMs = clock.elapsedMs() - sentMs
    const state = { ...TASK, doubtAgeMs: ageMs, firstSentAgeMs: ageMs, ...task }
    const claimed = { task: state, payment: PAYMENT, claimedMs: clock.elapsedMs() }
    const whole = { ...claimed, callsUntilMs: clock.elapsedMs() + 60_000 } as unknown as Claim
    return (await charge(world, whole)).decision
  }
  return { clock, ask, world }
}

test('no payment fails by a “not found” of a gateway that stood still longer than the grace', async () => {
  const { clock, ask } = stalled()
  clock.advance(10 * GRACE_MS)
  assert.equal((await ask()).step, 'doubt', 'the charge may be unread')
  clock.advance(GRACE_MS - 2)
  assert.equal((await ask()).step, 'doubt', 'it has not been at work for the grace')
  clock.advance(2)
  assert.equal((await ask()).step, 'succeed')
})

test('a gateway that has been at work for the grace since a charge proves by “not found” that it was not executed', async () => {
  const { clock, ask, world } = stalled()
  const busy = () => world.heard?.answered('charge', clock.elapsedMs())
  clock.advance(10)
  // It answers others all the time, more often than is noted.
  for (let step = 0; step < 200; step += 1) {
    busy()
    clock.advance(GRACE_MS / 100)
  }
  assert.deepEqual(await ask(), { step: 'fail', reason: 'not_executed' })
  const later = { doubtAgeMs: GRACE_MS }
  assert.equal((await ask(later)).step, 'doubt', 'what it answered before says nothing')
  const other = stalled()
  other.world.heard?.answered('payout', other.clock.elapsedMs())
  other.clock.advance(2 * GRACE_MS)
  assert.equal((await other.ask()).step, 'doubt', 'nor does an answer about a payout')
})

/** A gateway that answers every question with "not found", as it has no charge by that key. */
function forgetful(atWork = heardOf()) {
  const { clock, hears } = atWork
  const sentMs = clock.elapsedMs()
  const task = { ...TASK, lookups: 0, doubtMs: sentMs }
  const gateway = {
    profile: profileOf(POLICY),
    lookup: async () => {
      clock.advance(20)
      return { outcome: absent, sent: true, httpStatus: 404 }
    },
    execute: () => assert.fail('its tries are used up'),
    close: async () => undefined,
  }
  const world = {
    db: { currency: 'USD' },
    clock,
    gateway,
    policy: POLICY,
    leaseMs: 60_000,
    callMsMax: 1_000,
    random: () => 0,
  }
  /** Ask when it is due, and wait as long as is decided. */
  const ask = async (type = 'deposit', again = hears) => {
    const { doubtMs, ...kept } = task
    const [ageMs, firstSentAgeMs] = [clock.elapsedMs() - doubtMs, clock.elapsedMs() - sentMs]
    const state = { ...kept, doubtAgeMs: ageMs, firstSentAgeMs, pendingAgeMs: firstSentAgeMs }
    const claimedMs = clock.elapsedMs()
    const refund = type === 'refund' ? { refund: { parentId: 1n, parentRef: null } } : {}
    const claimed = { task: state, payment: { ...PAYMENT, type }, claimedMs, ...refund }
    const whole = { ...claimed, callsUntilMs: claimedMs + 60_000 } as unknown as Claim
    const asking = { ...world, heard: again } as unknown as ChargeWorld
    const { decision } = await charge(asking, whole)
    if (decision.step === 'doubt') task.lookups += 1
    if (decision.step === 'pending') task.pendings += 1
    if ('doubt' in decision && decision.doubt) task.doubtMs = clock.elapsedMs()
    if ('delayMs' in decision) clock.advance(decision.delayMs ?? 0)
    return decision.step
  }
  return { ask, task, clock }
}

function heardOf() {
  const clock = manualClock()
  return { clock, hears: heard(clock, GRACE_MS) }
}

/** How often it is asked until it has failed. */
async function questions(ask: () => Promise<string>): Promise<number> {
  for (let count = 1; count <= 20; count += 1) {
    if ((await ask()) === 'fail') return count
  }
  return Infinity
}

for (const type of ['deposit', 'withdraw', 'refund']) {
  test(`where nothing else is asked, a ${type} that was not executed fails within two graces of the first answer`, async () => {
    const { ask, task, clock } = forgetful()
    // It was away for so long that it is asked once a day.
    task.lookups = 8
    clock.advance(10 * GRACE_MS)
    const beganMs = clock.elapsedMs()
    assert.equal(await questions(() => ask(type)), 2)
    assert.ok(clock.elapsedMs() - beganMs < 2 * GRACE_MS)
  })
}

test('what the gateway had in hand and does not know any more fails where nothing else is asked', async () => {
  const { ask, task, clock } = forgetful()
  task.pendings = 8
  clock.advance(10 * GRACE_MS)
  assert.equal(await questions(ask), 2)
})

test('processes that know nothing of each other’s answers, and those that start anew, come to the proof', async () => {
  const atWork = heardOf()
  const { ask, task, clock } = forgetful(atWork)
  task.lookups = 8
  clock.advance(10 * GRACE_MS)
  const three = [atWork.hears, heard(clock, GRACE_MS), heard(clock, GRACE_MS)]
  let turn = 0
  const beganMs = clock.elapsedMs()
  const next = () => ask('deposit', three[turn++ % three.length] ?? atWork.hears)
  assert.equal(await questions(next), 4, 'each has to hear it once')
  assert.ok(clock.elapsedMs() - beganMs < 4 * GRACE_MS)
})

test('a claim that waited for the database makes no doubt older than it is', async () => {
  for (const [waitedMs, step] of [
    [0, 'fail'],
    [500, 'doubt'],
  ] as const) {
    const { world, clock } = stalled()
    const claimedMs = clock.elapsedMs()
    clock.advance(waitedMs)
    const readMs = clock.elapsedMs()
    clock.advance(500 - waitedMs)
    const task = { ...TASK, doubtAgeMs: GRACE_MS - 500, firstSentAgeMs: LONG_MS }
    const times = { claimedMs, readMs, callsUntilMs: claimedMs + 60_000 }
    const { heard: _, ...unheard } = world
    const { decision } = await charge(unheard, {
      task,
      payment: PAYMENT,
      ...times,
    } as unknown as Claim)
    assert.equal(decision.step, step)
  }
})
