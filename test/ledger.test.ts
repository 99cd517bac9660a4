import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commission } from '../src/domain/fee.ts'
import {
  holdEntry,
  openingEntry,
  releaseEntry,
  settleEntry,
  total,
  type Entry,
} from '../src/domain/ledger.ts'
import { AMOUNT_MAX } from '../src/domain/money.ts'

const deposit = { id: 7n, userId: 3n, type: 'deposit', amount: 20_000n, commission: 400n } as const
const withdraw = { id: 8n, userId: 3n, type: 'withdraw', amount: 5_000n, commission: 100n } as const

type Legs = readonly [user: bigint, held: bigint, gateway: bigint, fees: bigint, opening: bigint]
const legs = ({ user, held, gateway, fees, opening }: Entry): Legs => [
  user,
  held,
  gateway,
  fees,
  opening,
]

const ENTRIES: readonly (readonly [name: string, entry: Entry, kind: Entry['kind'], legs: Legs])[] =
  [
    ['an opening', openingEntry(3n, 900n), 'opening', [900n, 0n, 0n, 0n, -900n]],
    ['an empty opening', openingEntry(3n, 0n), 'opening', [0n, 0n, 0n, 0n, 0n]],
    ['a deposit', settleEntry(deposit), 'settle', [19_600n, 0n, -20_000n, 400n, 0n]],
    ['a hold', holdEntry(withdraw), 'hold', [-5_100n, 5_100n, 0n, 0n, 0n]],
    ['a withdrawal', settleEntry(withdraw), 'settle', [0n, -5_100n, 5_000n, 100n, 0n]],
    ['a release', releaseEntry(withdraw), 'release', [5_100n, -5_100n, 0n, 0n, 0n]],
  ]

for (const [name, entry, kind, expected] of ENTRIES) {
  test(`${name} moves user, held, gateway, fees and opening by ${expected.join(', ')}`, () => {
    assert.deepEqual(legs(entry), expected)
    assert.equal(entry.kind, kind)
    assert.equal(entry.userId, 3n)
    assert.equal(
      entry.paymentId,
      kind === 'opening' ? 0n : kind === 'settle' ? entry.paymentId : 8n,
    )
  })
}

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
  [0, 1, 2, 3, 4].map((leg) => sum(entries.map((entry) => legs(entry)[leg] ?? 0n)))

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
      assert.deepEqual(add([holdEntry(payment), releaseEntry(payment)]), [0n, 0n, 0n, 0n, 0n])
      const spent = add([holdEntry(payment), settleEntry(payment)])
      assert.deepEqual(spent, [-total(payment), 0n, payment.amount, payment.commission, 0n])
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
