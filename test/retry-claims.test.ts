import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call, Decision, RetryPolicy, TaskState } from '../src/domain/charge-decision.ts'
import { next } from '../src/domain/retry.ts'
import {
  GRACE_MS,
  LIFE_MS,
  POLICY,
  LOOKUPS,
  paid,
  no,
  refused,
  busy,
  timeout,
  absent,
  pending,
  silent,
  charged,
  asked,
  rejected,
  foreign,
  taken,
  shifted,
  task,
} from './retry-kit.ts'

const CHARGES = [paid, no, refused, busy, timeout, rejected, foreign, taken, shifted]

const ANSWERS = [paid, no, pending, absent, silent]

const REPEATS = ['first_answer', 'executes_once', 'may_execute_again'] as const

const POLICIES = [1, 2, 3].flatMap((attemptsMax) =>
  LOOKUPS.flatMap((lookup) =>
    REPEATS.flatMap((repeats) =>
      [0, GRACE_MS].map((giveUpMs) => ({ ...POLICY, attemptsMax, lookup, repeats, giveUpMs })),
    ),
  ),
)

/** A claim from its first call to its end. */
interface Claimed {
  readonly state: TaskState
  readonly policy: RetryPolicy
  readonly calls: readonly Call[]
  readonly end: Decision
}

/** Every claim there can be: every state, every policy, every outcome of every call. */
function* claims(): Generator<Claimed> {
  for (const policy of POLICIES) {
    for (const attempts of [1, 2, 3, 4, 5]) {
      for (const lookups of [0, 1, 2, 8, 9]) {
        for (const age of [null, 0, GRACE_MS - 1, GRACE_MS, 1e12]) {
          yield* paths(task(attempts, age, lookups), policy, [])
          if (age !== null && lookups === 0) {
            const state = task(attempts, age)
            yield* paths({ ...state, pendings: 1 }, policy, [])
            yield* paths({ ...state, odd: true }, policy, [])
            if (policy.lookup !== 'none') yield* paths({ ...state, lookupOnly: true }, policy, [])
          }
        }
      }
    }
  }
}

function* paths(state: TaskState, policy: RetryPolicy, calls: Call[]): ReturnType<typeof claims> {
  const step = next(state, calls, policy, 0.5)
  if (step.kind === 'decide') return yield { state, policy, calls, end: step.decision }
  const made =
    step.call === 'charge'
      ? CHARGES.map(charged)
      : ANSWERS.map((answer) => asked(answer, state.doubtAgeMs))
  for (const call of made) yield* paths(state, policy, [...calls, call])
}

test('every claim ends in a decision, after three calls and one charge at most', () => {
  let count = 0
  for (const { calls, end } of claims()) {
    count += 1
    assert.ok(calls.length <= 3, 'calls.length <= 3')
    assert.ok(
      calls.filter(({ kind }) => kind === 'charge').length <= 1,
      'calls.filter(({ kind }) => kind === charge).length <= 1',
    )
    assert.notEqual(end.step, 'release')
  }
  assert.ok(count > 5_000, `${count} claims`)
})

test('a payment that is only asked about is never charged', () => {
  for (const { state, calls } of claims()) {
    if (state.lookups === 0 && state.pendings === 0 && !state.lookupOnly) continue
    assert.ok(calls.every(({ kind }) => kind === 'lookup'))
  }
})

test('no claim past the limit charges what may have been executed', () => {
  for (const { state, policy, calls } of claims()) {
    if (state.tries < policy.attemptsMax || state.doubtAgeMs === null) continue
    assert.ok(calls.every(({ kind }) => kind === 'lookup'))
  }
})

test('a gateway that cannot look up is never asked to', () => {
  for (const { policy, calls } of claims()) {
    if (policy.lookup === 'none')
      assert.ok(
        calls.every(({ kind }) => kind === 'charge'),
        'calls.every(({ kind }) => kind === charge)',
      )
  }
})

test('a claim succeeds exactly when its last answer is a yes', () => {
  for (const { calls, end } of claims()) {
    assert.equal(end.step === 'succeed', calls.at(-1)?.outcome.kind === 'success')
  }
})

/** Whether a lookup of this claim proves that what was in doubt before never happened. */
function absence({ state, policy, calls }: Claimed): boolean {
  const aged = state.doubtAgeMs !== null && state.doubtAgeMs >= GRACE_MS
  const now = calls.some(({ kind, outcome }) => {
    if (kind === 'lookup') return false
    return outcome.kind === 'in_doubt' || outcome.kind === 'pending' || 'unproven' in outcome
  })
  const said = calls.some(({ outcome }) => outcome.kind === 'not_found')
  return said && aged && !now && policy.lookup === 'consistent'
}

test('after a doubt a payment fails only by a word about that charge', () => {
  for (const claim of claims()) {
    const { state, policy, calls, end } = claim
    const now = calls.some(({ outcome }) => ['in_doubt', 'pending'].includes(outcome.kind))
    if (end.step !== 'fail' || (state.doubtAgeMs === null && !now)) continue
    const last = calls.at(-1)
    const key = policy.repeats === 'first_answer' && (state.firstSentAgeMs ?? 1e12) < LIFE_MS
    const word = last?.outcome.kind === 'declined' && (last.kind === 'lookup' || key)
    assert.ok(word || absence(claim), JSON.stringify({ state, policy, calls }))
  }
})

test('a charge in doubt is sent again only under a key that lives, or when it never happened', () => {
  for (const claim of claims()) {
    const { state, policy, calls } = claim
    if (state.doubtAgeMs === null || calls.every(({ kind }) => kind === 'lookup')) continue
    const ended = (state.firstSentAgeMs ?? 1e12) + policy.timeoutMs
    const lives = policy.repeats !== 'may_execute_again' && ended < 0.9 * policy.keyLifeMs
    const first = { ...claim, calls: calls.slice(0, 1) }
    assert.ok(lives || absence(first), JSON.stringify({ state, policy, calls }))
  }
})

test('a gateway that would not talk to us uses up nothing and ends nothing', () => {
  for (const { state, calls, end } of claims()) {
    if (calls.at(-1)?.outcome.kind !== 'misconfigured' || state.odd) continue
    assert.equal(end.step, 'wait')
  }
})

test('nothing is refused for longer than its life: what is free ends with it, or with its key', () => {
  for (const { state, policy, calls, end } of claims()) {
    if (end.step !== 'retry' || end.free !== true) continue
    const doubted =
      end.doubt || (state.doubtAgeMs !== null && !absence({ state, policy, calls, end }))
    const ageMs = doubted ? state.firstSentAgeMs : state.triedAgeMs
    assert.ok((ageMs ?? 1e12) < policy.giveUpMs, JSON.stringify({ state, policy, calls }))
    assert.notEqual(calls.at(-1)?.outcome.kind, 'in_doubt')
    if (doubted) assert.notEqual(policy.repeats, 'may_execute_again')
  }
})

test('a refusal that may be another’s ends nothing while the payment is young and its key lives', () => {
  for (const { state, policy, calls, end } of claims()) {
    const last = calls.at(-1)
    if (last?.kind !== 'charge' || !('unproven' in last.outcome)) continue
    const ageMs = (state.firstSentAgeMs ?? 0) + policy.timeoutMs + policy.backoffMaxMs
    const lives = policy.repeats !== 'may_execute_again' && ageMs < 0.9 * policy.keyLifeMs
    if ((state.firstSentAgeMs ?? 0) >= policy.giveUpMs || !lives) continue
    assert.deepEqual(
      [end.step, 'free' in end && end.free, 'doubt' in end && end.doubt],
      ['retry', true, true],
    )
  }
})

test('nothing is planned that the gateway cannot do', () => {
  for (const { state, policy, end } of claims()) {
    if (policy.lookup !== 'none') continue
    if (end.step === 'doubt') assert.equal(end.delayMs, null)
    assert.notEqual(end.step, 'pending')
    if (end.step !== 'retry' || !(end.doubt || state.doubtAgeMs !== null)) continue
    assert.notEqual(policy.repeats, 'may_execute_again')
  }
})

test('a decision remembers a doubt of its own claim', () => {
  for (const { calls, end } of claims()) {
    if (end.step !== 'retry' && end.step !== 'doubt' && end.step !== 'wait') continue
    const plain = calls.some(({ outcome }) => outcome.kind === 'in_doubt' || 'unproven' in outcome)
    if (plain) assert.equal(end.doubt, true)
  }
})
