import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commission } from '../src/domain/fee.ts'
import {
  ACCOUNT_NAMES,
  chargebackEntry,
  correctionEntry,
  disputeWonEntry,
  holdEntry,
  openingEntry,
  payoutReturnedEntry,
  refundHoldEntry,
  refundReleaseEntry,
  refundSettleEntry,
  releaseEntry,
  settleEntry,
  total,
  type Entry,
} from '../src/domain/ledger.ts'
import { AMOUNTS_MAX } from '../src/domain/money.ts'

/** Of a currency with two decimals: 9,999,999,999.99. */
const AMOUNT_MAX = AMOUNTS_MAX[2]

const deposit = { id: 7n, userId: 3n, type: 'deposit', amount: 20_000n, commission: 400n } as const
const withdraw = { id: 8n, userId: 3n, type: 'withdraw', amount: 5_000n, commission: 100n } as const

const refund = { id: 9n, userId: 3n, amount: 10_000n, feeReturned: 200n } as const
const about = { id: 10n, userId: 3n } as const
const shares = { user: 700n, fee: 20n, loss: 280n } as const

/** The legs of an entry in the order of the accounts, from the user's to losses. */
const legs = (entry: Entry): bigint[] => ACCOUNT_NAMES.map((account) => entry[account])

type Row = readonly [name: string, entry: Entry, kind: Entry['kind'], legs: readonly bigint[]]

const ENTRIES: readonly Row[] = [
  ['an opening', openingEntry(3n, 900n), 'opening', [900n, 0n, 0n, 0n, -900n, 0n]],
  ['an empty opening', openingEntry(3n, 0n), 'opening', [0n, 0n, 0n, 0n, 0n, 0n]],
  ['a deposit', settleEntry(deposit), 'settle', [19_600n, 0n, -20_000n, 400n, 0n, 0n]],
  ['a hold', holdEntry(withdraw), 'hold', [-5_100n, 5_100n, 0n, 0n, 0n, 0n]],
  ['a withdrawal', settleEntry(withdraw), 'settle', [0n, -5_100n, 5_000n, 100n, 0n, 0n]],
  ['a release', releaseEntry(withdraw), 'release', [5_100n, -5_100n, 0n, 0n, 0n, 0n]],
  ['the hold of a refund', refundHoldEntry(refund), 'hold', [-9_800n, 9_800n, 0n, 0n, 0n, 0n]],
  ['a refund', refundSettleEntry(refund), 'settle', [0n, -9_800n, 10_000n, -200n, 0n, 0n]],
  [
    'the release of a refund',
    refundReleaseEntry(refund),
    'release',
    [9_800n, -9_800n, 0n, 0n, 0n, 0n],
  ],
  [
    'a payout that comes back',
    payoutReturnedEntry(about, 5_000n, 100n),
    'settle',
    [5_100n, 0n, -5_000n, -100n, 0n, 0n],
  ],
  [
    'a payout that comes back and lost us a part',
    payoutReturnedEntry(about, 5_000n, 100n, 4_000n),
    'settle',
    [1_100n, 0n, -5_000n, -100n, 0n, 4_000n],
  ],
  [
    'a payout that comes back and lost us more',
    payoutReturnedEntry(about, 5_000n, 100n, 5_101n),
    'settle',
    [0n, 0n, -5_000n, -100n, 0n, 5_100n],
  ],
  ['a charge-back', chargebackEntry(about, shares), 'settle', [-700n, 0n, 1_000n, -20n, 0n, -280n]],
  ['a dispute won', disputeWonEntry(about, shares), 'settle', [700n, 0n, -1_000n, 20n, 0n, 280n]],
  [
    'the correction of a deposit',
    correctionEntry(deposit, 0n),
    'settle_late',
    [19_600n, 0n, -20_000n, 400n, 0n, 0n],
  ],
  [
    'the correction of a withdrawal that the user can pay for',
    correctionEntry(withdraw, 6_000n),
    'settle_late',
    [-5_100n, 0n, 5_000n, 100n, 0n, 0n],
  ],
  [
    'the correction of a withdrawal that the user cannot pay for',
    correctionEntry(withdraw, 100n),
    'settle_late',
    [-100n, 0n, 5_000n, 100n, 0n, -5_000n],
  ],
]

for (const [name, entry, kind, expected] of ENTRIES) {
  test(`${name} moves user, held, gateway, fees, opening and losses by ${expected.join(', ')}`, () => {
    assert.deepEqual(legs(entry), expected)
    assert.equal(entry.kind, kind)
    assert.equal(entry.userId, 3n)
    assert.equal(entry.paymentId === 0n, kind === 'opening')
    assert.equal(sum(legs(entry)), 0n)
  })
}

test('an entry has a leg for each account of the one list, and no other', () => {
  const { userId: _user, paymentId: _payment, kind: _kind, ...moved } = openingEntry(3n, 1n)
  assert.deepEqual(Object.keys(moved), ACCOUNT_NAMES)
})

test('kinds of one payment are in the order of their names as they happen', () => {
  const happen = ['hold', 'release', 'settle', 'settle_late']
  assert.deepEqual(happen, happen.toSorted())
})

test('no refund, return or share of one is less than nothing, or returns more than it is', () => {
  const wrong = [
    () => refundHoldEntry({ ...refund, feeReturned: 10_001n }),
    () => refundSettleEntry({ ...refund, feeReturned: -1n }),
    () => refundReleaseEntry({ ...refund, amount: 0n, feeReturned: 0n }),
    () => payoutReturnedEntry(about, 0n, 0n),
    () => payoutReturnedEntry(about, 1n, -1n),
    () => payoutReturnedEntry(about, 1n, 0n, -1n),
    () => chargebackEntry(about, { ...shares, loss: -1n }),
    () => chargebackEntry(about, { user: 0n, fee: 0n, loss: 0n }),
    () => disputeWonEntry(about, { ...shares, user: -1n }),
    () => correctionEntry(withdraw, -1n),
  ]
  for (const make of wrong) assert.throws(make, { code: 'ERR_ASSERTION' }, String(make))
})

test('only withdrawals hold money', () => {
  assert.throws(() => holdEntry(deposit), /only withdrawals/)
  assert.throws(() => releaseEntry(deposit), /only withdrawals/)
})

const payments = fc
  .record({
    id: fc.bigInt({ min: 1n, max: 2n ** 62n }),
    userId: fc.bigInt({ min: 1n, max: 2n ** 62n }),
    type: fc.constantFrom('deposit' as const, 'withdraw' as const),
    amount: fc.bigInt({ min: 1n, max: AMOUNT_MAX }),
    bps: fc.integer({ min: 0, max: 10_000 }),
  })
  .map(({ bps, ...payment }) => ({
    ...payment,
    commission: commission(payment.amount, { bps, min: 0n }),
  }))

const sum = (numbers: readonly bigint[]) => numbers.reduce((all, one) => all + one, 0n)
const add = (entries: readonly Entry[]) =>
  [0, 1, 2, 3, 4, 5].map((leg) => sum(entries.map((entry) => legs(entry)[leg] ?? 0n)))

test('every entry sums to zero', () => {
  fc.assert(
    fc.property(payments, (payment) => {
      const held = payment.type === 'withdraw' ? [holdEntry(payment), releaseEntry(payment)] : []
      for (const entry of [
        settleEntry(payment),
        openingEntry(payment.userId, payment.amount),
        ...held,
      ]) {
        assert.equal(sum(legs(entry)), 0n)
      }
    }),
    { seed: 1, numRuns: 2_000 },
  )
})

test('a hold that is released leaves no trace, one that is spent leaves nothing held', () => {
  fc.assert(
    fc.property(payments, (any) => {
      const payment = { ...any, type: 'withdraw' as const }
      assert.deepEqual(add([holdEntry(payment), releaseEntry(payment)]), [0n, 0n, 0n, 0n, 0n, 0n])
      const spent = add([holdEntry(payment), settleEntry(payment)])
      assert.deepEqual(spent, [-total(payment), 0n, payment.amount, payment.commission, 0n, 0n])
    }),
    { seed: 1, numRuns: 2_000 },
  )
})

test('a deposit never takes money from the user, and the gateway moves exactly the amount', () => {
  fc.assert(
    fc.property(payments, (any) => {
      const entry = settleEntry({ ...any, type: 'deposit' })
      assert.ok(entry.user >= 0n, 'entry.user >= 0n')
      assert.equal(entry.gateway, -any.amount)
      assert.equal(entry.held, 0n)
    }),
    { seed: 1, numRuns: 2_000 },
  )
})
