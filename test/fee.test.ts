import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  commission,
  feeIn,
  feeMinsIn,
  feeOfRefund,
  feeOfReturn,
  parseFeeMins,
} from '../src/domain/fee.ts'
import type { FeePolicies } from '../src/domain/fee.ts'
import { AMOUNTS_MAX } from '../src/domain/money.ts'

/** Of a currency with two decimals: 9,999,999,999.99. */
const AMOUNT_MAX = AMOUNTS_MAX[2]

const [KEEP, RETURN] = (['keep', 'return'] as const).map((policy) => ({
  refundFee: policy,
  returnFee: policy,
})) as [FeePolicies, FeePolicies]

const TWO_PERCENT = { bps: 200, min: 0n }

const CASES: readonly (readonly [amount: bigint, bps: number, min: bigint, commission: bigint])[] =
  [
    [10_000n, 200, 0n, 200n],
    [20_000n, 200, 0n, 400n],
    [1n, 200, 0n, 0n],
    [24n, 200, 0n, 0n],
    [25n, 200, 0n, 1n],
    [74n, 200, 0n, 1n],
    [75n, 200, 0n, 2n],
    [AMOUNT_MAX, 200, 0n, 20_000_000_000n],
    [10_000n, 0, 0n, 0n],
    [10_000n, 1, 0n, 1n],
    [4_999n, 1, 0n, 0n],
    [5_000n, 1, 0n, 1n],
    [10_000n, 10_000, 0n, 10_000n],
    [10_000n, 200, 199n, 200n],
    [10_000n, 200, 201n, 201n],
    [1n, 200, 50n, 50n],
    [10_000n, 0, 1n, 1n],
  ]

for (const [amount, bps, min, expected] of CASES) {
  test(`the commission on ${amount} at ${bps} bps, at least ${min}, is ${expected}`, () => {
    assert.equal(commission(amount, { bps, min }), expected)
  })
}

test('2 % of every amount from 0.01 to 1000.00 is half-up to the minor unit', () => {
  for (let amount = 1n; amount <= 100_000n; amount += 1n) {
    const [whole, rest] = [amount / 50n, amount % 50n]
    assert.equal(commission(amount, TWO_PERCENT), rest >= 25n ? whole + 1n : whole)
  }
})

test('the commission is the nearest minor unit, and the upper one of two that are equally near', () => {
  const amounts = fc.bigInt({ min: 1n, max: AMOUNT_MAX })
  fc.assert(
    fc.property(amounts, fc.integer({ min: 0, max: 10_000 }), (amount, bps) => {
      const exact = amount * BigInt(bps)
      const error = commission(amount, { bps, min: 0n }) * 10_000n - exact
      assert.ok(error > -5_000n && error <= 5_000n, 'error > -5_000n && error <= 5_000n')
    }),
    { seed: 1, numRuns: 5_000 },
  )
})

test('a larger amount never has a smaller commission, and a part never costs more than the whole', () => {
  const amounts = fc.bigInt({ min: 1n, max: AMOUNT_MAX / 2n })
  const rates = fc.integer({ min: 0, max: 10_000 })
  fc.assert(
    fc.property(amounts, amounts, rates, fc.bigInt({ min: 0n, max: 1_000n }), (a, b, bps, min) => {
      assert.ok(
        commission(a + b, { bps, min }) >= commission(a, { bps, min }),
        'commission(a + b, { bps, min }) >= commission(a, { bps, min })',
      )
    }),
    { seed: 1, numRuns: 5_000 },
  )
})

test('nothing and less than nothing have no commission: they are a bug', () => {
  assert.throws(() => commission(0n, TWO_PERCENT))
  assert.throws(() => commission(-1n, TWO_PERCENT))
})

test('floors are read by currency, and one without a currency is of the default', () => {
  const mins = parseFeeMins('0.30,jpy:40, BHD:0.125')
  assert.ok(mins, 'mins')
  const read = feeMinsIn(mins, 'EUR')
  assert.deepEqual(read && Object.fromEntries(read), { EUR: 30n, JPY: 40n, BHD: 125n })
  for (const wrong of ['XYZ:1', 'JPY:0.5', 'USD:1,usd:2', 'USD', '1 2', 'USD:1,', 'BHD:0.0001']) {
    assert.equal(parseFeeMins(wrong), undefined, wrong)
  }
  assert.equal(feeMinsIn(mins, 'JPY'), null, 'two floors, and one with decimals that yen have not')
  assert.deepEqual(feeIn({ bps: 200, mins: read ?? new Map() }, 'JPY'), { bps: 200, min: 40n })
  assert.deepEqual(feeIn({ bps: 200, mins: read ?? new Map() }, 'USD'), { bps: 200, min: 0n })
})

test('a refund returns at most its own amount of a commission that earlier ones did not return', () => {
  const given = {
    type: 'deposit',
    amount: 6n,
    commission: 3n,
    returned: 0n,
    returnedFee: 0n,
  } as const
  const reserved = { refundReserved: 3n, feeReserved: 0n }
  assert.equal(feeOfRefund({ ...given, ...reserved }, 1n, RETURN), 1n)
  assert.equal(feeOfRefund({ ...given, ...reserved }, 3n, RETURN), 3n)
  assert.equal(feeOfRefund({ ...given, ...reserved }, 1n, KEEP), 0n)
})

test('of a deposit at most what came back returns, of a payout as much as its commission was', () => {
  const nothing = { refundReserved: 0n, feeReserved: 0n, returned: 0n, returnedFee: 0n }
  const given = { ...nothing, amount: 2n, commission: 50n }
  assert.equal(feeOfReturn({ ...given, type: 'withdraw' }, 1n, RETURN), 25n)
  assert.equal(feeOfReturn({ ...given, type: 'deposit' }, 1n, RETURN), 1n)
  assert.equal(feeOfReturn({ ...given, type: 'withdraw' }, 1n, KEEP), 0n)
})

test('no more of a commission goes back than is left, also where the policies were changed in between', () => {
  const given = { type: 'deposit', amount: 100n, commission: 10n } as const
  const [refunds, returns] = [
    { refundFee: 'return', returnFee: 'keep' },
    { refundFee: 'keep', returnFee: 'return' },
  ] as const
  // Half went back and kept it, then 40 the other way, with the commission of both.
  const returned = { refundReserved: 50n, feeReserved: 0n, returned: 40n, returnedFee: 9n }
  assert.equal(feeOfRefund({ ...given, ...returned }, 10n, refunds), 1n)
  const refunded = { refundReserved: 40n, feeReserved: 9n, returned: 50n, returnedFee: 0n }
  assert.equal(feeOfReturn({ ...given, ...refunded }, 10n, returns), 1n)
})

test('what one policy keeps is no part of what the other one returns', () => {
  const half = { amount: 10_000n, commission: 200n, refundReserved: 5_000n, feeReserved: 0n }
  const refundedHalf = { ...half, type: 'deposit', returned: 0n, returnedFee: 0n } as const
  const returns = { refundFee: 'keep', returnFee: 'return' } as const
  assert.equal(feeOfReturn(refundedHalf, 5_000n, returns), 100n)
  const returnedHalf = { ...refundedHalf, refundReserved: 0n, returned: 5_000n }
  assert.equal(feeOfRefund(returnedHalf, 5_000n, { refundFee: 'return', returnFee: 'keep' }), 100n)
})
