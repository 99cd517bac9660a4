import assert from 'node:assert/strict'
import type { Call, RetryPolicy, TaskState } from '../src/domain/charge-decision.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { next } from '../src/domain/retry.ts'
import type { Gateway } from '../src/ports.ts'
import type { Conform, Conformer } from './conformer.ts'
import { POLICY } from './harness.ts'

const DAY_MS = 86_400_000

const FRESH: TaskState = {
  tries: 0,
  triedAgeMs: null,
  lookups: 0,
  pendings: 0,
  doubtAgeMs: null,
  firstSentAgeMs: null,
}

function policyOf({ profile }: Gateway): RetryPolicy {
  return { ...POLICY, ...profile }
}

/** Whether the service would send a charge again whose first was sent so long ago. */
function repeatsAt(gateway: Gateway, ageMs: number): boolean {
  const task = { ...FRESH, tries: 1, triedAgeMs: ageMs, doubtAgeMs: ageMs, firstSentAgeMs: ageMs }
  const policy = policyOf(gateway)
  const silent: Call = {
    kind: 'lookup',
    outcome: { kind: 'no_answer', reason: 'timeout' },
    doubtAgeMs: ageMs,
  }
  const calls = policy.lookup === 'none' ? [] : [silent]
  const step = next(task, calls, policy, 0)
  return step.kind === 'call' && step.call === 'charge'
}

/** What any driver keeps to as time goes by. */
export function overTime(conform: Conform): void {
  comesBackByItself(conform)
  conform('as long as a charge in doubt is sent again, its key is honoured', async (made, t) => {
    const { gateway, clock, behave, charge } = made
    if (gateway.profile.repeats !== 'first_answer') return t.skip('not promised')
    const lastMs = 0.9 * gateway.profile.keyLifeMs - POLICY.timeoutMs
    assert.equal(repeatsAt(gateway, lastMs - 1), true)
    assert.equal(repeatsAt(gateway, lastMs), false)
    behave('lose_reply')
    await gateway.execute(charge)
    behave('accept')
    for (const ms of [1, lastMs - 2, gateway.profile.keyLifeMs - lastMs]) {
      clock.advance(ms)
      assert.equal((await gateway.execute(charge)).outcome.kind, 'success')
      assert.equal(made.charged(charge.paymentId), 1)
    }
  })

  conform(
    'what is pending for three days is asked for rarely and ends by its word',
    async (made) => {
      const { clock, behave, charge } = made
      const startMs = clock.elapsedMs()
      behave('take', 3 * DAY_MS)
      const seen = await carried(made, charge)
      assert.deepEqual(seen.last, { step: 'succeed', twice: false })
      assert.ok(clock.elapsedMs() - startMs >= 3 * DAY_MS)
      // 10 s, 30 s, 1 min, 5 min, 15 min, 1 h, and then day after day.
      const waits = [10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, DAY_MS, DAY_MS, DAY_MS]
      assert.deepEqual(seen.waits, waits)
      assert.deepEqual(seen.calls, ['charge', ...waits.map(() => 'lookup')])
      assert.equal(made.charged(charge.paymentId), 1)
    },
  )

  conform(
    'what comes back of a final payment is told by every lookup from then on',
    async (made, t) => {
      const { gateway, charge, comesBack } = made
      if (comesBack === undefined) return t.skip('nothing comes back by itself')
      const done = await gateway.execute(charge)
      assert(done.outcome.kind === 'success')
      const known = { ...charge, gatewayRef: done.outcome.gatewayRef }
      assert.equal(await backOf(gateway, known), 0n)
      let sum = 0n
      for (const amount of [50n, 20_000n]) {
        await comesBack(done.outcome.gatewayRef ?? '', amount)
        sum += amount
        assert.equal(await backOf(gateway, known), sum)
        assert.equal(await backOf(gateway, known), sum)
      }
      // It is no other charge, and no other word about it.
      assert.deepEqual((await gateway.execute(charge)).outcome, done.outcome)
      assert.equal(made.charged(charge.paymentId), 1)
    },
  )
}

/** What does not come back by itself is no return: refunds that we asked for. */
function comesBackByItself(conform: Conform): void {
  conform(
    'a look at a final payment tells each return under its own reference, and no refund of ours',
    async (made, t) => {
      const { gateway, charge, comesBack } = made
      if (comesBack === undefined) return t.skip('nothing comes back by itself')
      const done = await gateway.execute(charge)
      assert(done.outcome.kind === 'success')
      const { gatewayRef } = done.outcome
      const watched = { ...charge, gatewayRef, watched: true } as const
      assert.deepEqual(await returnsOf(gateway, watched), [])
      const parent = { paymentId: charge.paymentId, gatewayRef }
      const about = { ...charge, kind: 'refund', key: 'refund-of-ours', parent } as const
      const refund = { ...about, paymentId: charge.paymentId + 1n, amount: 100n, commission: 0n }
      assert.equal((await gateway.execute(refund)).outcome.kind, 'success')
      assert.deepEqual(await returnsOf(gateway, watched), [])
      await comesBack(gatewayRef ?? '', 50n)
      await comesBack(gatewayRef ?? '', 7_000n)
      const told = await returnsOf(gateway, watched)
      assert.deepEqual(
        told.map(({ amount }) => amount),
        [50n, 7_000n],
        'the oldest first',
      )
      assert.equal(new Set(told.map(({ ref }) => ref)).size, 2)
      assert.deepEqual(await returnsOf(gateway, watched), told, 'the same, however often')
      assert.equal(made.charged(charge.paymentId), 1)
    },
  )

  conform('a look at a final payment that gets no answer tells nothing', async (made, t) => {
    const { dead, charge, ref } = made
    if (dead.profile.lookup === 'none') return t.skip('it cannot be asked')
    const { outcome } = await dead.lookup({ ...charge, gatewayRef: ref, watched: true })
    assert.equal(outcome.kind, 'no_answer')
  })
}

async function returnsOf(gateway: Gateway, watched: GatewayOperation) {
  const { outcome } = await gateway.lookup(watched)
  assert(outcome.kind === 'success', outcome.kind)
  return outcome.returns ?? []
}

/** What a lookup tells that went back of a success. */
async function backOf(gateway: Gateway, known: GatewayOperation): Promise<bigint> {
  const { outcome } = await gateway.lookup(known)
  assert(outcome.kind === 'success')
  assert.equal(outcome.gatewayRef, known.gatewayRef)
  const returned = (outcome.returns ?? []).reduce((sum, { amount }) => sum + amount, 0n)
  return returned + (outcome.refunded ?? 0n)
}

/** Carry an operation out as the service does, by its own decisions, until it is final. */
async function carried({ gateway, clock }: Conformer, charge: GatewayOperation) {
  const policy = policyOf(gateway)
  const startMs = clock.elapsedMs()
  const sentAt = clock.now()
  const made: string[] = []
  const waits: number[] = []
  let task = FRESH
  let gatewayRef: string | null = null
  for (let claims = 0; claims < 100; claims += 1) {
    const calls: Call[] = []
    let step = next(task, calls, policy, 0)
    while (step.kind === 'call') {
      made.push(step.call)
      const operation: GatewayOperation = { ...charge, gatewayRef, sentAt }
      const call: Call =
        step.call === 'charge'
          ? { kind: 'charge', ...(await gateway.execute(operation)) }
          : { kind: 'lookup', ...(await gateway.lookup(operation)), doubtAgeMs: task.doubtAgeMs }
      if ('gatewayRef' in call.outcome) gatewayRef = call.outcome.gatewayRef ?? gatewayRef
      calls.push(call)
      step = next(task, calls, policy, 0)
    }
    const { decision } = step
    if (decision.step !== 'pending') {
      const twice = decision.step === 'succeed' ? decision.twice : null
      return { last: { step: decision.step, twice }, calls: made, waits }
    }
    waits.push(decision.delayMs)
    clock.advance(decision.delayMs)
    const ageMs = clock.elapsedMs() - startMs
    const pendings = task.pendings + 1
    task = { ...task, pendings, doubtAgeMs: decision.delayMs, firstSentAgeMs: ageMs }
  }
  return assert.fail('it never ends')
}
