import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openLine } from '../src/queue/line.ts'

/** The key of an entry is its tens; what is below ten has none. */
const KEYED = {
  keyOf: (item: number) => (item < 10 ? null : BigInt(Math.floor(item / 10))),
}

test('a line keeps the order of each key, and no entry is lost or taken twice', () => {
  const { push, take, release, waiting, takeable } = openLine<number>(2, KEYED.keyOf)
  for (const item of [10, 11, 20, 12, 13, 14, 1]) push(item)
  const first = take()
  assert.deepEqual(first, [10, 11])
  const second = take()
  // What waits for ten stands aside; it is not known of those that nobody has looked at.
  assert.deepEqual([second, waiting(), takeable()], [[20, 1], 3, 0])
  push(21)
  release(first)
  assert.deepEqual([waiting(), takeable()], [4, 4])
  const third = take()
  assert.deepEqual(third, [12, 13])
  // The last of ten waits for this batch now, in front of who comes later.
  push(15)
  assert.deepEqual([take(), waiting(), takeable()], [[], 3, 0])
  release(second)
  assert.deepEqual([waiting(), takeable()], [3, 1])
  const fourth = take()
  assert.deepEqual([fourth, waiting()], [[21], 2])
  release(third)
  release(fourth)
  const fifth = take()
  assert.deepEqual([fifth, waiting(), takeable()], [[14, 15], 0, 0])
  release(fifth)
  // Nobody waited for these keys: they are free for whoever comes.
  for (const item of [30, 16, 22]) push(item)
  assert.deepEqual([take(), take()], [[30, 16], [22]])
})

test('keys that become free together have their turn in order, as far as there is room', () => {
  const { push, take, release, waiting, takeable } = openLine<number>(3, KEYED.keyOf)
  for (const item of [10, 20, 30]) push(item)
  const first = take()
  for (const item of [11, 12, 21, 22, 31, 2]) push(item)
  assert.deepEqual(take(), [2])
  release(first)
  assert.equal(takeable(), 5)
  const next = take()
  assert.deepEqual([next, waiting(), takeable()], [[11, 12, 21], 2, 1])
  assert.deepEqual(take(), [31])
  release(next)
  assert.deepEqual([take(), waiting()], [[22], 0])
})
