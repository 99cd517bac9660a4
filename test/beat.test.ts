import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { dueAfter, isTurnFor, restEnd, untilDueAgain } from '../src/domain/beat.ts'
import { every } from '../src/queue/every.ts'
import { manualClock } from './harness.ts'

const BEAT_MS = 500

test('a long rest ends on a beat and never later than asked for, a short one as it is', () => {
  for (const nowMs of [0, 3, 499, 501.5, 777.25, 1_000_003.125]) {
    for (const restMs of [1, 20, 250, 999]) assert.equal(restEnd(nowMs, restMs), nowMs + restMs)
    for (const restMs of [1_000, 1_500, 1_990, 5_000, 60_000]) {
      const endMs = restEnd(nowMs, restMs)
      assert.equal(endMs % BEAT_MS, 0)
      assert.ok(endMs <= nowMs + restMs + 10 && endMs > nowMs + restMs - BEAT_MS, `${endMs}`)
      assert.ok(dueAfter(nowMs, restMs) < endMs, 'it is due when the loop wakes')
    }
  }
  assert.deepEqual([isTurnFor(0), isTurnFor(438), isTurnFor(1_500)], [true, true, false])
})

test('loops that rest for seconds wake together, however late each begins and however long it takes', async () => {
  const clock = manualClock()
  const sleeps = new Set<{ readonly endMs: number; readonly wake: () => void }>()
  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      const one = { endMs: clock.elapsedMs() + ms, wake: resolve }
      sleeps.add(one)
    })
  const loops = [1_000, 1_500, 2_000, 5_000].map((ms, index) => {
    // Each turn takes some milliseconds of its own.
    return every({ ...clock, sleep }, ms, async () => void clock.advance(index + 1))
  })
  await turn()
  let wakes = 0
  const beganMs = clock.elapsedMs()
  while (clock.elapsedMs() - beganMs < 60_000) {
    const nextMs = Math.min(...[...sleeps].map(({ endMs }) => endMs))
    clock.advance(Math.max(0, nextMs - clock.elapsedMs()))
    wakes += 1
    for (const one of sleeps) {
      // Those that end within some milliseconds are one wake of the process.
      if (one.endMs > nextMs + 20) continue
      sleeps.delete(one)
      one.wake()
    }
    await turn()
  }
  assert.ok(wakes <= 60 * (1_000 / BEAT_MS), `${wakes} wakes in a minute`)
  const stopped = Promise.all(loops.map((loop) => loop.stop()))
  for (const one of sleeps) one.wake()
  await stopped
})

test('what is due again each second is looked for when it is due, not a whole rest later', () => {
  for (const beganMs of [0, 3, 499, 501.5, 777.25, 1_000_003.125]) {
    for (const tookMs of [0, 1, 12, 400, 999]) {
      let nowMs = beganMs + tookMs
      while (nowMs < beganMs + 1_000) {
        nowMs = restEnd(nowMs, untilDueAgain(nowMs - beganMs, 1_000) ?? 1_000)
      }
      assert.ok(nowMs - beganMs <= 1_005, `${nowMs - beganMs} ms after it began`)
    }
  }
  assert.equal(untilDueAgain(1_001, 1_000), 250)
  assert.equal(untilDueAgain(2_000, 1_000), null)
})
