import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FeePolicies, FeePolicy } from '../src/domain/fee.ts'
import { keyOf } from '../src/domain/acceptance.ts'
import { parseDecimal } from '../src/domain/money.ts'
import {
  decideRefunds,
  refundable,
  type Parent,
  type RefundAnswer,
  type RefundBooks,
  type RefundDraft,
  type RefundPayment,
} from '../src/domain/refund.ts'
import { sentFields } from '../src/domain/sent-fields.ts'

/** A policy for refunds, where returns keep the commission. */
const refunding = (policy: FeePolicy): FeePolicies => ({ refundFee: policy, returnFee: 'keep' })

const NOTHING = { refundReserved: 0n, feeReserved: 0n, returned: 0n, returnedFee: 0n }

/** A deposit of 100.00 with a commission of 2.00, of which nothing was given back. */
const DEPOSIT: Parent = {
  id: 1n,
  userId: 3n,
  type: 'deposit',
  status: 'success',
  amount: 10_000n,
  commission: 200n,
  exponent: 2,
  gateway: 'http',
  ...NOTHING,
}

/** A refund of an amount, `null` for all that is left. */
function refund(amount: string | null, idempotencyKey: string | null = null, parentId = 1n) {
  const read = amount === null ? null : parseDecimal(amount)
  if (read !== null && !read.ok) throw new Error(read.problem)
  const reason = 'returned goods'
  const sent = sentFields({ amount, reason })
  const asked = { parentId, amount: read?.decimal ?? null, idempotencyKey }
  return { ...asked, reason, sent } satisfies RefundDraft
}

/** Each gateway carries out refunds. */
const everywhere = () => true

function books(
  available: bigint,
  parents: readonly Parent[] = [DEPOSIT],
  earlier: readonly RefundPayment[] = [],
): RefundBooks {
  return {
    parents: new Map(parents.map((parent) => [parent.id, parent])),
    available: new Map([[3n, available]]),
    earlier: new Map(earlier.map((one) => [keyOf(one.userId, one.idempotencyKey ?? ''), one])),
    ids: Array.from({ length: 20 }, (_, index) => BigInt(index + 10)),
    refundsAt: everywhere,
  }
}

/** An answer in a word: `10` accepted as payment 10, `=10` its replay, a code, `=code`. */
function word(answer: RefundAnswer): string {
  const text = answer.kind === 'accepted' ? String(answer.payment.id) : answer.refusal.code
  return (answer.replayed ? '=' : '') + text
}

const ALL = 10_000n
const NOT = 'not_refundable'
const NO_FUNDS = 'insufficient_funds'
const REUSED = 'idempotency_key_reuse'

const BATCHES: readonly (readonly [string, bigint, readonly RefundDraft[], readonly string[]])[] = [
  ['nothing comes to nothing', 0n, [], []],
  ['the whole deposit is refunded', ALL, [refund('100')], ['10']],
  ['without an amount all that is left is', ALL, [refund('30'), refund(null)], ['10', '11']],
  ['more than the deposit is not refunded', 2n * ALL, [refund('100.01')], [NOT]],
  ['several refunds take no more than it', 2n * ALL, [refund('60'), refund('40.01')], ['10', NOT]],
  ['when nothing is left nothing is', 2n * ALL, [refund('100'), refund(null)], ['10', NOT]],
  ['a user who has spent it cannot refund it', 9_999n, [refund('100')], [NO_FUNDS]],
  ['earlier refunds spend first', ALL - 1n, [refund('60'), refund('40')], ['10', NO_FUNDS]],
  [
    'a refusal uses nothing up',
    5_000n,
    [refund('60'), refund('500'), refund('50')],
    [NO_FUNDS, NOT, '10'],
  ],
  ['an unknown payment is not refunded', ALL, [refund('1', null, 9n)], ['payment_not_found']],
  ['an amount is exact in its currency', ALL, [refund('1.001')], ['amount_precision']],
  ['an amount is at least a minor unit', ALL, [refund('0')], ['amount_range']],
  ['twins in a batch are one refund', ALL, [refund('5', 'a'), refund('5', 'a')], ['10', '=10']],
  ['twins without a key are two', ALL, [refund('5'), refund('5')], ['10', '11']],
  [
    'a key with another amount is refused',
    ALL,
    [refund('5', 'a'), refund('6', 'a')],
    ['10', REUSED],
  ],
  ['"all" is another amount', ALL, [refund('100', 'a'), refund(null, 'a')], ['10', REUSED]],
  ['"all" twice is one refund', ALL, [refund(null, 'a'), refund(null, 'a')], ['10', '=10']],
  [
    'a replay is answered although nothing is left',
    ALL,
    [refund('100', 'a'), refund('100', 'a'), refund('1', 'b')],
    ['10', '=10', NOT],
  ],
  [
    'a refusal for lack of funds is kept under its key',
    0n,
    [refund('5', 'a'), refund('5', 'a'), refund('5')],
    [NO_FUNDS, `=${NO_FUNDS}`, NO_FUNDS],
  ],
  [
    'a refusal because nothing is left is not kept',
    ALL,
    [refund('100'), refund('5', 'a'), refund('5', 'a')],
    ['10', NOT, NOT],
  ],
]

for (const [name, available, drafts, expected] of BATCHES) {
  test(name, () => {
    assert.deepEqual(
      decideRefunds(drafts, books(available), refunding('keep')).answers.map(word),
      expected,
    )
  })
}

const OTHERS: readonly Partial<Parent>[] = [
  { type: 'withdraw' },
  { type: 'refund' },
  { type: 'return' },
  { status: 'new' },
  { status: 'failed' },
  { status: 'unknown' },
  { refundReserved: 10_000n },
  { returned: 10_000n },
  { refundReserved: 6_000n, returned: 10_000n },
]

for (const other of OTHERS) {
  test(`of a payment with ${Object.entries(other).join(' and ')} nothing is refunded`, () => {
    const parent = { ...DEPOSIT, ...other }
    assert.equal(refundable(parent), 0n)
    const { answers } = decideRefunds(
      [refund('1'), refund(null)],
      books(ALL, [parent]),
      refunding('keep'),
    )
    assert.deepEqual(answers.map(word), [NOT, NOT])
  })
}

test('a refund holds its amount without what it returns of the commission, and reserves both', () => {
  for (const [policy, fee] of [
    ['keep', 0n],
    ['return', 100n],
  ] as const) {
    const { payments, holds, reserved, idsUsed } = decideRefunds(
      [refund('50')],
      books(5_000n - fee),
      refunding(policy),
    )
    assert.equal(idsUsed, 1)
    assert.deepEqual(
      payments.map(({ amount, feeReturned }) => [amount, feeReturned]),
      [[5_000n, fee]],
    )
    assert.deepEqual(
      holds.map(({ user, held, paymentId }) => [user, held, paymentId]),
      [[fee - 5_000n, 5_000n - fee, 10n]],
    )
    assert.deepEqual(reserved, [{ parentId: 1n, amount: 5_000n, fee }])
  }
})

test('a refusal says what is required, or what could be refunded at most', () => {
  const parent = { ...DEPOSIT, refundReserved: 2_000n, feeReserved: 40n, returned: 1_000n }
  const { answers, payments, holds, reserved } = decideRefunds(
    [refund('70', 'a'), refund('70.01')],
    books(0n, [parent]),
    refunding('return'),
  )
  const refusals = answers.map((answer) => answer.kind === 'refused' && answer.refusal)
  assert.deepEqual(refusals, [
    { code: NO_FUNDS, paymentId: 10n, required: 7_000n - 140n, exponent: 2 },
    { code: NOT, atMost: 7_000n, exponent: 2 },
  ])
  assert.deepEqual(
    payments.map(({ refusedFor }) => refusedFor),
    [NO_FUNDS],
  )
  assert.deepEqual([holds, reserved], [[], []])
})

test('a key that a refund of another payment, or no refund, was made under says so', () => {
  const first = decideRefunds([refund('5', 'a')], books(ALL), refunding('keep')).payments
  const other = { ...DEPOSIT, id: 2n }
  const given = books(ALL, [DEPOSIT, other], first)
  const [elsewhere] = decideRefunds([refund('5', 'a', 2n)], given, refunding('keep')).answers
  assert.ok(elsewhere?.kind === 'refused', 'refused')
  assert.deepEqual(elsewhere.refusal.errors, [{ field: 'payment_id', code: 'differs' }])
  assert.equal(elsewhere.refusal.paymentId, 10n)

  const earlier = new Map([[keyOf(3n, 'a'), { id: 7n, type: 'deposit' } as const]])
  const [deposit] = decideRefunds(
    [refund('5', 'a')],
    { ...books(ALL), earlier },
    refunding('keep'),
  ).answers
  assert.ok(deposit?.kind === 'refused', 'refused')
  assert.deepEqual(deposit.refusal.errors, [{ field: 'type', code: 'differs' }])
})

test('a replay answers what the first request was answered, whatever the policy is now', () => {
  const first = decideRefunds([refund('5', 'a')], books(ALL), refunding('return'))
  const again = decideRefunds(
    [refund('5', 'a')],
    books(0n, [DEPOSIT], first.payments),
    refunding('keep'),
  )
  assert.deepEqual(
    again.answers,
    first.answers.map((answer) => ({ ...answer, replayed: true })),
  )
  assert.deepEqual([again.payments, again.holds, again.reserved, again.idsUsed], [[], [], [], 0])
})

test('an amount is read in the exponent of the parent', () => {
  const yen = { ...DEPOSIT, exponent: 0 as const }
  const decided = decideRefunds([refund('5'), refund('0.5')], books(ALL, [yen]), refunding('keep'))
  assert.deepEqual(decided.answers.map(word), ['10', 'amount_precision'])
  assert.equal(decided.payments[0]?.amount, 5n)
})

test('the verdict leaves what it was decided on as it was', () => {
  const given = books(ALL)
  decideRefunds([refund('5', 'a')], given, refunding('return'))
  assert.deepEqual(given, books(ALL))
})

test('what was paid through a gateway that makes no refunds is not refunded, and holds nothing', () => {
  const given = { ...books(10_000n), refundsAt: (gateway: string) => gateway !== 'http' }
  const verdict = decideRefunds([refund('1', 'k')], given, refunding('keep'))
  assert.deepEqual(verdict.answers.map(word), ['no_route'])
  assert.deepEqual([verdict.holds, verdict.payments], [[], []])
  // What was accepted under the key before is answered the same.
  const { payments } = decideRefunds([refund('1', 'k')], books(10_000n), refunding('keep'))
  const again = { ...given, earlier: books(0n, [DEPOSIT], payments).earlier }
  assert.deepEqual(decideRefunds([refund('1', 'k')], again, refunding('keep')).answers.map(word), [
    '=10',
  ])
})
