import assert from 'node:assert/strict'
import { test } from 'node:test'
import { afterCall, type Called } from '../src/domain/delivery.ts'

const answered = (status: number, retryAfterMs: number | null = null): Called => ({
  status,
  reason: null,
  retryAfterMs,
})
const FAULT: Called = { status: null, reason: 'timeout', retryAfterMs: null }

const MINUTE = 60_000
const HOUR = 60 * MINUTE

test('a delivery is tried ten times over about three days, each pause longer or shorter by a fifth at most', () => {
  const pauses = [5_000, 5 * MINUTE, 30 * MINUTE, 2, 5, 10, 14, 20, 24].map((pause) =>
    pause <= 24 ? pause * HOUR : pause,
  )
  pauses.forEach((pause, attempts) => {
    for (const random of [0, 0.5, 0.999_999]) {
      const { state, delayMs } = afterCall(FAULT, attempts, random)
      assert.equal(state, 'pending')
      assert.ok(delayMs >= pause * 0.8 && delayMs <= pause * 1.2, `${attempts} ${delayMs}`)
    }
    assert.equal(afterCall(FAULT, attempts, 0.5).delayMs, pause)
  })
  assert.deepEqual(afterCall(FAULT, 9, 0.5), {
    state: 'failed',
    delayMs: 0,
    pauseMs: 0,
    gone: false,
  })
})

test('only a 2xx has arrived; redirects, refusals and errors are tried again', () => {
  for (const status of [200, 201, 204, 299]) {
    assert.equal(afterCall(answered(status), 0, 0.5).state, 'delivered')
  }
  for (const status of [301, 302, 307, 308, 400, 401, 404, 418, 500, 501]) {
    const { state, pauseMs, gone } = afterCall(answered(status), 0, 0.5)
    assert.deepEqual([state, pauseMs, gone], ['pending', 0, false], String(status))
  }
})

test('410 says that the endpoint is gone', () => {
  assert.deepEqual(afterCall(answered(410), 0, 0.5), {
    state: 'failed',
    delayMs: 0,
    pauseMs: 0,
    gone: true,
  })
})

test('a busy endpoint is left alone as long as it asks, an hour at most', () => {
  for (const status of [429, 502, 503, 504]) {
    assert.equal(afterCall(answered(status), 0, 0.5).pauseMs, 5_000)
    const asked = afterCall(answered(status, 120_000), 0, 0.5)
    assert.deepEqual([asked.pauseMs, asked.delayMs], [120_000, 120_000])
    assert.equal(afterCall(answered(status, 10 * HOUR), 0, 0.5).pauseMs, HOUR)
    assert.equal(afterCall(answered(status, 0), 0, 0.5).pauseMs, 1_000)
  }
  assert.equal(afterCall(answered(503, 1_000), 3, 0.5).delayMs, 2 * HOUR, 'its own pause is longer')
})
