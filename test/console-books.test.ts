import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LetterGroup, Transaction } from '../console/app/shapes.ts'
import { causesOf } from '../console/exact/letters.ts'
import {
  FIRST_CLASS_MS,
  newest,
  rateOf,
  ratesOf,
  totalsOf,
  withinMs,
} from '../console/exact/series.ts'
import { LATENCY_BOUNDS_MS } from '../src/domain/series.ts'
import { knownRuns, scaleOf } from '../console/exact/scale.ts'
import { dailyLevels, levelsOf } from '../console/exact/statement.ts'

function group(count: number, amount: string | number, more: Partial<LetterGroup>): LetterGroup {
  return {
    class: 'failed',
    error: 'payment_declined',
    payment_type: 'deposit',
    currency: 'USD',
    count,
    amount,
    oldest_at: `2030-01-01T00:00:0${count}.000Z`,
    ...more,
  }
}

test('dead letters are shown by what is wrong, with a sum for each currency', () => {
  const causes = causesOf([
    group(1, '0.10', { class: 'unknown', error: 'timeout' }),
    group(2, '0.20', {}),
    group(3, '0.10', { payment_type: 'withdraw' }),
    group(4, 500, { currency: 'JPY' }),
  ])
  assert.deepEqual(causes, [
    {
      class: 'failed',
      error: 'payment_declined',
      count: 9,
      sums: [
        { currency: 'USD', amount: '0.30' },
        { currency: 'JPY', amount: '500' },
      ],
      oldest: '2030-01-01T00:00:02.000Z',
    },
    {
      class: 'unknown',
      error: 'timeout',
      count: 1,
      sums: [{ currency: 'USD', amount: '0.10' }],
      oldest: '2030-01-01T00:00:01.000Z',
    },
  ])
})

test('what failed and what is unknown are two causes, also by one error', () => {
  const error = 'timeout'
  const causes = causesOf([
    group(1, '0.10', { error }),
    group(2, '0.20', { error, class: 'unknown' }),
  ])
  assert.deepEqual(
    causes.map(({ class: kind, count }) => [kind, count]),
    [
      ['unknown', 2],
      ['failed', 1],
    ],
  )
})

function entry(at: string, kind: string, balance: string, commission = '0'): Transaction {
  return { payment_id: 1, kind, balance, held: '0', commission, created_at: at }
}

/** Newest payment first, as the API lists them: not in order of time. */
const ENTRIES = [
  entry('2030-02-15T12:00:01.000Z', 'release', '20.40'),
  entry('2030-02-15T12:00:00.000Z', 'hold', '-20.40'),
  entry('2030-02-20T12:00:00.000Z', 'hold', '-30.40', '0.40'),
  entry('2030-01-15T12:00:00.000Z', 'opening', '100.00'),
]

test('the balance after each entry leads to the balance of now', () => {
  assert.deepEqual(
    levelsOf('USD', ENTRIES).map(({ balance }) => balance),
    ['100.00', '79.60', '100.00', '69.60'],
  )
})

test('of more entries than are read the balance is told by day, as the statement has it', () => {
  const day = (from: string, available: string) => {
    const none = { entries: 1, opening: '0', credited: '0', debited: '0', commission: '0' }
    return { from, ...none, closing: '9', available }
  }
  const periods = [
    day('2030-02-20T00:00:00.000Z', '69.60'),
    day('2030-01-15T00:00:00.000Z', '100.00'),
  ]
  const now = Date.parse('2030-02-20T12:00:00.000Z')
  assert.deepEqual(
    dailyLevels('USD', { complete: true, periods }, now).map(({ at, balance }) => [
      new Date(at).toISOString(),
      balance,
    ]),
    [
      ['2030-01-15T23:59:59.999Z', '100.00'],
      ['2030-02-20T12:00:00.000Z', '69.60'],
    ],
  )
})

test('a scale has every value, zero and round numbers', () => {
  for (const values of [[], [0], [0.0004, 0.7], [3], [999, 1_001], [-5, 80], [1e9]]) {
    const { min, max, ticks } = scaleOf(values)
    assert.ok(min <= Math.min(0, ...values) && max >= Math.max(0, ...values), String(values))
    assert.ok(max > min && ticks.length >= 2 && ticks.length <= 7, `${values}: ${ticks}`)
    assert.equal(ticks[0], min)
    assert.ok(Math.abs((ticks.at(-1) ?? 0) - max) < 1e-6 * max)
  }
})

test('what is counted is never drawn in halves', () => {
  for (const values of [[0], [1], [2, 1], [7], [1_001]]) {
    const { ticks, max } = scaleOf(values, true)
    assert.ok(ticks.every(Number.isInteger) && max >= Math.max(...values), `${ticks}`)
  }
})

const MINUTES = { step_seconds: 60, times: [0, 60, 120] }

test('a rate is that of late, and does not fall because a minute has just begun', () => {
  assert.equal(rateOf([9, 120, 2], MINUTES, 121_000), 2)
  assert.equal(rateOf([9, 120, 120], MINUTES, 180_000), 2)
  assert.equal(rateOf([9, 120, 120], MINUTES, 500_000), 2)
})

test('the step that runs has the rate of what has passed of it, and no other step has', () => {
  assert.deepEqual(ratesOf([60, 120, 20], MINUTES, 140_000), [1, 2, 1])
  assert.deepEqual(ratesOf([60, 120, 20], MINUTES, 121_000), [1, 2, 2])
  assert.deepEqual(ratesOf([60, 120, 120], MINUTES, 900_000), [1, 2, 2])
})

test('a line ends where nothing is known and begins again behind it', () => {
  const places = [null, 1, 2, null, null, 3].map((y, x) => ({ x, y }))
  assert.deepEqual(knownRuns(places), [
    [
      { x: 1, y: 1 },
      { x: 2, y: 2 },
    ],
    [{ x: 5, y: 3 }],
  ])
  assert.deepEqual(knownRuns([{ x: 0, y: null }]), [])
})

test('a latency in the first class is within its end, and no figure is made up below it', () => {
  assert.equal(FIRST_CLASS_MS, LATENCY_BOUNDS_MS[0])
  assert.deepEqual([1, 50, 100, 101].map(withinMs), [100, 100, 100, 101])
})

test('a share is of what ended, and there is none where nothing did', () => {
  // What became unknown has not ended, and is counted again when it does.
  const some = { accepted: [9], succeeded: [3, 0], failed: [0, 1], unknown: [2, 0] }
  assert.equal(totalsOf(some).share, 0.75)
  assert.equal(totalsOf({ succeeded: [0], failed: [], unknown: [] }).share, null)
  assert.equal(newest([5, null, 7, null]), 7)
  assert.equal(newest([null]), null)
})
