import assert from 'node:assert/strict'
import test from 'node:test'
import { pressure } from '../src/queue/pressure.ts'
import { manualClock } from './harness.ts'

/** A pressure, as it is after `seconds` in which 320 payments were claimed every half a second. */
function claiming(seconds: number, busy = 0.9) {
  const clock = manualClock()
  const shares = [1]
  const known = pressure(clock, () => shares.shift() ?? busy)
  const sideline = known.sideline()
  for (let half = 0; half <= seconds * 2; half += 1) {
    if (half > 0) clock.advance(500)
    known.note(320)
  }
  return { clock, known, sideline }
}

test('while payments wait for a busy process, one of 32 has what can wait, and 50 a second beside, some together', () => {
  const { clock, known, sideline } = claiming(1)
  // 960 payments in a second.
  assert.equal(sideline.admitted(1_000), 30 + 50)
  sideline.began(80)
  assert.equal(sideline.admitted(1_000), 0)
  clock.advance(500)
  known.note(320)
  assert.equal(sideline.admitted(1_000), 0)
  clock.advance(500)
  known.note(320)
  assert.equal(sideline.admitted(7), 7)
  assert.equal(sideline.admitted(1_000), 2 * (10 + 25))
})

test('payments of one bulk make no webhook late', () => {
  const { clock, known, sideline } = claiming(0)
  clock.advance(299)
  known.note(320)
  assert.equal(sideline.admitted(1_000), 1_000)
})

test('payments that wait for gateways make no webhook late', () => {
  assert.equal(claiming(3, 0.49).sideline.admitted(1_000), 1_000)
})

test('a second after the last full claim nothing gives way any more', () => {
  const { clock, known, sideline } = claiming(10)
  // What was not used is kept up to a bound.
  assert.equal(sideline.admitted(1_000), 200)
  clock.advance(999)
  assert.equal(sideline.admitted(1_000), 200)
  clock.advance(1)
  assert.equal(sideline.admitted(1_000), 1_000)
  known.note(320)
  assert.equal(sideline.admitted(1_000), 1_000)
})

test('each thing that can wait has a share of its own', () => {
  const { known, sideline } = claiming(1)
  const other = known.sideline()
  sideline.began(sideline.admitted(1_000))
  assert.equal(other.admitted(1_000), 0)
  known.note(3_200)
  assert.equal(other.admitted(1_000), 100)
  assert.equal(sideline.admitted(1_000), 100)
})
