import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accountsOf } from '../console/exact/accounts.ts'
import { lifeOf } from '../console/exact/life.ts'
import { statusBeside } from '../console/exact/status.ts'
import type { TimelineEvent } from '../console/app/shapes.ts'

const at = (ms: number) => new Date(Date.UTC(2030, 0, 1) + ms).toISOString()
const call = { fence: 1, call: 1, reason: null, sent: true }

/** A withdrawal that was in doubt, and then found to be executed. */
const DOUBTED: readonly TimelineEvent[] = [
  { at: at(0), event: 'accepted', amount: 20, commission: '0.40', repeats: null },
  { at: at(0), event: 'hold', balance: '-20.40', held: '20.40', commission: 0 },
  { at: at(10), event: 'charge', ...call, outcome: 'in_doubt', took_ms: 990 },
  { at: at(31_000), event: 'lookup', ...call, outcome: 'success', took_ms: 4 },
  { at: at(31_005), event: 'settle', balance: 0, held: '-20.40', commission: '0.40' },
]
const SUCCESS = { status: 'success', nextAt: null }

test('everything is in the picture, in order, within its width', () => {
  const { marks } = lifeOf(DOUBTED, [{ type: 'payment.succeeded', timestamp: at(31_006) }], SUCCESS)
  assert.deepEqual(
    marks.map(({ lane, name, tone, call: number }) => [lane, name, tone, number]),
    [
      ['people', 'accepted', 'plain', null],
      ['books', 'hold', 'plain', null],
      ['gateway', 'charge', 'doubt', 1],
      ['gateway', 'lookup', 'good', 2],
      ['books', 'settle', 'good', null],
      ['notices', 'payment.succeeded', 'plain', null],
    ],
  )
  let last = 0
  for (const { from, to } of marks) {
    assert.ok(from >= last && to >= from && to <= 1)
    last = from
  }
})

test('a call of a moment can be seen beside a wait of a day', () => {
  const late = DOUBTED.map((event, index) => (index < 3 ? event : { ...event, at: at(86_400_000) }))
  const [charge] = lifeOf(late, [], SUCCESS).marks.filter(({ name }) => name === 'charge')
  assert.ok(charge !== undefined && charge.to - charge.from > 0.1)
})

test('a wait is where no call runs, and the one to come is open', () => {
  const { waits } = lifeOf(DOUBTED, [], SUCCESS)
  assert.deepEqual(
    waits.map(({ ms, open }) => [ms, open]),
    [[30_000, false]],
  )
  const nextAt = Date.parse(at(60_000))
  const open = lifeOf(DOUBTED.slice(0, 3), [], { status: 'unknown', nextAt }).waits
  assert.deepEqual(
    open.map(({ ms, open: isOpen }) => [ms, isOpen]),
    [[59_000, true]],
  )
})

test('the ribbon says what was known, without a gap', () => {
  const { ribbon } = lifeOf(DOUBTED, [], SUCCESS)
  assert.deepEqual(
    ribbon.map(({ tone }) => tone),
    ['plain', 'doubt', 'good'],
  )
  assert.equal(ribbon[0]?.from, 0)
  assert.equal(ribbon.at(-1)?.to, 1)
  for (const [index, { to }] of ribbon.entries()) {
    if (index + 1 < ribbon.length) assert.equal(ribbon[index + 1]?.from, to)
  }
})

test('a payment of which nothing but its acceptance is known has a picture', () => {
  const life = lifeOf(DOUBTED.slice(0, 1), [], { status: 'new', nextAt: null })
  assert.equal(life.marks[0]?.from, 0)
  assert.deepEqual(life.waits, [])
})

test('the entries of a payment sum to zero over its accounts, exactly', () => {
  const accounts = accountsOf(DOUBTED, 'USD')
  assert.deepEqual(
    accounts.map(({ account, sum }) => [account, sum]),
    [
      ['available', '-20.40'],
      ['held', '0.00'],
      ['fees', '0.40'],
      ['gateway', '20.00'],
    ],
  )
  const held = accounts.find(({ account }) => account === 'held')
  assert.deepEqual(held?.left, [{ entry: 'settle', amount: '20.40' }])
  assert.deepEqual(held.right, [{ entry: 'hold', amount: '20.40' }])
})

test('a state never contradicts the sentence beside it, whichever of both was read first', () => {
  const cases = [
    ['new', 'new', 'new'],
    ['new', 'pending', 'pending'],
    ['new', 'processing', 'processing'],
    // The payment was read after it had ended, and before it was tried again.
    ['new', 'success', 'processing'],
    ['new', 'unknown', 'processing'],
    // And before it ended.
    ['success', 'processing', 'success'],
    ['failed', 'new', 'failed'],
    ['unknown', 'pending', 'unknown'],
  ] as const
  for (const [told, read, shown] of cases) {
    assert.equal(statusBeside(told, read), shown, `${told} ${read}`)
  }
})

test('what nobody could pay of a charge-back is no money that the gateway kept', () => {
  const moved = { event: 'settle', balance: -20, held: 0, commission: 0, losses: -10 }
  const accounts = accountsOf([{ at: '2030-01-01T00:00:00.000Z', ...moved }], 'USD')
  assert.deepEqual(
    accounts.map(({ account, sum }) => [account, sum]),
    [
      ['available', '-20.00'],
      ['gateway', '30.00'],
    ],
  )
})
