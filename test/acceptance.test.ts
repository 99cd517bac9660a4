import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  BUSY,
  decideBatch,
  keyOf,
  type AcceptedPayment,
  type Answer,
  type Books,
  type PaymentDraft,
  type Terms,
} from '../src/domain/acceptance.ts'
import { commission, type Fee } from '../src/domain/fee.ts'

/** Books in USD. */
const home = (fee: Fee): Terms => ({ currency: 'USD', exponent: 2, fee })
const FEE = home({ bps: 200, min: 0n })
const IDS = Array.from({ length: 100 }, (_, index) => BigInt(index + 1))

const deposit = (
  amount: bigint,
  idempotencyKey: string | null = null,
  userId = 1n,
): PaymentDraft => ({
  type: 'deposit',
  userId,
  amount,
  idempotencyKey,
})
const withdraw = (
  amount: bigint,
  idempotencyKey: string | null = null,
  userId = 1n,
): PaymentDraft => ({
  ...deposit(amount, idempotencyKey, userId),
  type: 'withdraw',
})

function books(balance: bigint, earlier: readonly AcceptedPayment[] = []): Books {
  const keyed = earlier.map(
    (payment) => [keyOf(payment.userId, payment.idempotencyKey ?? ''), payment] as const,
  )
  return {
    available: new Map([
      [1n, balance],
      [2n, 500n],
    ]),
    earlier: new Map(keyed),
    ids: IDS,
  }
}

/**
 * An answer in a word: `3` accepted as payment 3, `=3` its replay, a code, `=code` a replayed one.
 */
function word(answer: Answer): string {
  const text = answer.kind === 'accepted' ? String(answer.payment.id) : answer.refusal.code
  return (answer.replayed ? '=' : '') + text
}

const decide = (
  drafts: readonly PaymentDraft[],
  balance: bigint,
  earlier: readonly AcceptedPayment[] = [],
) => decideBatch(drafts, books(balance, earlier), FEE)

const NO_FUNDS = 'insufficient_funds'
const REUSED = 'idempotency_key_reuse'

const BATCHES: readonly (readonly [string, bigint, readonly PaymentDraft[], readonly string[]])[] =
  [
    ['nothing comes to nothing', 0n, [], []],
    ['ids are used in the order of the drafts', 0n, [deposit(100n), deposit(200n)], ['1', '2']],
    ['the balance covers amount and commission exactly', 1_020n, [withdraw(1_000n)], ['1']],
    ['the balance lacks the last cent of commission', 1_019n, [withdraw(1_000n)], [NO_FUNDS]],
    ['earlier drafts spend first', 1_020n, [withdraw(1_000n), withdraw(1n)], ['1', NO_FUNDS]],
    [
      'a small draft passes after a refused one',
      50n,
      [withdraw(999n), withdraw(49n)],
      [NO_FUNDS, '1'],
    ],
    ['a deposit in progress cannot be spent', 0n, [deposit(999n), withdraw(1n)], ['1', NO_FUNDS]],
    [
      'no refusal harms a neighbour',
      60n,
      [deposit(5n, null, 9n), withdraw(999n), deposit(5n)],
      ['user_not_found', NO_FUNDS, '1'],
    ],
    [
      'users do not spend from each other',
      0n,
      [withdraw(10n), withdraw(10n, null, 2n)],
      [NO_FUNDS, '1'],
    ],
    ['twins in a batch are one payment', 0n, [deposit(5n, 'a'), deposit(5n, 'a')], ['1', '=1']],
    [
      'a hundred twins are one payment',
      0n,
      Array<PaymentDraft>(100).fill(deposit(5n, 'a')),
      ['1', ...Array<string>(99).fill('=1')],
    ],
    ['twins without a key are two payments', 0n, [deposit(5n), deposit(5n)], ['1', '2']],
    [
      'twins of a withdrawal hold once',
      102n,
      [withdraw(100n, 'a'), withdraw(100n, 'a')],
      ['1', '=1'],
    ],
    ['one key of two users is two keys', 0n, [deposit(5n, 'a'), deposit(5n, 'a', 2n)], ['1', '2']],
    [
      'a key with another amount is refused',
      0n,
      [deposit(5n, 'a'), deposit(6n, 'a')],
      ['1', REUSED],
    ],
    [
      'a key with another type is refused',
      900n,
      [deposit(5n, 'a'), withdraw(5n, 'a')],
      ['1', REUSED],
    ],
    [
      'a refused reuse leaves the key as it was',
      0n,
      [deposit(5n, 'a'), deposit(6n, 'a'), deposit(5n, 'a')],
      ['1', REUSED, '=1'],
    ],
    [
      'a refusal under a key is replayed',
      0n,
      [withdraw(5n, 'a'), withdraw(5n, 'a')],
      [NO_FUNDS, `=${NO_FUNDS}`],
    ],
    ['a refusal without a key is not', 0n, [withdraw(5n), withdraw(5n)], [NO_FUNDS, NO_FUNDS]],
    [
      'an unknown user has no key',
      0n,
      [deposit(5n, 'a', 9n), deposit(5n, 'a', 9n)],
      ['user_not_found', 'user_not_found'],
    ],
  ]

for (const [name, balance, drafts, expected] of BATCHES) {
  test(name, () => {
    assert.deepEqual(decide(drafts, balance).answers.map(word), expected)
  })
}

test('a refusal for lack of funds under a key uses an id and is written, without a hold', () => {
  const { payments, holds, idsUsed, answers } = decide([withdraw(100n, 'a'), withdraw(100n)], 0n)
  assert.deepEqual(
    payments.map(({ id, refusedFor }) => [id, refusedFor]),
    [[1n, NO_FUNDS]],
  )
  assert.deepEqual(holds, [])
  assert.equal(idsUsed, 1)
  const [stored, fleeting] = answers
  assert.deepEqual(stored?.kind === 'refused' && stored.refusal, {
    code: NO_FUNDS,
    paymentId: 1n,
    required: 102n,
    exponent: 2,
  })
  assert.deepEqual(fleeting?.kind === 'refused' && fleeting.refusal, {
    code: NO_FUNDS,
    required: 102n,
    exponent: 2,
  })
})

test('a stored refusal is replayed although there is money by now', () => {
  const { payments: earlier } = decide([withdraw(100n, 'a')], 0n)
  assert.deepEqual(decide([withdraw(100n, 'a')], 1_000_000n, earlier).answers.map(word), [
    `=${NO_FUNDS}`,
  ])
})

test('a replay answers what the first request was answered, whatever the commission is now', () => {
  const first = decide([deposit(1_000n, 'a')], 0n)
  const again = decideBatch(
    [deposit(1_000n, 'a')],
    books(0n, first.payments),
    home({ bps: 900, min: 7n }),
  )
  assert.deepEqual(
    again.answers,
    first.answers.map((answer) => ({ ...answer, replayed: true })),
  )
  assert.deepEqual([again.payments, again.holds, again.idsUsed], [[], [], 0])
})

const DIFFERENCES: readonly (readonly [PaymentDraft, PaymentDraft, readonly string[]])[] = [
  [deposit(5n, 'a'), deposit(6n, 'a'), ['amount']],
  [withdraw(5n, 'a'), withdraw(6n, 'a'), ['amount']],
  [deposit(5n, 'a'), withdraw(5n, 'a'), ['type']],
  [withdraw(5n, 'a'), deposit(6n, 'a'), ['type', 'amount']],
]

for (const [first, second, fields] of DIFFERENCES) {
  test(`a key reused with a different ${fields.join(' and ')} is told so, and by which payment`, () => {
    const answer = decide([first, second], 900n).answers[1]
    assert.ok(answer?.kind === 'refused', 'answer?.kind === refused')
    const faults = fields.map((field) => ({ field, code: 'differs' }))
    assert.deepEqual(answer.refusal.faults, faults)
    assert.equal(answer.refusal.paymentId, 1n)
  })
}

test('a commission that would take the whole deposit is refused; one that leaves a cent is not', () => {
  const fee = { bps: 0, min: 50n }
  const words = [49n, 50n, 51n].map((amount) =>
    decideBatch([deposit(amount)], books(0n), home(fee))
      .answers.map(word)
      .join(),
  )
  assert.deepEqual(words, ['amount_below_commission', 'amount_below_commission', '1'])
  assert.deepEqual(decideBatch([deposit(1n)], books(0n), FEE).answers.map(word), ['1'])
  assert.deepEqual(decideBatch([withdraw(10n)], books(60n), home(fee)).answers.map(word), ['1'])
})

test('too few ids are a bug, not a payment without an id', () => {
  assert.throws(() => decideBatch([deposit(5n), deposit(5n)], { ...books(0n), ids: [1n] }, FEE))
})

test('what has no key is never replayed, whatever keys there are', () => {
  const drafts = [deposit(100n), deposit(100n, 'null'), deposit(100n, 'undefined'), deposit(100n)]
  const { answers, idsUsed } = decideBatch(drafts, books(0n), FEE)
  assert.deepEqual(
    answers.map(({ kind, replayed }) => [kind, replayed]),
    drafts.map(() => ['accepted', false]),
  )
  assert.equal(idsUsed, 4)
})

test('busy is an answer that nothing was decided by, so it is no replay', () => {
  assert.deepEqual(BUSY, { kind: 'refused', refusal: { code: 'busy' }, replayed: false })
})

test('the verdict leaves what it was decided on as it was', () => {
  const given = books(1_000n)
  decideBatch([withdraw(100n, 'a'), deposit(1n, 'b')], given, FEE)
  assert.deepEqual(given, books(1_000n))
})

const drafts = fc.array(
  fc.record({
    type: fc.constantFrom('deposit' as const, 'withdraw' as const),
    userId: fc.constantFrom(1n, 2n, 3n),
    amount: fc.bigInt({ min: 1n, max: 400n }),
    idempotencyKey: fc.constantFrom(null, null, 'a', 'b', 'c'),
  }),
  { maxLength: 40 },
)

test('a batch answers as the same drafts do one by one, however they are cut', () => {
  fc.assert(
    fc.property(
      drafts,
      fc.integer({ min: 1, max: 40 }),
      fc.bigInt({ min: 0n, max: 3_000n }),
      cutAlike,
    ),
    { seed: 1, numRuns: 2_000 },
  )
})

function cutAlike(all: readonly PaymentDraft[], size: number, balance: bigint): void {
  const whole = decide(all, balance).answers.map(word)
  const available = new Map(books(balance).available)
  const earlier = new Map<string, AcceptedPayment>()
  const words: string[] = []
  let used = 0
  for (let start = 0; start < all.length; start += size) {
    const now = { available, earlier, ids: IDS.slice(used) }
    const verdict = decideBatch(all.slice(start, start + size), now, FEE)
    used += verdict.idsUsed
    for (const { userId, user } of verdict.holds) {
      available.set(userId, (available.get(userId) ?? 0n) + user)
    }
    for (const payment of verdict.payments) {
      if (payment.idempotencyKey !== null) {
        earlier.set(keyOf(payment.userId, payment.idempotencyKey), payment)
      }
    }
    words.push(...verdict.answers.map(word))
  }
  assert.deepEqual(words, whole)
}

test('whatever the batch, no user spends more than there is and every answer has its row', () => {
  fc.assert(
    fc.property(drafts, fc.bigInt({ min: 0n, max: 3_000n }), (all, balance) => {
      const { answers, payments, holds, idsUsed } = decide(all, balance)
      assert.equal(answers.length, all.length)
      assert.equal(idsUsed, payments.length)
      const left = new Map(books(balance).available)
      for (const hold of holds) left.set(hold.userId, (left.get(hold.userId) ?? -1n) + hold.user)
      for (const money of left.values()) assert.ok(money >= 0n, 'money >= 0n')

      const rows = new Map(payments.map((payment) => [payment.id, payment]))
      assert.equal(rows.size, payments.length)
      all.forEach((draft, index) => {
        const answer = answers[index]
        if (answer?.kind !== 'accepted') return
        const row = rows.get(answer.payment.id)
        assert.deepEqual(row, answer.payment)
        assert.deepEqual(
          [row?.type, row?.userId, row?.amount],
          [draft.type, draft.userId, draft.amount],
        )
        assert.equal(row?.commission, commission(draft.amount, FEE.fee))
      })
      const held = payments.filter((row) => row.type === 'withdraw' && row.refusedFor === null)
      assert.deepEqual(
        holds.map((hold) => hold.paymentId),
        held.map((row) => row.id),
      )
    }),
    { seed: 1, numRuns: 2_000 },
  )
})

test('a refused payment keeps no reference from the next of its batch, and an accepted one does', () => {
  const none = { description: null, metadata: null, paymentMethod: null, returnUrl: null }
  const details = { ...none, reference: 'order 7' }
  const named = (draft: PaymentDraft) => ({ ...draft, given: { details, sent: {} } })
  const batch = [withdraw(1_000n, 'a'), deposit(100n, 'b'), deposit(100n, 'c')].map(named)
  const { answers } = decideBatch(batch, books(0n), FEE)
  assert.deepEqual(answers.map(word), ['insufficient_funds', '2', 'reference_taken'])
})
