import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admitted,
  BREAKER_POLICY,
  breakerPolicy,
  CLOSED,
  observed,
  waitMs,
  type Breaker,
  type BreakerPolicy,
  type CallEnded,
} from '../src/domain/breaker.ts'

const POLICY: BreakerPolicy = {
  callsMin: 10,
  failuresPercent: 90,
  windowMs: 10_000,
  quickWindowMs: 10_000,
  pauseMs: 1_000,
  pauseMsMax: 4_000,
  probes: 3,
}

const ended = (ok: boolean, tookMs = 0): CallEnded => ({ ok, tookMs })

/** The breaker after calls in order: `+` works, `-` fails; all at one time. */
function after(breaker: Breaker, calls: string, nowMs = 0): Breaker {
  return [...calls].reduce(
    (seen, call) => observed(seen, ended(call === '+'), nowMs, POLICY),
    breaker,
  )
}

const OPEN = after(CLOSED, '-'.repeat(10))

const FIRST: readonly (readonly [calls: string, state: Breaker['state']])[] = [
  ['', 'closed'],
  ['-'.repeat(9), 'closed'],
  ['-'.repeat(10), 'open'],
  ['+' + '-'.repeat(8), 'closed'],
  ['+' + '-'.repeat(9), 'open'],
  ['++' + '-'.repeat(17), 'closed'],
  ['++' + '-'.repeat(18), 'open'],
  ['+'.repeat(1_000), 'closed'],
  ['+--'.repeat(100), 'closed'],
]

for (const [calls, state] of FIRST) {
  test(`after ${calls.length} calls (${calls.slice(0, 20)}…) it is ${state}`, () => {
    assert.equal(after(CLOSED, calls).state, state)
  })
}

test('failures of an earlier window are forgotten', () => {
  const nine = after(CLOSED, '-'.repeat(9), 0)
  assert.equal(after(nine, '-', POLICY.windowMs).state, 'open')
  assert.equal(after(nine, '-', POLICY.windowMs + 1).state, 'closed')
})

test('timeouts that end all at once do not hide the calls of their burst that worked', () => {
  let breaker = CLOSED
  for (let burst = 0; burst < 50; burst += 1) {
    const beganMs = burst * 5_000
    for (let call = 0; call < 180; call += 1) {
      breaker = observed(breaker, ended(true, 50), beganMs + 50, breakerPolicy(1_000))
    }
    for (let call = 0; call < 40; call += 1) {
      breaker = observed(breaker, ended(false, 1_000), beganMs + 1_000, breakerPolicy(1_000))
      assert.equal(breaker.state, 'closed')
    }
  }
})

test('a gateway that goes down under load is left alone after about two seconds', () => {
  let breaker = CLOSED
  let nowMs = 0
  for (; nowMs < 10_000; nowMs += 5)
    breaker = observed(breaker, ended(nowMs % 3 !== 0), nowMs, BREAKER_POLICY)
  while (breaker.state === 'closed')
    breaker = observed(breaker, ended(false), (nowMs += 5), BREAKER_POLICY)
  assert.ok(nowMs - 10_000 <= 2_500, `it took ${nowMs - 10_000} ms`)
})

test('with a long timeout a gateway that fails at once is left alone as soon as with a short one', () => {
  const policy = breakerPolicy(30_000)
  let breaker = CLOSED
  let nowMs = 0
  for (; nowMs < 100_000; nowMs += 50) breaker = observed(breaker, ended(true, 80), nowMs, policy)
  while (breaker.state === 'closed') {
    breaker = observed(breaker, ended(false, 1), (nowMs += 50), policy)
  }
  assert.ok(nowMs - 100_000 <= 2_500, `it took ${nowMs - 100_000} ms`)
})

test('timeouts alone open nothing while quick calls work', () => {
  const policy = breakerPolicy(30_000)
  let breaker = CLOSED
  for (let nowMs = 0; nowMs < 300_000; nowMs += 100) {
    breaker = observed(
      breaker,
      ended(nowMs % 500 !== 0, nowMs % 500 === 0 ? 30_000 : 80),
      nowMs,
      policy,
    )
    assert.equal(breaker.state, 'closed')
  }
})

test('the window covers calls twice as long as the longest', () => {
  assert.equal(breakerPolicy(200).windowMs, BREAKER_POLICY.windowMs)
  assert.equal(breakerPolicy(30_000).windowMs, 60_000)
})

test('while it is open nothing is claimed, and then as many as it has probes', () => {
  assert.equal(admitted(OPEN, 100, 999, POLICY), 0)
  assert.equal(waitMs(OPEN, 400, POLICY), 600)
  assert.equal(admitted(OPEN, 100, 1_000, POLICY), 3)
  assert.equal(admitted(OPEN, 2, 1_000, POLICY), 2)
  assert.equal(waitMs(OPEN, 5_000, POLICY), 0)
  assert.equal(admitted(CLOSED, 100, 0, POLICY), 100)
  assert.equal(waitMs(CLOSED, 0, POLICY), 0)
})

test('calls that were in flight when it opened change nothing', () => {
  assert.deepEqual(after(OPEN, '-+-+', 999), OPEN)
})

test('one probe that works closes it', () => {
  assert.equal(after(OPEN, '+', 1_000).state, 'closed')
  assert.equal(after(OPEN, '--+', 1_000).state, 'closed')
})

test('while probes are out only the others are admitted', () => {
  const one = after(OPEN, '-', 1_000)
  assert.equal(one.state, 'half_open')
  assert.equal(admitted(one, 100, 1_000, POLICY), 2)
})

test('when every probe has failed it opens again for twice as long, up to the longest pause', () => {
  let breaker = OPEN
  let now = 0
  for (const pause of [1_000, 2_000, 4_000, 4_000, 4_000]) {
    assert.equal(breaker.state, 'open')
    assert.equal(waitMs(breaker, now, POLICY), pause)
    now += pause
    breaker = after(breaker, '---', now)
  }
})

test('after it has closed the next pause is short again', () => {
  const again = after(after(OPEN, '---', 1_000), '+', 5_000)
  assert.equal(again.state, 'closed')
  assert.equal(waitMs(after(again, '-'.repeat(10), 5_000), 5_000, POLICY), 1_000)
})

test('a gateway that fails one call in three stays in use', () => {
  let breaker = CLOSED
  for (let call = 0; call < 10_000; call += 1) {
    breaker = observed(breaker, ended(call % 3 !== 0), call, BREAKER_POLICY)
    assert.equal(breaker.state, 'closed')
  }
})

test('whatever happens, a gateway that works again is in use again within the longest pause', () => {
  const event = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5_000 }))
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      let breaker = CLOSED
      let now = 0
      for (const [ok, ms] of events) {
        now += ms
        const allowed = admitted(breaker, 5, now, POLICY)
        assert.ok(allowed >= 0 && allowed <= 5, 'allowed >= 0 && allowed <= 5')
        breaker = observed(breaker, ended(ok), now, POLICY)
        assert.ok(
          waitMs(breaker, now, POLICY) <= POLICY.pauseMsMax,
          'waitMs(breaker, now, POLICY) <= POLICY.pauseMsMax',
        )
      }
      now += POLICY.pauseMsMax
      assert.ok(admitted(breaker, 5, now, POLICY) > 0, 'admitted(breaker, 5, now, POLICY) > 0')
      assert.equal(observed(breaker, ended(true), now, POLICY).state, 'closed')
    }),
    { seed: 1, numRuns: 1_000 },
  )
})
