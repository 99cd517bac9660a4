import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import type { Call, Decision, RetryPolicy } from '../src/domain/charge-decision.ts'
import { next } from '../src/domain/retry.ts'

const GRACE_MS = 60_000
const LIFE_MS = 3_600_000
/** How long the gateway may work on what it has taken. */
const END_MS = 86_400_000
/** And until nobody knows what becomes of it. */
const LOST_MS = 2 * END_MS

const POLICIES: readonly RetryPolicy[] = [1, 2, 3].flatMap((attemptsMax) =>
  (['none', 'eventual', 'consistent'] as const).flatMap((lookup) =>
    (['first_answer', 'executes_once', 'may_execute_again'] as const).map((repeats) => ({
      attemptsMax,
      giveUpMs: 0,
      backoffBaseMs: 1_000,
      backoffMaxMs: 30_000,
      jitterMs: 500,
      notFoundGraceMs: GRACE_MS,
      timeoutMs: 1_000,
      keyLifeMs: LIFE_MS,
      repeats,
      lookup,
      endPendingMs: END_MS,
      lostPendingMs: LOST_MS,
    })),
  ),
)

const paid: ChargeOutcome & LookupOutcome = { kind: 'success', gatewayRef: 'gw-1' }
const no: ChargeOutcome & LookupOutcome = { kind: 'declined', reason: 'http_402' }
const refused: ChargeOutcome = { kind: 'not_executed', reason: 'refused', retryAfterMs: null }
const rejected: ChargeOutcome = { kind: 'rejected', reason: 'unknown_method' }
const foreign: ChargeOutcome = { kind: 'misconfigured', reason: 'http_404' }
const taken: ChargeOutcome = { kind: 'pending', reason: 'pending' }
const timeout: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }
const absent: LookupOutcome = { kind: 'not_found' }
const pending: LookupOutcome = { kind: 'pending' }
const silent: LookupOutcome = { kind: 'no_answer', reason: 'http_500' }

const charged = (outcome: ChargeOutcome): Call => ({ kind: 'charge', outcome })
const asked = (outcome: LookupOutcome, { age }: Life): Call => {
  return { kind: 'lookup', outcome, doubtAgeMs: age }
}

/**
 * A model of a payment's whole life with an honest gateway: every order of timeouts, lost replies,
 * charges that are executed late, refusals of whoever stands in between, forgotten keys, crashes
 * and waits, over any number of claims.
 */

interface Life {
  readonly tries: number
  readonly lookups: number
  readonly pendings: number
  /** Since the newest and since the first charge in doubt. */
  readonly age: number | null
  readonly first: number | null
  /** How often the gateway moved the money, and whether a charge may still be executed. */
  readonly executed: number
  readonly inFlight: boolean
  readonly declined: boolean
  /** Whether the gateway still knows the key. */
  readonly known: boolean
}

const BORN: Life = {
  tries: 0,
  lookups: 0,
  pendings: 0,
  age: null,
  first: null,
  executed: 0,
  inFlight: false,
  declined: false,
  known: false,
}

for (const policy of POLICIES) {
  const { attemptsMax, lookup, repeats } = policy
  const gateway = `repeats ${repeats}, lookup ${lookup}`
  test(`in every life with ${attemptsMax} tries, ${gateway}, money moves once and is never lost`, () => {
    const seen = new Set<string>()
    const open: Life[] = [BORN]
    for (let life = open.pop(); life !== undefined; life = open.pop()) {
      const key = JSON.stringify(life)
      if (seen.has(key)) continue
      seen.add(key)
      assert.ok(seen.size < 50_000, 'the model is finite')
      open.push(...later(life, policy))
    }
    assert.ok(seen.size > 3, 'seen.size > 3')
  })
}

/**
 * Every life after the next claim, its calls, its crash or settlement, and the wait that follows.
 */
function later(life: Life, policy: RetryPolicy): Life[] {
  // The claim dates the first charge before any byte leaves.
  return during({ ...life, first: life.first ?? 0 }, [], policy)
}

function during(life: Life, calls: readonly Call[], policy: RetryPolicy): Life[] {
  const { tries, lookups, pendings, age, first } = life
  const ages = { triedAgeMs: 0, doubtAgeMs: age, firstSentAgeMs: first }
  // What is worked on for the second time has been so for too long; then nobody knows.
  const pendingAgeMs = [null, 0, END_MS, LOST_MS][pendings] ?? null
  const state = { tries, lookups, pendings, ...ages, pendingAgeMs }
  const step = next(state, calls, policy, 0)
  const only = lookups > 0 || pendings > 0
  const lost = { ...life, age: 0, tries: Math.min(tries + 1, 5) }
  const crashed = waited(only ? life : lost, !only)
  if (step.kind === 'decide') return [...crashed, ...decided(life, step.decision)]
  const made = { charge, lookup: look, cancel: end }[step.call](life, policy)
  // After any call the worker may stand still, before it reads the answer and goes on.
  const read = made.flatMap(([after, call]) =>
    waited(after, false).map((now) => [now, call] as const),
  )
  return [...crashed, ...read.flatMap(([now, call]) => during(now, [...calls, call], policy))]
}

function charge(life: Life, policy: RetryPolicy): (readonly [Life, Call])[] {
  const { executed, inFlight, declined, known } = life
  const keyed = policy.repeats !== 'may_execute_again'
  const again = keyed && known && executed > 0
  const done = { ...life, known: true, executed: again ? executed : executed + 1 }
  assert.ok(done.executed <= 1, 'charged twice')
  assert.ok(keyed || !inFlight, 'sent again while the first may still be executed')
  const ends: (readonly [Life, Call])[] = [
    [life, charged(refused)],
    [life, charged(timeout)],
    [life, charged(rejected)],
    [life, charged(foreign)],
  ]
  // A repeated key that executes once is answered with any no.
  if (again && policy.repeats === 'executes_once') ends.push([life, charged(no)])
  if (declined) return [...ends, [life, charged(no)]]
  if (executed === 0) {
    ends.push([{ ...life, declined: true, inFlight: false, known: true }, charged(no)])
    ends.push([{ ...life, inFlight: true, known: true }, charged(timeout)])
    ends.push([{ ...life, inFlight: true, known: true }, charged(taken)])
  }
  const settled = { ...done, inFlight: false }
  return [...ends, [settled, charged(paid)], [settled, charged(timeout)]]
}

function look(life: Life, policy: RetryPolicy): (readonly [Life, Call])[] {
  assert.notEqual(policy.lookup, 'none')
  const stale: (readonly [Life, Call])[] =
    policy.lookup === 'eventual' ? [[life, asked(absent, life)]] : []
  const ends: (readonly [Life, Call])[] = [...stale, [life, asked(silent, life)]]
  if (life.executed > 0) return [...ends, [life, asked(paid, life)]]
  if (life.declined) return [...ends, [life, asked(no, life)]]
  // What is still on its way is not found, or already worked on.
  if (life.inFlight) return [...ends, [life, asked(pending, life)], [life, asked(absent, life)]]
  return [...ends, [life, asked(absent, life)]]
}

/** It ends what is on its way, or it has ended; that it was done may be told or not. */
function end(life: Life, policy: RetryPolicy): (readonly [Life, Call])[] {
  const asking = (outcome: LookupOutcome): Call => {
    return { kind: 'cancel', outcome, doubtAgeMs: life.age }
  }
  if (life.executed > 0 || !life.inFlight) {
    // A lookup has no other outcomes.
    return look(life, policy).map(([after, { outcome }]) => [
      after,
      asking(outcome as LookupOutcome),
    ])
  }
  const ended = { ...life, inFlight: false, declined: true, known: true }
  return [
    [life, asking(silent)],
    [life, asking(pending)],
    [ended, asking(silent)],
    [ended, asking(no)],
  ]
}

function decided(life: Life, decision: Decision): Life[] {
  if (decision.step === 'succeed') {
    assert.equal(life.executed, 1, 'booked without being executed')
    // Whoever reads the answer when the key has died cannot tell that it had not when it was used.
    assert.ok(!decision.twice || !life.known, 'nothing was charged twice')
    return []
  }
  if (decision.step === 'fail') {
    assert.ok(life.executed === 0 && !life.inFlight, 'failed although the money may have moved')
    return []
  }
  assert.ok(decision.step !== 'release' && decision.step !== 'leave')
  const { step, doubt } = decision
  const after = {
    ...life,
    tries: step === 'retry' ? Math.min(life.tries + 1, 5) : life.tries,
    lookups: step === 'doubt' ? Math.min(life.lookups + 1, 2) : life.lookups,
    pendings: step === 'pending' ? Math.min(life.pendings + 1, 3) : life.pendings,
    age: doubt ? 0 : life.age,
    first: doubt || life.age !== null ? life.first : null,
  }
  if (step === 'doubt' && decision.delayMs === null) return []
  return waited(after, doubt)
}

/**
 * A short wait, one past the grace, by which everything in flight has come to an end, and one past
 * the life of the key.
 */
function waited(life: Life, fresh: boolean): Life[] {
  const age = life.age === null ? null : fresh ? 0 : life.age
  const executed = { ...life, executed: 1, inFlight: false }
  const soon = [{ ...life, age }, ...(life.inFlight ? [{ ...executed, age }] : [])]
  if (age === null) return soon
  const late = life.inFlight ? [executed, { ...life, inFlight: false }] : [life]
  const first = Math.max(life.first ?? 0, GRACE_MS)
  return [
    ...soon,
    ...late.map((one) => ({ ...one, age: GRACE_MS, first })),
    ...late.map((one) => ({ ...one, age: GRACE_MS, first: LIFE_MS, known: false })),
  ]
}
