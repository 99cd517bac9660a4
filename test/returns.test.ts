import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FeePolicies, FeePolicy } from '../src/domain/fee.ts'
import {
  chargebackShares,
  decideReturns,
  disputeShares,
  returnKeyOf,
  type ReturnAnswer,
  type ReturnBooks,
  type ReturnDraft,
  type SaidKind,
  type ReturnParent,
} from '../src/domain/returns.ts'

/** A deposit of 100.00 with a commission of 2.00, of which nothing was given back. */
/** A policy for returns, where refunds keep the commission. */
const returning = (policy: FeePolicy): FeePolicies => ({ returnFee: policy, refundFee: 'keep' })

const DEPOSIT: ReturnParent = {
  id: 1n,
  userId: 3n,
  type: 'deposit',
  status: 'success',
  amount: 10_000n,
  commission: 200n,
  exponent: 2,
  gateway: 'http',
  refundReserved: 0n,
  feeReserved: 0n,
  returned: 0n,
  returnedFee: 0n,
  refunded: 0n,
  paid: { user: 0n, fee: 0n, loss: 0n },
  refundedThere: 0n,
  openRefunds: [],
  corrected: false,
  lost: 0n,
}
const PAYOUT: ReturnParent = { ...DEPOSIT, id: 2n, type: 'withdraw' }

const back = (kind: SaidKind, amount: bigint, ref: string, parentId = 1n): ReturnDraft => ({
  parentId,
  ref,
  kind,
  amount,
})

/** All of the deposit, won in the dispute of a charge-back. */
const won = (ref: string, undoes: string): ReturnDraft => {
  return { ...back('dispute_won', 10_000n, ref), undoes }
}

function books(available: bigint, ...parents: readonly ReturnParent[]): ReturnBooks {
  return {
    parents: new Map(parents.map((parent) => [parent.id, parent])),
    available: new Map([[3n, available]]),
    earlier: new Map(),
    refunds: new Set<string>(),
    unnamed: [],
    named: new Map(),
    ids: Array.from({ length: 20 }, (_, index) => BigInt(index + 10)),
  }
}

function word(answer: ReturnAnswer): string {
  if (answer.kind === 'booked') return String(answer.payment.id)
  return answer.kind === 'known' ? `=${answer.paymentId}` : answer.refusal.code
}

const BATCHES: readonly (readonly [string, readonly ReturnDraft[], readonly string[]])[] = [
  ['nothing comes to nothing', [], []],
  [
    'a payout comes back in parts',
    [back('payout_returned', 1n, 'a', 2n), back('payout_returned', 9_999n, 'b', 2n)],
    ['10', '11'],
  ],
  [
    'no more of a payout comes back than went out',
    [back('payout_returned', 10_001n, 'a', 2n)],
    ['not_returnable'],
  ],
  [
    'one return under a reference is one',
    [back('charged_back', 5n, 'a'), back('charged_back', 5n, 'a')],
    ['10', '=10'],
  ],
  [
    'references are of a payment',
    [back('charged_back', 5n, 'a'), back('payout_returned', 5n, 'a', 2n)],
    ['10', '11'],
  ],
  [
    'a reference with another amount differs',
    [back('charged_back', 5n, 'a'), back('charged_back', 6n, 'a')],
    ['10', 'return_differs'],
  ],
  [
    'a reference of another kind differs',
    [back('charged_back', 5n, 'a'), back('refunded_there', 5n, 'a')],
    ['10', 'return_differs'],
  ],
  [
    'a deposit is not refunded there twice',
    [back('refunded_there', 10_000n, 'a'), back('refunded_there', 1n, 'b')],
    ['10', 'not_returnable'],
  ],
  [
    'a deposit is charged back by whatever its gateway took, also where nothing of it is left',
    [back('refunded_there', 10_000n, 'a'), back('charged_back', 10_043n, 'b')],
    ['10', '11'],
  ],
  [
    'what was refunded there is booked as well where it is told behind the charge-back',
    [back('charged_back', 10_000n, 'a'), back('refunded_there', 3_000n, 'b')],
    ['10', '11'],
  ],
  [
    'no charge-back is more than twice the deposit',
    [back('charged_back', 20_001n, 'a'), back('charged_back', 20_000n, 'b')],
    ['not_returnable', '10'],
  ],
  [
    'only what was charged back comes back from a dispute',
    [back('dispute_won', 1n, 'a')],
    ['not_returnable'],
  ],
  [
    'a dispute is lost, won and lost again',
    [
      back('charged_back', 10_000n, 'a'),
      back('dispute_won', 10_000n, 'b'),
      back('charged_back', 10_000n, 'c'),
    ],
    ['10', '11', '12'],
  ],
  [
    'a dispute that is won gives nothing where its charge-back was refused',
    [back('refunded_there', 10_000n, 'a'), back('charged_back', 20_001n, 'b'), won('c', 'b')],
    ['10', 'not_returnable', 'not_returnable'],
  ],
  [
    'money that is given back is that of the return which is named, and of no other',
    [back('refunded_there', 10_000n, 'a'), won('c', 'gone')],
    ['10', 'not_returnable'],
  ],
  [
    'a refund made there that fails after all is undone once, as a dispute that is won',
    [back('refunded_there', 10_000n, 'a'), won('b', 'a'), won('c', 'a')],
    ['10', '11', 'not_returnable'],
  ],
  [
    'a dispute that is won gives no more than its charge-back took',
    [back('charged_back', 9_999n, 'a'), back('charged_back', 1n, 'b'), won('c', 'a')],
    ['10', '11', 'not_returnable'],
  ],
  [
    'a charge-back that was won leaves the deposit to be refunded',
    [back('charged_back', 10_000n, 'b'), won('c', 'b'), back('refunded_there', 10_000n, 'a')],
    ['10', '11', '12'],
  ],
  ['a payout is not charged back', [back('charged_back', 5n, 'a', 2n)], ['not_returnable']],
  [
    'a deposit does not come back as a payout',
    [back('payout_returned', 5n, 'a')],
    ['not_returnable'],
  ],
  [
    'what does not exist does not come back',
    [back('charged_back', 5n, 'a', 9n)],
    ['payment_not_found'],
  ],
]

for (const [name, drafts, expected] of BATCHES) {
  test(name, () => {
    const { answers } = decideReturns(drafts, books(20_000n, DEPOSIT, PAYOUT), returning('keep'))
    assert.deepEqual(answers.map(word), expected)
  })
}

test('a reference that names a payment there is none of what came back, unless it is booked', () => {
  const draft = back('charged_back', 5n, 'ch_1')
  const named = new Map([[returnKeyOf(1n, 'ch_1'), 7n]])
  const { answers, entries } = decideReturns(
    [draft],
    { ...books(0n, DEPOSIT), named },
    returning('keep'),
  )
  assert.deepEqual(answers, [
    { kind: 'refused', refusal: { code: 'gateway_ref_taken', paymentId: 7n } },
  ])
  assert.deepEqual(entries, [])

  const earlier = new Map([
    [returnKeyOf(1n, 'ch_1'), { id: 9n, kind: 'charged_back', amount: 5n } as const],
  ])
  const known = decideReturns([draft], { ...books(0n, DEPOSIT), named, earlier }, returning('keep'))
  assert.deepEqual(known.answers, [{ kind: 'known', paymentId: 9n }])
})

test('only a payment that succeeded comes back', () => {
  for (const status of ['new', 'unknown', 'failed'] as const) {
    for (const parent of [DEPOSIT, PAYOUT]) {
      const kind = parent === DEPOSIT ? 'charged_back' : 'payout_returned'
      const given = books(20_000n, { ...parent, status })
      const { answers, entries } = decideReturns(
        [back(kind, 1n, 'a', parent.id)],
        given,
        returning('keep'),
      )
      assert.deepEqual([answers.map(word), entries], [['not_returnable'], []])
    }
  }
})

test('what the gateway calls a refund of ours is no return: nobody pays twice for one refund', () => {
  const given = { ...books(20_000n, DEPOSIT), refunds: new Set([returnKeyOf(1n, 'a')]) }
  const drafts = [back('refunded_there', 5n, 'a'), back('charged_back', 5n, 'a')]
  const { answers, entries } = decideReturns(drafts, given, returning('keep'))
  assert.deepEqual(answers.map(word), ['return_is_refund', 'return_is_refund'])
  assert.deepEqual(entries, [])
})

test('a return that is known from before is booked no second time', () => {
  const drafts = [back('charged_back', 5n, 'a')]
  const first = decideReturns(drafts, books(20_000n, DEPOSIT), returning('keep'))
  const [payment] = first.payments
  assert.ok(payment, 'payment')
  const earlier = new Map([[returnKeyOf(1n, 'a'), payment]])
  const again = decideReturns(drafts, { ...books(20_000n, DEPOSIT), earlier }, returning('keep'))
  assert.deepEqual(again.answers, [{ kind: 'known', paymentId: 10n }])
  assert.deepEqual([again.payments, again.entries, again.parents], [[], [], []])
})

/** Who pays for a charge-back of 100.00, by what the deposit was worth before and the user has. */
const SHARES: readonly (readonly [
  name: string,
  parent: Partial<ReturnParent>,
  available: bigint,
  policy: 'keep' | 'return',
  shares: readonly [user: bigint, fee: bigint, loss: bigint],
  amount?: bigint,
])[] = [
  ['a user who can pays it all', {}, 20_000n, 'keep', [10_000n, 0n, 0n]],
  [
    'with the commission given back it pays that much less',
    {},
    20_000n,
    'return',
    [9_800n, 200n, 0n],
  ],
  ['a user who cannot pays what is there', {}, 700n, 'return', [700n, 200n, 9_100n]],
  ['one who has nothing pays nothing', {}, 0n, 'keep', [0n, 0n, 10_000n]],
  [
    'what was refunded is ours to lose',
    { refundReserved: 4_000n, refunded: 4_000n },
    20_000n,
    'keep',
    [6_000n, 0n, 4_000n],
  ],
  [
    'a refund that is open counts as made',
    { refundReserved: 4_000n },
    20_000n,
    'keep',
    [6_000n, 0n, 4_000n],
  ],
  [
    'no commission goes back twice',
    { refundReserved: 5_000n, refunded: 5_000n, feeReserved: 200n },
    20_000n,
    'return',
    [5_000n, 0n, 5_000n],
  ],
  [
    'all was refunded before',
    { refundReserved: 10_000n, refunded: 10_000n, feeReserved: 200n },
    20_000n,
    'return',
    [0n, 0n, 10_000n],
  ],
  [
    'what is more than the deposit is ours to lose',
    {},
    20_000n,
    'return',
    [9_800n, 200n, 43n],
    10_043n,
  ],
  [
    'more came back than the deposit was',
    { returned: 10_043n, returnedFee: 200n },
    20_000n,
    'return',
    [0n, 0n, 10_000n],
  ],
]

for (const [name, parent, available, policy, [user, fee, loss], amount = 10_000n] of SHARES) {
  test(`of a charge-back ${name}`, () => {
    const shares = chargebackShares({ ...DEPOSIT, ...parent }, amount, available, returning(policy))
    assert.deepEqual(shares, { user, fee, loss })
  })
}

test('money from a dispute pays losses first, then the user, then the fees', () => {
  const paid = { user: 60n, fee: 10n, loss: 30n }
  const shares = [1n, 30n, 31n, 90n, 91n, 100n].map((amount) => disputeShares(paid, amount))
  assert.deepEqual(
    shares.map(({ loss, user, fee }) => [loss, user, fee]),
    [
      [1n, 0n, 0n],
      [30n, 0n, 0n],
      [30n, 1n, 0n],
      [30n, 60n, 0n],
      [30n, 60n, 1n],
      [30n, 60n, 10n],
    ],
  )
  assert.throws(() => disputeShares(paid, 101n), { code: 'ERR_ASSERTION' })
})

test('a payout that comes back returns its whole commission, although that is more than it', () => {
  const parent = { ...PAYOUT, amount: 2n, commission: 50n }
  const { entries, parents } = decideReturns(
    [back('payout_returned', 1n, 'a', 2n), back('payout_returned', 1n, 'b', 2n)],
    books(0n, parent),
    returning('return'),
  )
  assert.deepEqual(
    entries.map(({ user, gateway, fees }) => [user, gateway, fees]),
    [
      [26n, -1n, -25n],
      [26n, -1n, -25n],
    ],
  )
  assert.deepEqual(
    parents.map(({ returned, returnedFee }) => [returned, returnedFee]),
    [[2n, 50n]],
  )
})

test('a charge-back cancels the refunds that were provably not sent, and spends what they held', () => {
  const task = { leased: false, sent: false, pending: false }
  const part = { userId: 3n, amount: 1_000n, feeReturned: 20n }
  const openRefunds = [
    { ...part, id: 5n, task },
    { ...part, id: 6n, task: { ...task, sent: true } },
    { ...part, id: 7n, task: { ...task, leased: true } },
    { ...part, id: 8n, task: null },
  ]
  const reserved = { refundReserved: 4_000n, feeReserved: 80n, openRefunds }
  const verdict = decideReturns(
    [back('charged_back', 10_000n, 'a')],
    books(100n, { ...DEPOSIT, ...reserved }),
    returning('keep'),
  )
  const [answer] = verdict.answers
  assert.deepEqual(answer?.kind === 'booked' && answer.canceled, [5n])
  assert.deepEqual(
    verdict.entries.map(({ paymentId, kind, user, held, losses }) => [
      paymentId,
      kind,
      user,
      held,
      losses,
    ]),
    [
      [5n, 'release', 980n, -980n, 0n],
      [10n, 'settle', -1_080n, 0n, -8_920n],
    ],
  )
  const [parent] = verdict.parents
  assert.deepEqual(
    [parent?.refundReserved, parent?.feeReserved, parent?.returned],
    [3_000n, 60n, 10_000n],
  )
  assert.deepEqual(
    parent?.openRefunds.map(({ id }) => id),
    [6n, 7n, 8n],
  )
})
