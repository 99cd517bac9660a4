import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_PAUSE, pauseAfterLook, type LookPause } from '../src/domain/look-pause.ts'

/** The pauses that begin as looks come to their ends. */
function pauses(looks: readonly (readonly [atMs: number, askedMs: number | null | 'answer'])[]) {
  let last: LookPause = NO_PAUSE
  return looks.map(([atMs, asked]) => {
    const answered = asked === 'answer'
    last = pauseAfterLook(last, atMs, { answered, askedMs: answered ? null : asked })
    return last.untilMs
  })
}

test('a gateway that asks to be left alone is, and twice as long where it asks right again', () => {
  assert.deepEqual(
    pauses([
      [0, 1_000],
      [1_000, 1_000],
      [3_000, 1_000],
      [7_000, 30_000],
    ]),
    [1_000, 3_000, 7_000, 37_000],
  )
})

test('an answer ends the pauses, and what only went wrong begins none', () => {
  assert.deepEqual(
    pauses([
      [0, 1_000],
      [1_000, 1_000],
      [3_000, 'answer'],
      [3_100, null],
      [3_200, 1_000],
    ]),
    [1_000, 3_000, 0, 0, 4_200],
  )
})

test('looks that were on the way when a pause began make it neither longer nor shorter', () => {
  assert.deepEqual(
    pauses([
      [0, 5_000],
      [10, 5_000],
      [20, 'answer'],
      [30, null],
    ]),
    [5_000, 5_000, 5_000, 5_000],
  )
})

test('no pause is longer than five minutes', () => {
  let [atMs, longest] = [1, 0]
  let last: LookPause = NO_PAUSE
  for (let times = 0; times < 20; times += 1) {
    last = pauseAfterLook(last, atMs, { answered: false, askedMs: 1_000 })
    longest = Math.max(longest, last.untilMs - atMs)
    atMs = last.untilMs
  }
  assert.equal(longest, 300_000)
})
