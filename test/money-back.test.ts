import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ACCOUNT_NAMES } from '../src/domain/ledger.ts'
import { decideRefunds, refundable, type RefundDraft } from '../src/domain/refund.ts'
import { type SaidKind } from '../src/domain/returns.ts'
import {
  check,
  deposits,
  ends,
  history,
  of,
  part,
  policies,
  refunds,
  returned,
  spends,
  take,
} from './money-back-kit.ts'

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
      const { answers, reserved } = decideRefunds(drafts, books, {
        refundFee: policy,
        returnFee: 'keep',
      })
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

test('who gives everything back, in parts and in whatever way, gives back all of the commission', () => {
  const kinds = fc.constantFrom('refund', 'charged_back', 'refunded_there', 'dispute_won')
  const steps = fc.array(fc.record({ kind: kinds, part }), { maxLength: 12 })
  fc.assert(
    fc.property(deposits, steps, (deposit, list) => {
      const books = history(deposit, { refunds: 'return', returns: 'return' })
      const give = (kind: string, amount: bigint, index: number) => {
        if (amount === 0n) return
        if (kind === 'refund') {
          assert.ok(books.refund(amount) !== null, 'who has spent nothing can give back all')
          books.end('settle', 0)
        } else books.comeBack({ parentId: 1n, ref: `r${index}`, kind: kind as SaidKind, amount })
      }
      const left = () =>
        books.state().amount - books.state().refundReserved - books.state().returned
      for (const [index, { kind, part: size }] of list.entries()) {
        const most = kind === 'dispute_won' ? books.state().returned : left()
        give(kind, of(most, size), index)
        check(books)
      }
      const last = list.at(-1)?.kind === 'charged_back' ? 'charged_back' : 'refund'
      give(last, left(), list.length)
      const { commission, feeReserved, returnedFee } = books.state()
      assert.equal(feeReserved + returnedFee, commission)
      const sums = [books.sum('user'), books.sum('fees'), books.sum('losses')]
      assert.deepEqual(sums, [0n, 0n, 0n])
    }),
    { seed: 29, numRuns: 2_000 },
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
