import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import {
  backoffMs,
  LOOKUP_DELAYS_MS,
  next,
  type Call,
  type Decision,
  type RetryPolicy,
  type TaskState,
} from '../src/domain/retry.ts'

const GRACE_MS = 60_000

const POLICY: RetryPolicy = {
  attemptsMax: 3,
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  jitterMs: 500,
  notFoundGraceMs: GRACE_MS,
  idempotentPost: true,
  lookup: 'consistent',
}

const LOOKUPS = ['none', 'eventual', 'consistent'] as const
const ODD: RetryPolicy = { ...POLICY, idempotentPost: false }
const BLIND: RetryPolicy = { ...POLICY, lookup: 'none' }
const EVENTUAL: RetryPolicy = { ...POLICY, lookup: 'eventual' }

const paid: ChargeOutcome & LookupOutcome = { kind: 'success', gatewayRef: 'gw-1' }
const no: ChargeOutcome & LookupOutcome = { kind: 'declined', reason: 'http_402' }
const refused: ChargeOutcome = { kind: 'not_executed', reason: 'refused', retryAfterMs: null }
const busy: ChargeOutcome = { kind: 'not_executed', reason: 'http_429', retryAfterMs: 20_000 }
const timeout: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }
const absent: LookupOutcome = { kind: 'not_found' }
const pending: LookupOutcome = { kind: 'pending' }
const silent: LookupOutcome = { kind: 'no_answer', reason: 'http_500' }

const charged = (outcome: ChargeOutcome): Call => ({ kind: 'charge', outcome })
const asked = (outcome: LookupOutcome): Call => ({ kind: 'lookup', outcome })

/** A task in its words: attempts, age of its doubt, lookups. */
const task = (attempts: number, doubtAgeMs: number | null = null, lookups = 0): TaskState => ({
  attempts,
  lookups,
  doubtAgeMs,
})

type Short = 'charge' | 'lookup' | Decision
const retry = (delayMs: number, reason: string, doubt = false): Decision => ({
  step: 'retry',
  delayMs,
  reason,
  doubt,
})
const doubt = (delayMs: number | null, reason: string, doubted = false): Decision => ({
  step: 'doubt',
  delayMs,
  reason,
  doubt: doubted,
})
const fail = (reason: string): Decision => ({ step: 'fail', reason })
const SUCCEED: Decision = { step: 'succeed', gatewayRef: 'gw-1' }

type Row = readonly [name: string, TaskState, readonly Call[], RetryPolicy, Short]

/** The tables of design.md section 7, row by row. Chance is 0, so there is no jitter. */
const ROWS: readonly Row[] = [
  ['a new payment is charged', task(1), [], POLICY, 'charge'],
  ['a yes succeeds', task(1), [charged(paid)], POLICY, SUCCEED],
  ['a definite no fails at once', task(1), [charged(no)], POLICY, fail('http_402')],
  ['a no to a repeated charge fails', task(2, 0), [charged(no)], BLIND, fail('http_402')],

  ['not sent is retried', task(1), [charged(refused)], POLICY, retry(1_000, 'refused')],
  ['the wait doubles', task(2), [charged(refused)], POLICY, retry(2_000, 'refused')],
  ['429 waits as asked', task(1), [charged(busy)], POLICY, retry(20_000, 'http_429')],
  ['a longer backoff beats a 429', task(1), [charged(busy)], slow(), retry(25_000, 'http_429')],
  ['never sent fails in the end', task(3), [charged(refused)], POLICY, fail('refused')],
  ['never sent fails, lookup or not', task(3), [charged(refused)], BLIND, fail('refused')],

  ['a timeout is retried', task(1), [charged(timeout)], POLICY, retry(1_000, 'timeout', true)],
  ['a blind timeout is retried', task(1), [charged(timeout)], BLIND, retry(1_000, 'timeout', true)],
  ['doubt is looked up first', task(2, 0), [], POLICY, 'lookup'],
  ['doubt is looked up first, odd gateway', task(2, 0), [], ODD, 'lookup'],
  ['doubt without lookup is sent again', task(2, 0), [], BLIND, 'charge'],
  ['a lookup that says yes succeeds', task(2, 0), [asked(paid)], POLICY, SUCCEED],
  ['a lookup that says no fails', task(2, 0), [asked(no)], POLICY, fail('http_402')],
  [
    'a lookup that knows nothing lets the charge be sent',
    task(2, 0),
    [asked(absent)],
    POLICY,
    'charge',
  ],
  ['a lookup that fails lets the charge be sent', task(2, 0), [asked(silent)], POLICY, 'charge'],
  [
    'a charge the gateway works on is not sent',
    task(2, 0),
    [asked(pending)],
    POLICY,
    retry(2_000, 'pending'),
  ],
  [
    'pending at the limit is in doubt',
    task(3, 0),
    [asked(pending)],
    POLICY,
    doubt(5_000, 'pending'),
  ],

  ['the last timeout is looked up', task(3), [charged(timeout)], POLICY, 'lookup'],
  [
    'an earlier timeout is looked up at the end',
    task(3, 0),
    [asked(absent), charged(refused)],
    POLICY,
    'lookup',
  ],
  [
    'still in doubt is unknown',
    task(3),
    [charged(timeout), asked(silent)],
    POLICY,
    doubt(5_000, 'timeout', true),
  ],
  [
    'not found right after a timeout is no proof',
    task(3, GRACE_MS),
    [asked(absent), charged(timeout), asked(absent)],
    POLICY,
    doubt(5_000, 'timeout', true),
  ],
  [
    'in doubt without lookup is unknown',
    task(3),
    [charged(timeout)],
    BLIND,
    doubt(5_000, 'timeout', true),
  ],
  [
    'an earlier doubt without lookup is unknown',
    task(3, 0),
    [charged(refused)],
    BLIND,
    doubt(5_000, 'refused'),
  ],
  ['the last lookup may still say yes', task(3), [charged(timeout), asked(paid)], POLICY, SUCCEED],
  [
    'the last lookup may still say no',
    task(3),
    [charged(timeout), asked(no)],
    POLICY,
    fail('http_402'),
  ],

  [
    'an odd gateway is not charged again in doubt',
    task(2, 0),
    [asked(absent)],
    ODD,
    retry(2_000, 'not_found'),
  ],
  [
    '…nor after a lookup that failed',
    task(2, GRACE_MS),
    [asked(silent)],
    ODD,
    retry(2_000, 'http_500'),
  ],
  ['…but when the first is proven absent', task(2, GRACE_MS), [asked(absent)], ODD, 'charge'],
  ['…and in doubt at the limit', task(3, 0), [asked(absent)], ODD, doubt(5_000, 'not_found')],
  [
    '…and never where it cannot be looked up',
    task(2, GRACE_MS),
    [],
    { ...ODD, lookup: 'none' },
    doubt(5_000, 'outcome_unknown'),
  ],
  [
    '…nor where not found proves nothing',
    task(2, GRACE_MS),
    [asked(absent)],
    { ...ODD, lookup: 'eventual' },
    retry(2_000, 'not_found'),
  ],

  ['unknown is looked up', task(3, 0, 1), [], POLICY, 'lookup'],
  [
    'unknown stays so while nobody answers',
    task(3, 0, 1),
    [asked(silent)],
    POLICY,
    doubt(15_000, 'http_500'),
  ],
  [
    'unknown stays so while it is worked on',
    task(3, 0, 2),
    [asked(pending)],
    POLICY,
    doubt(60_000, 'pending'),
  ],
  ['unknown succeeds by a lookup', task(3, 0, 4), [asked(paid)], POLICY, SUCCEED],
  ['unknown fails by a lookup', task(3, 0, 4), [asked(no)], POLICY, fail('http_402')],
  [
    'not found before the grace is no proof',
    task(3, GRACE_MS - 1, 1),
    [asked(absent)],
    POLICY,
    doubt(15_000, 'not_found'),
  ],
  [
    'not found after the grace is proof',
    task(3, GRACE_MS, 1),
    [asked(absent)],
    POLICY,
    fail('not_executed'),
  ],
  [
    'eventual not found is never proof',
    task(3, 1e12, 9),
    [asked(absent)],
    EVENTUAL,
    doubt(86_400_000, 'not_found'),
  ],
  [
    'unknown without lookup waits for an operator',
    task(3, 0, 1),
    [],
    BLIND,
    doubt(null, 'lookup_unavailable'),
  ],

  ['a crash loop past the limit is looked up', task(4, 0), [], POLICY, 'lookup'],
  ['…and unknown where it cannot be', task(4, 0), [], BLIND, doubt(5_000, 'worker_lost')],
  [
    '…and unknown while nobody knows',
    task(4, 0),
    [asked(absent)],
    POLICY,
    doubt(5_000, 'not_found'),
  ],
  [
    '…and failed when proven absent',
    task(4, GRACE_MS),
    [asked(absent)],
    POLICY,
    fail('not_executed'),
  ],
]

function slow(): RetryPolicy {
  return { ...POLICY, backoffBaseMs: 25_000 }
}

for (const [name, state, calls, policy, expected] of ROWS) {
  test(name, () => {
    const step = next(state, calls, policy, 0)
    assert.deepEqual(step.kind === 'call' ? step.call : step.decision, expected)
  })
}

test('lookups of a payment in doubt come at 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h and then daily', () => {
  const delays = Array.from({ length: 10 }, (_, lookups) => {
    const step = next(task(3, 0, lookups), [asked(silent)], { ...POLICY, attemptsMax: 2 }, 0.9)
    return step.kind === 'decide' && step.decision.step === 'doubt' && step.decision.delayMs
  })
  const daily = 86_400_000
  const seconds = [5, 15, 60, 300, 900, 3_600, 21_600]
  assert.deepEqual(delays, [...seconds.map((s) => s * 1_000), daily, daily, daily])
  assert.deepEqual([...LOOKUP_DELAYS_MS], [...new Set(delays)])
})

test('the backoff doubles up to its maximum, and the jitter comes on top', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 100].map((attempts) => backoffMs(attempts, POLICY, 0))
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempts, chance) => {
        const extra = backoffMs(attempts, POLICY, chance) - backoffMs(attempts, POLICY, 0)
        assert.ok(extra >= 0 && extra <= POLICY.jitterMs, 'extra >= 0 && extra <= POLICY.jitterMs')
      },
    ),
    { seed: 1 },
  )
})

test('a payment that never was in doubt is not held for ever when the limit of attempts is lowered', () => {
  // Three attempts provably did nothing under a limit of 5; then the limit became 2.
  const state = task(4)
  const policy = { ...POLICY, attemptsMax: 2 }
  const first = next(state, [], policy, 0)
  assert.ok(first.kind === 'call' || first.decision.step === 'fail', 'unknown without any doubt')
})

const CHARGES = [paid, no, refused, busy, timeout]
const ANSWERS = [paid, no, pending, absent, silent]
const POLICIES = [1, 2, 3].flatMap((attemptsMax) =>
  LOOKUPS.flatMap((lookup) =>
    [true, false].map((idempotentPost) => ({ ...POLICY, attemptsMax, lookup, idempotentPost })),
  ),
)

/** Every claim there can be: every state, every policy, every outcome of every call. */
function* claims(): Generator<{
  state: TaskState
  policy: RetryPolicy
  calls: Call[]
  end: Decision
}> {
  for (const policy of POLICIES) {
    for (const attempts of [1, 2, 3, 4, 5]) {
      for (const lookups of [0, 1, 2, 8, 9]) {
        for (const age of [null, 0, GRACE_MS - 1, GRACE_MS, 1e12]) {
          yield* paths(task(attempts, age, lookups), policy, [])
        }
      }
    }
  }
}

function* paths(state: TaskState, policy: RetryPolicy, calls: Call[]): ReturnType<typeof claims> {
  const step = next(state, calls, policy, 0.5)
  if (step.kind === 'decide') return yield { state, policy, calls, end: step.decision }
  const made = step.call === 'charge' ? CHARGES.map(charged) : ANSWERS.map(asked)
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

test('a payment whose lookups have begun is never charged again', () => {
  for (const { state, calls } of claims()) {
    if (state.lookups > 0)
      assert.ok(
        calls.every(({ kind }) => kind === 'lookup'),
        'calls.every(({ kind }) => kind === lookup)',
      )
  }
})

test('no claim past the limit of attempts charges', () => {
  for (const { state, policy, calls } of claims()) {
    if (state.attempts > policy.attemptsMax)
      assert.ok(
        calls.every(({ kind }) => kind === 'lookup'),
        'calls.every(({ kind }) => kind === lookup)',
      )
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

test('after a doubt a payment fails only by a no or by a consistent not found past the grace', () => {
  for (const { state, policy, calls, end } of claims()) {
    const doubtful = state.doubtAgeMs !== null || calls.some((c) => c.outcome.kind === 'in_doubt')
    if (end.step !== 'fail' || !doubtful) continue
    const last = calls.at(-1)
    const proven =
      last?.outcome.kind === 'not_found' &&
      policy.lookup === 'consistent' &&
      (state.doubtAgeMs ?? 0) >= GRACE_MS &&
      calls.every((call) => call.outcome.kind !== 'in_doubt')
    assert.ok(last?.outcome.kind === 'declined' || proven, JSON.stringify({ state, policy, calls }))
  }
})

test('a gateway that is not idempotent is never charged twice in doubt', () => {
  for (const { state, policy, calls } of claims()) {
    const at = calls.findIndex(({ kind }) => kind === 'charge')
    if (policy.idempotentPost || state.doubtAgeMs === null || at < 0) continue
    assert.equal(calls[at - 1]?.outcome.kind, 'not_found')
    assert.equal(policy.lookup, 'consistent')
    assert.ok(state.doubtAgeMs >= GRACE_MS, 'state.doubtAgeMs >= GRACE_MS')
  }
})

test('a decision remembers a doubt of its own claim', () => {
  for (const { calls, end } of claims()) {
    if (end.step !== 'retry' && end.step !== 'doubt') continue
    assert.equal(
      end.doubt,
      calls.some((call) => call.outcome.kind === 'in_doubt'),
    )
  }
})
