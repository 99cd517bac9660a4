import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Call, TaskState } from '../src/domain/charge-decision.ts'
import { backoffMs, LOOKUP_DELAYS_MS } from '../src/domain/delays.ts'
import { next } from '../src/domain/retry.ts'
import { POLICY, silent, asked, task } from './retry-kit.ts'

/** The calls of a claim that took no time: its lookups found the doubt as old as it is now. */
function atOnce(calls: readonly Call[], { doubtAgeMs }: TaskState): Call[] {
  return calls.map((call) =>
    call.kind === 'lookup' && call.doubtAgeMs === Infinity ? { ...call, doubtAgeMs } : call,
  )
}
import { ROWS } from './retry-rows.ts'
import { WAITING_ROWS } from './retry-waiting-rows.ts'

for (const [name, state, calls, policy, expected] of [...ROWS, ...WAITING_ROWS]) {
  test(name, () => {
    const step = next(state, atOnce(calls, state), policy, 0)
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
