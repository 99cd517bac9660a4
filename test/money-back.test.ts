import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FeePolicy } from '../src/domain/fee.ts'
import {
  ACCOUNT_NAMES,
  refundReleaseEntry,
  refundSettleEntry,
  settleEntry,
  type Entry,
} from '../src/domain/ledger.ts'
import {
  decideRefunds,
  refundable,
  type RefundDraft,
  type RefundPayment,
} from '../src/domain/refund.ts'
import {
  decideReturns,
  returnable,
  type OpenRefund,
  type ReturnDraft,
  type SaidKind,
  type ReturnParent,
} from '../src/domain/returns.ts'

/** The one deposit of the one user of a history. */
const PARENT = {
  corrected: false,
  id: 1n,
  userId: 3n,
  type: 'deposit',
  status: 'success',
  exponent: 0,
  gateway: 'http',
} as const

/** A step of a history; parts are in thousandths of what there is at that moment. */
type Step =
  | { readonly do: 'refund'; readonly part: number | null }
  | { readonly do: 'send' | 'settle' | 'release'; readonly which: number }
  | { readonly do: 'return'; readonly kind: SaidKind; readonly part: number }
  | { readonly do: 'spend'; readonly part: number }

// Single minor units and small deposits as often as any: there every rounding shows.
const part = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1_000 }))
const which = fc.nat({ max: 9 })
const refunds: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('refund' as const),
  part: fc.option(part, { nil: null, freq: 4 }),
})
const ends: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('send' as const, 'settle' as const, 'release' as const),
  which,
})
const returned: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('return' as const),
  kind: fc.constantFrom<SaidKind>('charged_back', 'refunded_there', 'dispute_won'),
  part,
})
const spends: fc.Arbitrary<Step> = fc.record({ do: fc.constant('spend' as const), part })

const policies = fc.constantFrom<FeePolicy>('keep', 'return')
const deposits = fc
  .bigInt({ min: 1n, max: 1_000n })
  .chain((amount) =>
    fc.record({ amount: fc.constant(amount), commission: fc.bigInt({ min: 0n, max: amount }) }),
  )

/** What no earlier refund or return has left. */
const NOTHING = {
  earlier: new Map(),
  refunds: new Set<string>(),
  unnamed: [],
  refundsAt: () => true,
}

/** What a history has come to: the books as somebody who only adds up entries sees them. */
function history(deposit: { amount: bigint; commission: bigint }, given: Policies) {
  const entries: Entry[] = [settleEntry({ ...PARENT, ...deposit })]
  const none = { refundReserved: 0n, feeReserved: 0n, returned: 0n, returnedFee: 0n, refunded: 0n }
  const paid = { user: 0n, fee: 0n, loss: 0n }
  let parent: ReturnParent = { ...PARENT, ...deposit, ...none, paid, openRefunds: [] }
  let ids = 10n
  const sum = (account: keyof Entry & string) =>
    entries.reduce((all, entry) => all + BigInt(entry[account as 'user']), 0n)
  const next = () => [(ids += 1n)]

  const refund = (amount: bigint | null): RefundPayment | null => {
    const decimal = amount === null ? null : { unscaled: amount, scale: 0 }
    const draft: RefundDraft = {
      parentId: 1n,
      amount: decimal,
      idempotencyKey: null,
      reason: 'r',
      sent: {},
    }
    const parents = new Map([[1n, parent]])
    const available = new Map([[3n, sum('user')]])
    const books = { parents, available, ...NOTHING, ids: next() }
    const { payments, holds, reserved } = decideRefunds([draft], books, given.refunds)
    entries.push(...holds)
    for (const each of reserved) reserve(each.amount, each.fee)
    const task = { leased: false, sent: false, pending: false }
    const open = payments.map((payment): OpenRefund => ({ ...payment, task }))
    parent = { ...parent, openRefunds: [...parent.openRefunds, ...open] }
    return payments[0] ?? null
  }
  const reserve = (amount: bigint, fee: bigint) => {
    const refundReserved = parent.refundReserved + amount
    parent = { ...parent, refundReserved, feeReserved: parent.feeReserved + fee }
  }
  const without = (one: OpenRefund) => parent.openRefunds.filter((other) => other !== one)
  const end = (how: 'send' | 'settle' | 'release', index: number) => {
    const open = parent.openRefunds[index % Math.max(1, parent.openRefunds.length)]
    if (open === undefined) return
    if (how === 'send') {
      const sent = { ...open, task: { leased: false, sent: true, pending: false } }
      parent = { ...parent, openRefunds: [...without(open), sent] }
      return
    }
    parent = { ...parent, openRefunds: without(open) }
    entries.push(how === 'settle' ? refundSettleEntry(open) : refundReleaseEntry(open))
    if (how === 'settle') parent = { ...parent, refunded: parent.refunded + open.amount }
    else reserve(-open.amount, -open.feeReturned)
  }
  const comeBack = (draft: ReturnDraft) => {
    const parents = new Map([[1n, parent]])
    const available = new Map([[3n, sum('user')]])
    const books = { parents, available, ...NOTHING, ids: next() }
    const verdict = decideReturns([draft], books, given.returns)
    entries.push(...verdict.entries)
    parent = verdict.parents[0] ?? parent
  }
  const spend = (amount: bigint) => {
    // A withdrawal without a commission, all at once.
    const moved = { user: -amount, gateway: amount }
    const first = entries[0]
    if (first !== undefined) entries.push({ ...zero(first), ...moved })
  }
  const state = () => parent
  return { entries, sum, refund, end, comeBack, spend, state }
}

interface Policies {
  readonly refunds: FeePolicy
  readonly returns: FeePolicy
}

function zero(entry: Entry): Entry {
  return { ...entry, user: 0n, held: 0n, gateway: 0n, fees: 0n, opening: 0n, losses: 0n }
}

const of = (whole: bigint, thousandths: number) => (whole * BigInt(thousandths) + 999n) / 1_000n

function take(books: ReturnType<typeof history>, step: Step, index: number): void {
  const parent = books.state()
  if (step.do === 'refund') {
    books.refund(step.part === null ? null : of(parent.amount, step.part))
  } else if (step.do === 'return') {
    const amount = of(returnable(parent, step.kind), step.part)
    if (amount > 0n) books.comeBack({ parentId: 1n, ref: `r${index}`, kind: step.kind, amount })
  } else if (step.do === 'spend') books.spend(of(books.sum('user'), step.part))
  else books.end(step.do, step.which)
}

function check(books: ReturnType<typeof history>): void {
  const parent = books.state()
  for (const entry of books.entries) {
    assert.equal(
      ACCOUNT_NAMES.reduce((sum, account) => sum + entry[account], 0n),
      0n,
    )
  }
  assert.ok(books.sum('user') >= 0n, 'a balance is never below zero')
  assert.ok(books.sum('losses') <= 0n, 'nobody earns from losses')
  assert.ok(books.sum('fees') >= 0n, 'no more of a commission is returned than was earned')
  assert.ok(books.sum('fees') <= parent.commission, 'no commission is earned twice')
  const open = parent.openRefunds
  const cost = open.reduce((sum, one) => sum + one.amount - one.feeReturned, 0n)
  assert.equal(books.sum('held'), cost, 'what is held is the cost of the open refunds')
  const openFee = open.reduce((sum, one) => sum + one.feeReturned, 0n)
  const { commission, feeReserved, returnedFee } = parent
  assert.equal(books.sum('fees'), commission - (feeReserved - openFee) - returnedFee)
  assert.ok(feeReserved + returnedFee <= commission, 'fees of the parent')
  const { amount, refundReserved, refunded, returned: back } = parent
  assert.ok(0n <= refunded && refunded <= refundReserved && refundReserved <= amount, 'refunds')
  assert.ok(0n <= back && back <= amount, 'returns')
  // What open refunds hold is paid as soon as they succeed.
  const paid = refundReserved - feeReserved + parent.paid.user
  assert.ok(paid <= amount, 'no user pays twice for one deposit')
  assert.ok(back === 0n || parent.paid.fee === returnedFee, 'who paid for returns')
}

test('whatever comes back, in whatever order, nobody has less than nothing and all is accounted for', () => {
  const steps = fc.array(fc.oneof(refunds, ends, returned, spends), { maxLength: 25 })
  fc.assert(
    fc.property(deposits, policies, policies, steps, (deposit, ...drawn) => {
      const [ofRefunds, ofReturns, list] = drawn
      const books = history(deposit, { refunds: ofRefunds, returns: ofReturns })
      // The user has more than the deposit, and so could pay for it twice.
      books.spend(-deposit.amount)
      check(books)
      list.forEach((step, index) => {
        take(books, step, index)
        check(books)
      })
    }),
    { seed: 7, numRuns: 5_000 },
  )
})

test('refunding everything returns the whole commission, after whatever refunds failed before', () => {
  const steps = fc.array(fc.oneof(refunds, ends), { maxLength: 25 })
  fc.assert(
    fc.property(deposits, steps, (deposit, list) => {
      const books = history(deposit, { refunds: 'return', returns: 'keep' })
      list.forEach((step, index) => take(books, step, index))
      const left = refundable(books.state())
      const last = books.refund(null)
      assert.equal(last?.amount ?? 0n, left)
      for (let open = books.state().openRefunds.length; open > 0; open -= 1) books.end('settle', 0)
      assert.equal(books.state().refunded, deposit.amount)
      const moved = ['user', 'held', 'gateway', 'fees', 'losses'] as const
      assert.deepEqual(
        moved.map((account) => books.sum(account)),
        [0n, 0n, 0n, 0n, 0n],
      )
    }),
    { seed: 8, numRuns: 5_000 },
  )
})

test('what a refund returns of the commission is at most the refund, and nothing when fees are kept', () => {
  const steps = fc.array(fc.oneof(refunds, ends), { maxLength: 25 })
  fc.assert(
    fc.property(deposits, policies, steps, (deposit, policy, list) => {
      const books = history(deposit, { refunds: policy, returns: 'keep' })
      list.forEach((step, index) => {
        take(books, step, index)
        for (const { amount, feeReturned } of books.state().openRefunds) {
          assert.ok(feeReturned >= 0n && feeReturned <= amount, 'at most the refund')
          assert.ok(policy === 'return' || feeReturned === 0n, 'kept')
        }
      })
    }),
    { seed: 9, numRuns: 2_000 },
  )
})

test('a charge-back that comes back whole leaves the books as they were', () => {
  const steps = fc.array(fc.oneof(refunds, ends, spends), { maxLength: 12 })
  fc.assert(
    fc.property(deposits, policies, steps, part, (deposit, policy, list, share) => {
      const books = history(deposit, { refunds: 'return', returns: policy })
      list.forEach((step, index) => take(books, step, index))
      // What was never sent is canceled and stays so: only what is open at the gateway is left.
      for (let open = books.state().openRefunds.length; open > 0; open -= 1) books.end('send', 0)
      const before = ACCOUNT_NAMES.map((account) => books.sum(account))
      const amount = of(deposit.amount, share)
      books.comeBack({ parentId: 1n, ref: 'lost', kind: 'charged_back', amount })
      const half = amount / 2n
      if (half > 0n)
        books.comeBack({ parentId: 1n, ref: 'half', kind: 'dispute_won', amount: half })
      books.comeBack({ parentId: 1n, ref: 'won', kind: 'dispute_won', amount: amount - half })
      assert.deepEqual(
        ACCOUNT_NAMES.map((account) => books.sum(account)),
        before,
      )
      assert.equal(books.state().returned, 0n)
    }),
    { seed: 10, numRuns: 2_000 },
  )
})

test('a batch of refunds is decided as the same refunds are one by one', () => {
  const asked = fc.array(part, { minLength: 2, maxLength: 8 })
  fc.assert(
    fc.property(deposits, policies, asked, (deposit, policy, parts) => {
      const one = history(deposit, { refunds: policy, returns: 'keep' })
      const single = parts.map((each) => one.refund(of(deposit.amount, each))?.feeReturned)
      const all = history(deposit, { refunds: policy, returns: 'keep' })
      const drafts = parts.map((each): RefundDraft => {
        const amount = { unscaled: of(deposit.amount, each), scale: 0 }
        return { parentId: 1n, amount, idempotencyKey: null, reason: 'r', sent: {} }
      })
      const books = {
        parents: new Map([[1n, all.state()]]),
        available: new Map([[3n, all.sum('user')]]),
        earlier: new Map(),
        refundsAt: () => true,
        ids: drafts.map((_, index) => BigInt(index + 10)),
      }
      const { answers, reserved } = decideRefunds(drafts, books, policy)
      const fees = answers.map((answer) =>
        answer.kind === 'accepted' ? answer.payment.feeReturned : undefined,
      )
      assert.deepEqual(fees, single)
      const fee = reserved.reduce((sum, each) => sum + each.fee, 0n)
      assert.equal(fee, one.state().feeReserved)
    }),
    { seed: 11, numRuns: 2_000 },
  )
})

/** What happens to one of some refunds. */
type Event = { readonly nth: number; readonly how: 'open' | 'settle' | 'release' }

/** Every order in which `count` refunds are asked for, in turn, and end, each in either way. */
function orders(count: number): Event[][] {
  const go = (opened: number, open: readonly number[]): Event[][] => {
    if (opened === count && open.length === 0) return [[]]
    const all: Event[][] = []
    if (opened < count) {
      const rest = go(opened + 1, [...open, opened])
      all.push(...rest.map((events): Event[] => [{ nth: opened, how: 'open' }, ...events]))
    }
    for (const nth of open) {
      const rest = go(
        opened,
        open.filter((other) => other !== nth),
      )
      for (const how of ['settle', 'release'] as const) {
        all.push(...rest.map((events): Event[] => [{ nth, how }, ...events]))
      }
    }
    return all
  }
  return go(0, [])
}

test('in every order in which partial refunds succeed and fail, each returns at most itself, and all of them the commission', () => {
  const cases = [
    { amount: 10n, commission: 3n, parts: [5n, 4n, 1n] },
    { amount: 7n, commission: 7n, parts: [1n, 5n, 1n] },
    { amount: 1_000n, commission: 33n, parts: [1n, 998n, 1n] },
    { amount: 100n, commission: 99n, parts: [34n, 33n, 33n] },
    { amount: 10n, commission: 1n, parts: [4n, 1n, 3n, 2n] },
  ]
  let checked = 0
  for (const { amount, commission, parts } of cases) {
    for (const events of orders(parts.length)) {
      const books = history({ amount, commission }, { refunds: 'return', returns: 'keep' })
      const ids = new Map<number, bigint | undefined>()
      for (const { nth, how } of events) {
        if (how === 'open') ids.set(nth, books.refund(parts[nth] ?? 0n)?.id)
        else {
          const at = books.state().openRefunds.findIndex(({ id }) => id === ids.get(nth))
          books.end(how, at)
        }
        const fees = books.state().openRefunds.map((open) => [open.feeReturned, open.amount])
        for (const [fee = -1n, most = 0n] of fees) assert.ok(fee >= 0n && fee <= most)
        check(books)
      }
      // What failed is asked for again, part by part.
      for (const { nth, how } of events) {
        if (how !== 'release') continue
        books.refund(parts[nth] ?? 0n)
        books.end('settle', 0)
      }
      assert.equal(books.state().refunded, amount)
      assert.equal(books.sum('fees'), 0n, 'all of the commission went back')
      assert.equal(books.sum('user'), 0n)
      checked += 1
    }
  }
  assert.equal(checked, 4 * 120 + 1_680)
})
