import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { FeePolicies, FeePolicy } from '../src/domain/fee.ts'
import {
  ACCOUNT_NAMES,
  refundReleaseEntry,
  refundSettleEntry,
  settleEntry,
  type Entry,
} from '../src/domain/ledger.ts'
import { decideRefunds, type RefundDraft, type RefundPayment } from '../src/domain/refund.ts'
import {
  decideReturns,
  returnable,
  type OpenRefund,
  type ReturnDraft,
  type SaidKind,
  type ReturnParent,
} from '../src/domain/returns.ts'

const PARENT = {
  corrected: false,
  lost: 0n,
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
export const part = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1_000 }))
const which = fc.nat({ max: 9 })
export const refunds: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('refund' as const),
  part: fc.option(part, { nil: null, freq: 4 }),
})
export const ends: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('send' as const, 'settle' as const, 'release' as const),
  which,
})
export const returned: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('return' as const),
  kind: fc.constantFrom<SaidKind>('charged_back', 'refunded_there', 'dispute_won'),
  part,
})
export const spends: fc.Arbitrary<Step> = fc.record({ do: fc.constant('spend' as const), part })

export const policies = fc.constantFrom<FeePolicy>('keep', 'return')
export const deposits = fc
  .bigInt({ min: 1n, max: 1_000n })
  .chain((amount) =>
    fc.record({ amount: fc.constant(amount), commission: fc.bigInt({ min: 0n, max: amount }) }),
  )

/** What no earlier refund or return has left. */
const NOTHING = {
  earlier: new Map(),
  refunds: new Set<string>(),
  unnamed: [],
  named: new Map(),
  refundsAt: () => true,
}

/** What a history has come to: the books as somebody who only adds up entries sees them. */
export function history(deposit: { amount: bigint; commission: bigint }, given: Policies) {
  const entries: Entry[] = [settleEntry({ ...PARENT, ...deposit })]
  const none = { refundReserved: 0n, feeReserved: 0n, returned: 0n, returnedFee: 0n, refunded: 0n }
  const paid = { user: 0n, fee: 0n, loss: 0n }
  const fresh = { ...none, paid, refundedThere: 0n, openRefunds: [] }
  let parent: ReturnParent = { ...PARENT, ...deposit, ...fresh }
  let chargedBack = 0n
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
    const { payments, holds, reserved } = decideRefunds([draft], books, policiesOf(given))
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
    const verdict = decideReturns([draft], books, policiesOf(given))
    entries.push(...verdict.entries)
    parent = verdict.parents[0] ?? parent
    const [booked] = verdict.payments
    if (booked?.kind === 'charged_back') chargedBack += booked.amount
  }
  const spend = (amount: bigint) => {
    // A withdrawal without a commission, all at once.
    const moved = { user: -amount, gateway: amount }
    const first = entries[0]
    if (first !== undefined) entries.push({ ...zero(first), ...moved })
  }
  const state = () => parent
  return { entries, sum, refund, end, comeBack, spend, state, chargedBack: () => chargedBack }
}

interface Policies {
  readonly refunds: FeePolicy
  readonly returns: FeePolicy
}

function policiesOf({ refunds: refundFee, returns: returnFee }: Policies): FeePolicies {
  return { refundFee, returnFee }
}

function zero(entry: Entry): Entry {
  return { ...entry, user: 0n, held: 0n, gateway: 0n, fees: 0n, opening: 0n, losses: 0n }
}

export const of = (whole: bigint, thousandths: number) =>
  (whole * BigInt(thousandths) + 999n) / 1_000n

export function take(books: ReturnType<typeof history>, step: Step, index: number): void {
  const parent = books.state()
  if (step.do === 'refund') {
    books.refund(step.part === null ? null : of(parent.amount, step.part))
  } else if (step.do === 'return') {
    const amount = of(returnable(parent, step.kind), step.part)
    if (amount > 0n) books.comeBack({ parentId: 1n, ref: `r${index}`, kind: step.kind, amount })
  } else if (step.do === 'spend') books.spend(of(books.sum('user'), step.part))
  else books.end(step.do, step.which)
}

export function check(books: ReturnType<typeof history>): void {
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
  assert.ok(0n <= back && back <= amount + books.chargedBack(), 'returns')
  // What open refunds hold is paid as soon as they succeed.
  const paid = refundReserved - feeReserved + parent.paid.user
  assert.ok(paid <= amount, 'no user pays twice for one deposit')
  assert.ok(back === 0n || parent.paid.fee === returnedFee, 'who paid for returns')
}
