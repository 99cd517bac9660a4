import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RetryPolicy } from '../src/domain/charge-decision.ts'
import { doubtedNow, mayRepeat } from '../src/domain/doubt.ts'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import { next } from '../src/domain/retry.ts'
import {
  absent,
  asked,
  BLIND,
  busy,
  charged,
  EVENTUAL,
  foreign,
  GRACE_MS,
  LIFE_MS,
  no,
  ODD,
  ONCE,
  paid,
  POLICY,
  refused,
  rejected,
  shifted,
  silent,
  slowly,
  taken,
  task,
  timeout,
} from './retry-kit.ts'

/** Of a key's life this much is used. */
const USED_MS = LIFE_MS * 0.9

test('a key is used for nine tenths of its life, the call that uses it included', () => {
  const edge = USED_MS - POLICY.timeoutMs
  const may = (firstSentAgeMs: number | null, inMs?: number, policy = POLICY) =>
    mayRepeat({ firstSentAgeMs }, policy, inMs)
  assert.deepEqual([may(edge - 1), may(edge)], [true, false])
  assert.deepEqual([may(edge - 101, 100), may(edge - 100, 100)], [true, false])
  // Since when the key is in use is not known: it may be too old.
  assert.equal(may(null), false)
  assert.equal(may(0, 0, ODD), false)
})

const OUTCOMES: readonly (readonly [ChargeOutcome, doubts: boolean, again: boolean])[] = [
  [paid, false, false],
  [no, false, true],
  [refused, false, false],
  [busy, false, false],
  [timeout, true, true],
  [taken, true, true],
  [shifted, true, true],
  // Where a repeated key is only refused, the refusal may be all that is left of an execution.
  [rejected, false, true],
  [foreign, false, true],
]

for (const [outcome, doubts, again] of OUTCOMES) {
  const { kind } = outcome
  test(`a charge that ends ${kind} may have been executed: ${doubts}, repeated: ${again}`, () => {
    const doubted = (age: number | null, policy: RetryPolicy) =>
      doubtedNow({ task: task(2, age), calls: [charged(outcome)], policy })
    assert.deepEqual([doubted(null, ONCE), doubted(0, POLICY)], [doubts, doubts])
    assert.equal(doubted(0, ONCE), again)
    assert.equal(doubtedNow({ task: task(2, 0), calls: [asked(silent)], policy: ONCE }), false)
    const sent = { ...charged(outcome), sent: true }
    const after = doubtedNow({ task: task(2, 0), calls: [sent], policy: ONCE })
    // Only what never left is known not to be an answer to a key that was used before.
    assert.equal(after, kind !== 'success')
  })
}

/** What is decided in a state, with a given chance. */
function decided(...[state, calls, policy, chance = 0]: Parameters<typeof next> | []) {
  assert.ok(state !== undefined && calls !== undefined && policy !== undefined)
  const step = next(state, calls, policy, chance)
  return step.kind === 'call' ? step.call : step.decision
}

test('a wait is as long as the gateway asked for, and no shorter than it would have been', () => {
  const asks = { ...foreign, retryAfterMs: 90_000 } as ChargeOutcome
  const wait = { step: 'wait', reason: 'http_401', doubt: false }
  assert.deepEqual(decided(task(1), [charged(asks)], POLICY, 0), { ...wait, delayMs: 90_000 })
  assert.deepEqual(decided(task(1), [charged(foreign)], POLICY, 0.5), { ...wait, delayMs: 30_250 })
  const lookup = decided(task(2, LIFE_MS), [asked(slowly, LIFE_MS)], POLICY, 0.5)
  assert.deepEqual(lookup, { step: 'retry', delayMs: 20_000, reason: 'http_503', doubt: false })
  const soon = { ...slowly, retryAfterMs: 1 }
  const backoff = decided(task(2, LIFE_MS), [asked(soon, LIFE_MS)], POLICY, 0.5)
  assert.deepEqual(backoff, { step: 'retry', delayMs: 2_250, reason: 'http_503', doubt: false })
})

test('chance comes on top of every wait between tries, those that are free included', () => {
  const delay = (...given: Parameters<typeof next>) => {
    const decision = decided(...given)
    return typeof decision === 'object' && 'delayMs' in decision ? decision.delayMs : null
  }
  assert.equal(delay(task(1), [charged(refused)], POLICY, 0.5), 1_250)
  const young = { ...POLICY, giveUpMs: LIFE_MS }
  // As old as it is, or as the backoff where that is longer, or at most the longest wait.
  const tried = (triedAgeMs: number) => ({ ...task(3), triedAgeMs })
  assert.equal(delay(tried(10_000), [charged(refused)], young, 0.5), 10_250)
  assert.equal(delay(tried(1_000), [charged(refused)], young, 0.5), 4_250)
  assert.equal(delay(tried(1_000_000), [charged(refused)], young, 0.5), 30_250)
  assert.equal(delay(tried(1_000), [charged(busy)], young, 0.5), 20_000)
})

test('a payment that was never executed is young until its time to give up, and not then', () => {
  const young = { ...POLICY, giveUpMs: 500_000 }
  const at = (triedAgeMs: number) =>
    decided({ ...task(3), triedAgeMs }, [charged(refused)], young, 0)
  assert.equal((at(499_999) as { step: string }).step, 'retry')
  assert.deepEqual(at(500_000), { step: 'fail', reason: 'refused' })
  // Without such a time the one try that there may be is the last.
  const once = { ...POLICY, attemptsMax: 1 }
  assert.deepEqual(decided(task(1), [charged(refused)], once, 0), {
    step: 'fail',
    reason: 'refused',
  })
})

test('doubt under a key that is too old is still asked about, where that can be', () => {
  const state = { ...task(2, GRACE_MS), firstSentAgeMs: LIFE_MS }
  const retry = { step: 'retry', delayMs: 2_000, reason: 'timeout', doubt: true }
  assert.deepEqual(decided(state, [charged(timeout)], EVENTUAL, 0), retry)
  const unknown = { step: 'doubt', delayMs: null, reason: 'timeout', doubt: true }
  assert.deepEqual(decided(state, [charged(timeout)], BLIND, 0), unknown)
})

test('a lookup proves that nothing was executed when the grace is over, and not before', () => {
  const state = task(3, GRACE_MS, 1)
  const fail = { step: 'fail', reason: 'not_executed' }
  assert.deepEqual(decided(state, [asked(absent, GRACE_MS)], POLICY, 0), fail)
  for (const [ageMs, policy] of [
    [GRACE_MS - 1, POLICY],
    [null, POLICY],
    [GRACE_MS, EVENTUAL],
  ] as const) {
    const decision = decided(state, [asked(absent, ageMs)], policy, 0)
    assert.equal(typeof decision === 'object' && decision.step, 'doubt')
  }
})

test('a yes under a key that was forgotten may be the second one, from the last moment of its life', () => {
  const twice = (firstSentAgeMs: number | null, doubtAgeMs: number | null) => {
    const state = { ...task(2, doubtAgeMs), firstSentAgeMs }
    const decision = decided(state, [charged(paid)], BLIND, 0)
    return typeof decision === 'object' && decision.step === 'succeed' && decision.twice
  }
  assert.deepEqual([twice(LIFE_MS - 1, 0), twice(LIFE_MS, 0), twice(null, 0)], [false, true, true])
  assert.equal(twice(LIFE_MS, null), false)
})
