import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import { next, type Call, type Decision, type RetryPolicy } from '../src/domain/retry.ts'

const GRACE_MS = 60_000

const POLICIES: readonly RetryPolicy[] = [1, 2, 3].flatMap((attemptsMax) =>
  (['none', 'eventual', 'consistent'] as const).flatMap((lookup) =>
    [true, false].map((idempotentPost) => ({
      attemptsMax,
      backoffBaseMs: 1_000,
      backoffMaxMs: 30_000,
      jitterMs: 500,
      notFoundGraceMs: GRACE_MS,
      idempotentPost,
      lookup,
    })),
  ),
)

const paid: ChargeOutcome & LookupOutcome = { kind: 'success', gatewayRef: 'gw-1' }
const no: ChargeOutcome & LookupOutcome = { kind: 'declined', reason: 'http_402' }
const refused: ChargeOutcome = { kind: 'not_executed', reason: 'refused', retryAfterMs: null }
const timeout: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }
const absent: LookupOutcome = { kind: 'not_found' }
const pending: LookupOutcome = { kind: 'pending' }
const silent: LookupOutcome = { kind: 'no_answer', reason: 'http_500' }

const charged = (outcome: ChargeOutcome): Call => ({ kind: 'charge', outcome })
const asked = (outcome: LookupOutcome): Call => ({ kind: 'lookup', outcome })

/**
 * A model of a payment's whole life with an honest gateway: every order of timeouts, lost replies,
 * charges that are executed late, crashes and waits, over any number of claims.
 */

interface Life {
  readonly attempts: number
  readonly lookups: number
  readonly age: number | null
  /** How often the gateway moved the money, and whether a charge may still be executed. */
  readonly executed: number
  readonly inFlight: boolean
  readonly declined: boolean
}

const BORN: Life = {
  attempts: 0,
  lookups: 0,
  age: null,
  executed: 0,
  inFlight: false,
  declined: false,
}

for (const policy of POLICIES) {
  const { attemptsMax, lookup, idempotentPost } = policy
  const gateway = `${idempotentPost ? 'idempotent' : 'odd'} gateway, ${lookup} lookup`
  test(`in every life with ${attemptsMax} attempts, ${gateway}, money moves once and is never lost`, () => {
    const seen = new Set<string>()
    const open: Life[] = [BORN]
    for (let life = open.pop(); life !== undefined; life = open.pop()) {
      const key = JSON.stringify(life)
      if (seen.has(key)) continue
      seen.add(key)
      assert.ok(seen.size < 10_000, 'the model is finite')
      open.push(...later(life, policy))
    }
    assert.ok(seen.size > 3, 'seen.size > 3')
  })
}

/** Every life after the next claim, its calls, its crash or settlement, and the wait that follows. */
function later(life: Life, policy: RetryPolicy): Life[] {
  const attempts = life.lookups === 0 ? Math.min(life.attempts + 1, 6) : life.attempts
  return during({ ...life, attempts }, [], policy)
}

function during(life: Life, calls: readonly Call[], policy: RetryPolicy): Life[] {
  const state = { attempts: life.attempts, doubtAgeMs: life.age, lookups: life.lookups }
  const step = next(state, calls, policy, 0)
  const crashed = waited({ ...life, age: life.lookups === 0 ? 0 : life.age }, true)
  if (step.kind === 'decide') return [...crashed, ...decided(life, step.decision)]
  const made = step.call === 'charge' ? charge(life, policy) : look(life, policy)
  return [...crashed, ...made.flatMap(([after, call]) => during(after, [...calls, call], policy))]
}

function charge(life: Life, policy: RetryPolicy): (readonly [Life, Call])[] {
  const { executed, inFlight, declined } = life
  const again = policy.idempotentPost && executed > 0
  const done = { ...life, executed: again ? executed : executed + 1 }
  assert.ok(done.executed <= 1, 'charged twice')
  assert.ok(policy.idempotentPost || !inFlight, 'sent again while the first may still be executed')
  const ends: (readonly [Life, Call])[] = [
    [life, charged(refused)],
    [life, charged(timeout)],
  ]
  if (declined) return [...ends, [life, charged(no)]]
  if (executed === 0) ends.push([{ ...life, declined: true, inFlight: false }, charged(no)])
  if (executed === 0) ends.push([{ ...life, inFlight: true }, charged(timeout)])
  const settled = { ...done, inFlight: false }
  return [...ends, [settled, charged(paid)], [settled, charged(timeout)]]
}

function look(life: Life, policy: RetryPolicy): (readonly [Life, Call])[] {
  assert.notEqual(policy.lookup, 'none')
  const stale: (readonly [Life, Call])[] =
    policy.lookup === 'eventual' ? [[life, asked(absent)]] : []
  const ends: (readonly [Life, Call])[] = [...stale, [life, asked(silent)]]
  if (life.executed > 0) return [...ends, [life, asked(paid)]]
  if (life.declined) return [...ends, [life, asked(no)]]
  if (life.inFlight) ends.push([life, asked(pending)])
  return [...ends, [life, asked(absent)]]
}

function decided(life: Life, decision: Decision): Life[] {
  if (decision.step === 'succeed') {
    assert.equal(life.executed, 1, 'booked without being executed')
    return []
  }
  if (decision.step === 'fail') {
    assert.ok(life.executed === 0 && !life.inFlight, 'failed although the money may have moved')
    return []
  }
  assert.notEqual(decision.step, 'release')
  if (decision.step === 'release') return []
  const lookups = decision.step === 'doubt' ? Math.min(life.lookups + 1, 2) : life.lookups
  return waited({ ...life, lookups, age: decision.doubt ? 0 : life.age }, decision.doubt)
}

/** A short wait and one past the grace, by which everything in flight has come to an end. */
function waited(life: Life, fresh: boolean): Life[] {
  const age = life.age === null ? null : fresh ? 0 : life.age
  const executed = { ...life, executed: 1, inFlight: false }
  const soon = [{ ...life, age }, ...(life.inFlight ? [{ ...executed, age }] : [])]
  if (age === null) return soon
  const late = life.inFlight ? [executed, { ...life, inFlight: false }] : [life]
  return [...soon, ...late.map((one) => ({ ...one, age: GRACE_MS }))]
}
