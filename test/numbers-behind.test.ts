import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numbersBehind } from '../src/domain/numbers-behind.ts'

const SECOND_MS = 1_000
const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS

test('numbers go on as far behind a backup as they could have come meanwhile', () => {
  for (const [ageMs, far] of [
    [-DAY_MS, 1_000_000n],
    [0, 1_000_000n],
    [SECOND_MS, 1_010_000n],
    [DAY_MS, 865_000_000n],
    [1_000_000 * SECOND_MS, 10_001_000_000n],
    [1_000_001 * SECOND_MS, 10_001_001_000n],
  ] as const) {
    assert.equal(numbersBehind(ageMs), far, `${ageMs} ms`)
  }
})

test('a backup that is restored again goes on behind what was given since, however old it is', () => {
  for (const ageMs of [0, SECOND_MS, 90 * SECOND_MS, DAY_MS, 11 * DAY_MS, 30 * DAY_MS, YEAR_MS]) {
    for (const laterMs of [SECOND_MS, 3_600_000, DAY_MS, YEAR_MS]) {
      const given = numbersBehind(ageMs + laterMs) - numbersBehind(ageMs)
      assert.ok(given >= BigInt(laterMs), `${ageMs} and ${laterMs} ms: ${given}`)
    }
  }
})

test('ids keep to their 15 digits behind a backup of any age, whatever the number of shards', () => {
  assert.ok(numbersBehind(20 * YEAR_MS) * 1_024n < 10n ** 15n)
})
