import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admitted,
  BREAKER_POLICY,
  breakerPolicy,
  CLOSED,
  observed,
  type Breaker,
  type BreakerPolicy,
  type CallEnded,
  type BreakerVerdict,
  verdictOf,
  pauseMs,
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

const ended = (ok: boolean, tookMs = 0): CallEnded => ({
  call: 'charge',
  paymentId: 1n,
  verdict: ok ? 'good' : 'failed',
  reason: ok ? '' : 'timeout',
  httpStatus: ok ? 200 : null,
  tookMs,
})

const lookup = (verdict: BreakerVerdict): CallEnded => ({ ...ended(true), call: 'lookup', verdict })
const refused: CallEnded = { ...ended(false), verdict: 'refused', reason: 'connection_refused' }
const misconfigured = (reason: string, paymentId: bigint): CallEnded => ({
  ...ended(false),
  paymentId,
  verdict: 'misconfigured',
  reason,
  httpStatus: Number(/^http_(\d+)$/.exec(reason)?.[1] ?? 403),
})

/** How long it still stays open, in milliseconds; 0 when it would let a probe through. */
function waitMs(breaker: Breaker, nowMs: number, policy: BreakerPolicy): number {
  if (breaker.state !== 'open') return 0
  return Math.max(0, pauseMs(breaker, policy) - (nowMs - breaker.sinceMs))
}

/** The breaker after these calls in order, all at one time. */
function seen(breaker: Breaker, calls: readonly CallEnded[], nowMs = 0): Breaker {
  return calls.reduce((before, call) => observed(before, call, nowMs, POLICY), breaker)
}

const times = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item)

/** The breaker after calls in order: `+` works, `-` fails; all at one time. */
function after(breaker: Breaker, calls: string, nowMs = 0): Breaker {
  return [...calls].reduce(
    (before, call) => observed(before, ended(call === '+'), nowMs, POLICY),
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
  const later = { ...OPEN, sinceMs: 3_600_000 }
  assert.deepEqual(after(later, '-+-+', 3_600_999), later)
  assert.equal(after(later, '+', 3_601_000).state, 'closed')
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

test('every answer about a payment is that of a gateway that works, a refusal of it included', () => {
  for (const kind of ['success', 'declined', 'pending', 'rejected', 'not_found']) {
    assert.equal(verdictOf(kind, true), 'good', kind)
  }
  for (const kind of ['in_doubt', 'no_answer', 'not_executed']) {
    assert.equal(verdictOf(kind, true), 'failed', kind)
  }
  assert.equal(verdictOf('not_executed', false), 'refused')
  assert.equal(verdictOf('misconfigured', true), 'misconfigured')
})

test('lookups that fail now and then open nothing', () => {
  let breaker = CLOSED
  for (let call = 0; call < 10_000; call += 1) {
    breaker = observed(breaker, lookup(call % 20 === 0 ? 'failed' : 'good'), call, POLICY)
    assert.equal(breaker.state, 'closed')
  }
})

test('lookups that fail open it where no charge works, and lookups that work close it', () => {
  const open = seen(CLOSED, times(10, lookup('failed')))
  assert.equal(open.state, 'open')
  assert.equal(open.why?.cause, 'lookups')
  assert.equal(seen(open, [lookup('good')], 1_000).state, 'closed')
})

test('charges that work are not stopped by lookups that fail', () => {
  const working = seen(CLOSED, [ended(true)])
  assert.equal(seen(working, times(100, lookup('failed'))).state, 'closed')
  assert.equal(seen(working, times(100, lookup('failed')), 25_000).state, 'open', 'of late')
})

test('lookups that work keep it closed no longer than charges do, and do not close what they opened', () => {
  const mixed = [...times(1_000, lookup('good')), ...times(10, ended(false))]
  const open = seen(CLOSED, mixed)
  assert.equal(open.state, 'open')
  const asked = seen(open, times(100, lookup('good')), 1_000)
  assert.equal(asked.state, 'half_open')
  assert.equal(seen(asked, [ended(true)], 1_000).state, 'closed')
  const again = seen(asked, times(3, lookup('failed')), 1_000)
  assert.equal(again.state, 'open')
  assert.equal(
    again.why?.cause,
    'charges',
    'a lookup that fails as a probe makes it no affair of lookups',
  )
})

test('with little traffic three refused connections in a row open it', () => {
  const good = seen(CLOSED, [ended(true)], 0)
  assert.equal(seen(good, [refused, refused], 5_000).state, 'closed')
  const open = seen(good, [refused, refused, refused], 5_000)
  assert.equal(open.state, 'open')
  assert.deepEqual(open.why, { cause: 'charges', reason: 'connection_refused' })
  assert.equal(seen(open, [refused], 6_000).trips, 2, 'one refused probe is enough')
  assert.equal(seen(good, [refused, refused, ended(true), refused], 5_000).state, 'closed')
  assert.equal(seen(good, [refused, refused, lookup('good'), refused], 5_000).state, 'closed')
  assert.equal(seen(good, times(3, ended(false)), 5_000).state, 'closed', 'a timeout says less')
})

test('under load a few refused connections in a row open nothing', () => {
  let breaker = seen(CLOSED, [ended(true)])
  for (let call = 0; call < 10_000; call += 1) {
    const call_ = call % 20 < 5 ? refused : ended(true)
    breaker = observed(breaker, call_, call, BREAKER_POLICY)
    assert.equal(breaker.state, 'closed')
  }
})

test('a wrong credential opens it at once', () => {
  for (const reason of ['http_401', 'http_407']) {
    const open = seen(seen(CLOSED, [ended(true)]), [misconfigured(reason, 1n)])
    assert.equal(open.state, 'open')
    assert.deepEqual(open.why, { cause: 'misconfigured', reason })
    const asked: CallEnded = { ...misconfigured(reason, 1n), call: 'lookup' }
    assert.equal(seen(seen(CLOSED, [ended(true)]), [asked]).state, 'closed', 'of a charge')
  }
})

test('a wrong credential opens it at once in whatever word the gateway says it', () => {
  for (const httpStatus of [401, 407]) {
    const call = { ...misconfigured('invalid_credentials', 1n), httpStatus }
    assert.equal(seen(seen(CLOSED, [ended(true)]), [call]).state, 'open')
  }
  const other = { ...misconfigured('http_401', 1n), httpStatus: 404 }
  assert.equal(seen(seen(CLOSED, [ended(true)]), [other]).state, 'closed')
})

test('a wrong address opens it when it is wrong for three different payments in a row', () => {
  const not = (ids: readonly bigint[]) => ids.map((id) => misconfigured('http_404', id))
  const good = seen(CLOSED, [ended(true)], 0)
  assert.equal(seen(good, not([1n, 2n]), 5_000).state, 'closed')
  assert.equal(seen(good, not([1n, 2n, 3n]), 5_000).why?.cause, 'misconfigured')
  assert.equal(seen(CLOSED, not([1n, 2n, 3n])).why?.cause, 'misconfigured', 'right after a start')
  assert.equal(seen(good, not([1n, 1n, 2n, 1n, 2n]), 5_000).state, 'closed', 'two are odd')
  const between = [...not([1n, 2n]), ended(true), ...not([3n, 4n])]
  assert.equal(seen(good, between, 5_000).state, 'closed')
})

test('odd payments among many that work open nothing', () => {
  let breaker = seen(CLOSED, [ended(true)])
  for (let call = 0; call < 10_000; call += 1) {
    const odd = call % 20 < 5
    const ended_ = odd ? misconfigured('http_404', BigInt(call)) : ended(true)
    breaker = observed(breaker, ended_, call, BREAKER_POLICY)
    assert.equal(breaker.state, 'closed')
  }
})

test('wrong settings are tried by one probe at a time, and stay wrong until a charge works', () => {
  const open = seen(CLOSED, [misconfigured('http_401', 1n)])
  assert.equal(admitted(open, 100, 1_000, POLICY), 1)
  const away = seen(open, [refused], 1_000)
  assert.deepEqual(away.why, { cause: 'misconfigured', reason: 'http_401' })
  const odd = seen(away, [misconfigured('http_404', 2n)], 3_000)
  assert.deepEqual(odd.why, { cause: 'misconfigured', reason: 'http_404' })
  assert.equal(seen(odd, [lookup('good')], 10_000).state, 'half_open')
  assert.equal(seen(odd, [ended(true)], 10_000).state, 'closed')
})

test('a probe of settings that ends in doubt opens again for longer, and no second one is made', () => {
  const open = seen(CLOSED, [misconfigured('http_401', 1n)])
  const again = seen(open, [ended(false)], 1_000)
  assert.deepEqual([again.state, again.why], ['open', open.why])
  assert.equal(admitted(again, 100, 2_999, POLICY), 0)
  assert.equal(admitted(again, 100, 3_000, POLICY), 1)
  // The charge behind a lookup that failed is the probe.
  const looked = seen(open, [lookup('failed')], 1_000)
  assert.equal(looked.state, 'half_open')
  assert.equal(seen(looked, [ended(true)], 1_001).state, 'closed')
  assert.equal(seen(looked, [ended(false)], 1_001).state, 'open')
})

test('a payment that is odd for good does not make an outage one of our settings', () => {
  const again = seen(OPEN, [misconfigured('http_404', 1n), ended(false), ended(false)], 1_000)
  assert.equal(again.state, 'open')
  assert.equal(again.why?.cause, 'charges')
})

test('a probe that finds wrong credentials opens it for that, whatever had opened it', () => {
  const open = seen(OPEN, [misconfigured('http_401', 1n)], 1_000)
  assert.equal(open.state, 'open')
  assert.deepEqual(open.why, { cause: 'misconfigured', reason: 'http_401' })
})

test('odd payments are no failures: however many there are beside others that work, it stays closed', () => {
  const odd = (id: number) => misconfigured('http_404', BigInt(id))
  const calls = Array.from({ length: 100 }, (_, id) => (id % 25 === 0 ? ended(true) : odd(id)))
  assert.equal(seen(CLOSED, [...calls, ended(false)], 500).state, 'closed')
  // A lookup that fails so is one that fails: nobody can be asked.
  const lookups = times(10, { ...lookup('misconfigured'), reason: 'http_404' })
  assert.equal(seen(CLOSED, lookups).why?.cause, 'lookups')
})

test('charges that all failed in the half before are not taken for charges that work', () => {
  const failed = seen(CLOSED, times(5, ended(false)))
  const later = seen(failed, [ended(false)], POLICY.windowMs / 2 + 1)
  const asked = seen(later, times(10, lookup('failed')), POLICY.windowMs / 2 + 1)
  assert.deepEqual([asked.state, asked.why?.cause], ['open', 'lookups'])
  const worked = seen(CLOSED, times(5, ended(true)))
  const failing = seen(worked, [ended(false)], POLICY.windowMs / 2 + 1)
  const still = seen(failing, times(10, lookup('failed')), POLICY.windowMs / 2 + 1)
  assert.equal(still.state, 'closed')
})

test('whatever happens, a gateway that works again is in use again within the longest pause', () => {
  const verdicts = ['good', 'failed', 'refused', 'misconfigured'] as const
  const event = fc.tuple(
    fc.constantFrom(...verdicts),
    fc.constantFrom('charge' as const, 'lookup' as const),
    fc.integer({ min: 0, max: 5_000 }),
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      let breaker = CLOSED
      let now = 0
      for (const [verdict, call, ms] of events) {
        now += ms
        const allowed = admitted(breaker, 5, now, POLICY)
        assert.ok(allowed >= 0 && allowed <= 5, 'allowed >= 0 && allowed <= 5')
        breaker = observed(breaker, { ...ended(false), call, verdict }, now, POLICY)
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
