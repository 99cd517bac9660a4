import assert from 'node:assert/strict'
import { test } from 'node:test'
import { charge, chargeUnlessLocked, type Claim, type ChargeWorld } from '../src/charging/charge.ts'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import type { Payment } from '../src/domain/payment.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Db } from '../src/ports.ts'
import type { ClaimedTask } from '../src/queue/claims-store.ts'
import { manualClock } from './harness.ts'
import { absent, foreign, LIFE_MS, paid, POLICY, refused, silent, timeout } from './retry-kit.ts'
import { profileOf } from './profiles.ts'
import { operationOf } from '../src/domain/payment.ts'

const PAYMENT: Payment = {
  id: 7n,
  userId: 3n,
  type: 'withdraw',
  amount: 500n,
  commission: 10n,
  status: 'new',
  gatewayKey: 'key-7',
  attempts: 0,
  lastError: null,
  refusedFor: null,
  gatewayRef: null,
  finishedAt: null,
  currency: null,
} as Payment

const TASK: ClaimedTask = {
  paymentId: 7n,
  fence: 4,
  attempts: 0,
  tries: 0,
  triedAgeMs: null,
  lookups: 0,
  pendings: 0,
  pendingAgeMs: null,
  doubtAgeMs: null,
  firstSentAgeMs: 0,
  misconfiguredAgeMs: null,
}

interface Options {
  readonly charges?: readonly ChargeOutcome[]
  readonly lookups?: readonly LookupOutcome[]
  /** How long each call takes, in milliseconds. */
  readonly tookMs?: number
  readonly world?: Partial<ChargeWorld>
}

/** A world whose gateway answers in order and takes its time; nothing here asks a database. */
function worldOf({ charges = [paid], lookups = [absent], tookMs = 0, world = {} }: Options = {}) {
  const clock = manualClock()
  const calls: [kind: string, request: GatewayOperation][] = []
  const left = { charge: [...charges], lookup: [...lookups] }
  const answer = <Outcome>(kind: 'charge' | 'lookup', request: GatewayOperation) => {
    calls.push([kind, request])
    clock.advance(tookMs)
    const outcome = left[kind].shift() as Outcome
    return Promise.resolve({ outcome, sent: true, httpStatus: 200 })
  }
  const own: ChargeWorld = {
    db: { currency: 'USD' } as Db,
    clock,
    gateway: {
      profile: profileOf(POLICY),
      execute: (request) => answer('charge', request),
      lookup: (request) => answer('lookup', request),
      close: () => Promise.resolve(),
    },
    policy: POLICY,
    leaseMs: 15_000,
    callMsMax: 1_000,
    random: () => 0,
    ...world,
  }
  const claimed = (task: Partial<ClaimedTask> = {}, more: Partial<Claim> = {}): Claim => {
    const claimedMs = clock.elapsedMs()
    const callsUntilMs = claimedMs + own.leaseMs - own.callMsMax
    return { task: { ...TASK, ...task }, payment: PAYMENT, claimedMs, callsUntilMs, ...more }
  }
  return { world: own, clock, calls, claimed, kinds: () => calls.map(([kind]) => kind) }
}

const IN_DOUBT = { tries: 1, triedAgeMs: 0, doubtAgeMs: 0 }

test('the gateway is told what the payment is, and when the call began and how long it took', async () => {
  const { world, clock, calls, claimed } = worldOf({ tookMs: 12.6 })
  clock.advance(100)
  const sentAt = clock.now()
  const { calls: made, decision } = await charge(world, claimed())
  const { id: paymentId, userId, amount, commission, type } = PAYMENT
  const money = { amount, commission, exponent: 2, currency: 'USD' }
  const request = { kind: operationOf(type), key: 'key-7', paymentId, userId, ...money }
  assert.deepEqual(calls, [['charge', { ...request, sentAt }]])
  const evidence = { outcome: paid, sent: true, httpStatus: 200 }
  assert.deepEqual(made, [{ kind: 'charge', ...evidence, startedMs: 100, tookMs: 13 }])
  assert.deepEqual(decision, { step: 'succeed', gatewayRef: 'gw-1', twice: false })
})

test('a call begins up to the last moment from which it ends within the lease, and not later', async () => {
  for (const [waited, made] of [
    [14_000, 1],
    [14_001, 0],
  ] as const) {
    const { world, clock, claimed } = worldOf()
    const claim = claimed()
    clock.advance(waited)
    const { calls, decision } = await charge(world, claim)
    assert.deepEqual([calls.length, decision.step], [made, made === 1 ? 'succeed' : 'release'])
  }
})

test('the lease is looked at before every call, not only before the first', async () => {
  const { world, kinds, claimed } = worldOf({ tookMs: 14_001 })
  const { decision } = await charge(world, claimed(IN_DOUBT))
  assert.deepEqual(kinds(), ['lookup'])
  assert.deepEqual(decision, { step: 'release' })
})

test('who is told to stop makes no further call; what a charge came to is kept', async () => {
  const stopping = new AbortController()
  const { world, kinds, claimed } = worldOf({ charges: [timeout] })
  const { gateway } = world
  const stops: ChargeWorld = {
    ...world,
    policy: { ...POLICY, attemptsMax: 1 },
    gateway: {
      ...gateway,
      execute: (request) => (stopping.abort(), gateway.execute(request)),
    },
  }
  const stopped = await charge(stops, claimed(), stopping.signal)
  const reason = 'interrupted'
  assert.deepEqual(stopped.decision, { step: 'retry', delayMs: 0, reason, doubt: true })
  assert.deepEqual(kinds(), ['charge'])
  const unbegun = await charge(stops, claimed(), stopping.signal)
  assert.deepEqual(unbegun, { claim: unbegun.claim, calls: [], decision: { step: 'release' } })
})

test('a claim that was told to stop still says what its last call said', async () => {
  const stopping = new AbortController()
  const { world, claimed } = worldOf()
  const { gateway } = world
  const stops: ChargeWorld = {
    ...world,
    gateway: { ...gateway, execute: (request) => (stopping.abort(), gateway.execute(request)) },
  }
  assert.equal((await charge(stops, claimed(), stopping.signal)).decision.step, 'succeed')
})

test('what waits in a process grows older: its doubt, its key and its first try', async () => {
  const { world, clock, claimed, kinds } = worldOf({ lookups: [absent, absent] })
  const graceMs = POLICY.notFoundGraceMs
  const waiting = claimed({ ...IN_DOUBT, lookups: 1, doubtAgeMs: graceMs - 1_000 })
  clock.advance(999)
  assert.equal((await charge(world, waiting)).decision.step, 'doubt')
  const same = { ...waiting, claimedMs: clock.elapsedMs() }
  clock.advance(1_000)
  const { decision, calls } = await charge(world, same)
  assert.deepEqual(decision, { step: 'fail', reason: 'not_executed' })
  assert.equal(calls[0]?.kind === 'lookup' && calls[0].doubtAgeMs, graceMs)
  assert.deepEqual(kinds(), ['lookup', 'lookup'])

  const young = { ...POLICY, giveUpMs: 10_000 }
  const tired = worldOf({ charges: [refused, refused], world: { policy: young } })
  const tried = tired.claimed({ tries: 5, triedAgeMs: 9_000 })
  tired.clock.advance(999)
  assert.equal((await charge(tired.world, tried)).decision.step, 'retry')
  tired.clock.advance(1)
  assert.equal((await charge(tired.world, tried)).decision.step, 'fail')

  const blind = { ...POLICY, lookup: 'none' } as const
  const old = worldOf({ charges: [paid], world: { policy: blind } })
  const key = old.claimed({ ...IN_DOUBT, firstSentAgeMs: LIFE_MS * 0.9 - 1_500 })
  old.clock.advance(500)
  const late = await charge(old.world, key)
  assert.deepEqual([late.calls.length, late.decision.step], [0, 'doubt'])
})

test('the doubt of a lookup is as old as it was when the gateway was asked', async () => {
  const { world, clock, claimed } = worldOf({ lookups: [paid], tookMs: 300 })
  const claim = claimed({ ...IN_DOUBT, doubtAgeMs: 50 })
  clock.advance(5)
  const { calls } = await charge(world, claim)
  assert.deepEqual(calls[0]?.kind === 'lookup' && calls[0].doubtAgeMs, 55)
})

test('a payment is the odd one when others were answered well since it was refused', async () => {
  const asked: [string, number][] = []
  const answers = (answered: boolean) => {
    const answeredSince = (operation: string, ageMs: number) => {
      asked.push([operation, ageMs])
      return answered
    }
    return worldOf({ charges: [foreign], world: { answeredSince } })
  }
  const others = answers(true)
  const claim = others.claimed({ misconfiguredAgeMs: 400 })
  others.clock.advance(100)
  assert.equal((await charge(others.world, claim)).decision.step, 'retry')
  assert.deepEqual(asked[0], ['payout', 500])
  const nobody = answers(false)
  const alone = await charge(nobody.world, nobody.claimed({ misconfiguredAgeMs: 400 }))
  assert.equal(alone.decision.step, 'wait')
  asked.length = 0
  const first = answers(true)
  assert.equal((await charge(first.world, first.claimed())).decision.step, 'wait')
  assert.deepEqual(asked, [])
  const unknown = worldOf({ charges: [foreign] })
  const claimed = unknown.claimed({ misconfiguredAgeMs: 400 })
  assert.equal((await charge(unknown.world, claimed)).decision.step, 'wait')
})

test('the first attempt of a payment earns, a retry is paid for, and nothing else is', async () => {
  const seen: string[] = []
  const pays = { left: true }
  const budget = {
    earn: () => void seen.push('earned'),
    spend: () => (seen.push('spent'), pays.left),
  }
  const outcome = async (given: Options, task: Partial<ClaimedTask>) => {
    seen.length = 0
    const { world, claimed } = worldOf({ ...given, world: { budget } })
    const { decision } = await charge(world, claimed(task))
    return [decision.step, 'delayMs' in decision ? decision.delayMs : null, ...seen]
  }
  assert.deepEqual(await outcome({}, {}), ['succeed', null, 'earned'])
  const failed = { charges: [refused] }
  assert.deepEqual(await outcome(failed, {}), ['retry', 1_000, 'earned', 'spent'])
  assert.deepEqual(await outcome(failed, { tries: 1 }), ['retry', 2_000, 'spent'])
  assert.deepEqual(await outcome({}, { tries: 1 }), ['succeed', null])
  const asks = { lookups: [silent] }
  assert.deepEqual(await outcome(asks, { ...IN_DOUBT, tries: 0, lookups: 1 }), ['doubt', 15_000])
  assert.deepEqual(await outcome(asks, { doubtAgeMs: 0, pendings: 1 }), ['pending', 30_000])
  pays.left = false
  assert.deepEqual(await outcome(failed, { tries: 1 }), ['retry', POLICY.backoffMaxMs, 'spent'])
  const longer = { ...refused, retryAfterMs: 45_000 } as ChargeOutcome
  assert.deepEqual(await outcome({ charges: [longer] }, { tries: 1 }), ['retry', 45_000, 'spent'])
})

test('a payment whose user is waited for is put off by five seconds, and nothing is sent', async () => {
  const { world, calls, claimed } = worldOf()
  const asked: bigint[] = []
  const waiting = { is: true }
  const handle = chargeUnlessLocked(world, (userId) => (asked.push(userId), waiting.is))
  const claim = claimed()
  const putOff = { claim, calls: [], decision: { step: 'leave', delayMs: 5_000 } }
  assert.deepEqual(await handle(claim), putOff)
  assert.deepEqual([asked, calls], [[3n], []])
  waiting.is = false
  assert.equal((await handle(claim)).decision.step, 'succeed')
  const stopped = new AbortController()
  stopped.abort()
  assert.equal((await handle(claim, stopped.signal)).decision.step, 'release')
})

test('a question out of turn asks once and sends nothing', async () => {
  const { world, kinds, claimed } = worldOf({ lookups: [silent] })
  const { decision } = await charge(world, claimed(IN_DOUBT, { lookupOnly: true }))
  assert.deepEqual([kinds(), decision], [['lookup'], { step: 'leave', delayMs: 0 }])
})
