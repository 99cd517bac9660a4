import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ACCOUNT_NAMES, correctionEntry, type Entry } from '../src/domain/ledger.ts'
import { decideReturns, type ReturnDraft, type ReturnParent } from '../src/domain/returns.ts'

const NOTHING_BACK = {
  refundReserved: 0n,
  feeReserved: 0n,
  returned: 0n,
  returnedFee: 0n,
  refunded: 0n,
  paid: { user: 0n, fee: 0n, loss: 0n },
  refundedThere: 0n,
  openRefunds: [],
}

/** A withdrawal that was corrected: its user had `available`, and the rest is a loss. */
function corrected(amount: bigint, commission: bigint, available: bigint) {
  const about = { id: 1n, userId: 3n, type: 'withdraw', amount, commission } as const
  const entry = correctionEntry(about, available)
  const stored = { status: 'failed', corrected: true, exponent: 0, gateway: 'http' } as const
  const parent: ReturnParent = { ...about, ...stored, ...NOTHING_BACK, lost: -entry.losses }
  return { entry, parent }
}

/** Book what came back, all at once or one after the other, and tell what was posted. */
function book(parent: ReturnParent, policy: 'keep' | 'return', parts: readonly bigint[]) {
  const policies = { refundFee: 'keep', returnFee: policy } as const
  const drafts = parts.map((amount, index): ReturnDraft => {
    return { parentId: 1n, ref: `r${index}`, kind: 'payout_returned', amount }
  })
  const books = {
    available: new Map([[3n, 0n]]),
    earlier: new Map(),
    refunds: new Set<string>(),
    unnamed: [],
    named: new Map(),
    ids: drafts.map((_, index) => BigInt(index + 10)),
  }
  const at = (own: ReturnParent) => ({ ...books, parents: new Map([[1n, own]]) })
  const together = decideReturns(drafts, at(parent), policies).entries
  const entries: Entry[] = []
  let state = parent
  for (const draft of drafts) {
    const verdict = decideReturns([draft], at(state), policies)
    state = verdict.parents[0] ?? state
    entries.push(...verdict.entries)
  }
  const legs = (all: readonly Entry[]) => all.map((one) => ACCOUNT_NAMES.map((name) => one[name]))
  assert.deepEqual(legs(entries), legs(together), 'a batch is decided as one by one')
  return entries
}

/** What a payout came to, what its user had, and in which parts all of it comes back. */
const HISTORIES = fc
  .record({
    amount: fc.bigInt({ min: 1n, max: 1_000n }),
    commission: fc.bigInt({ min: 0n, max: 300n }),
    available: fc.bigInt({ min: 0n, max: 1_500n }),
    cuts: fc.array(fc.integer({ min: 1, max: 1_000 }), { maxLength: 6 }),
    policy: fc.constantFrom('keep' as const, 'return' as const),
  })
  .map(({ cuts, ...history }) => {
    const parts: bigint[] = []
    let left = history.amount
    for (const cut of cuts) {
      const part = (left * BigInt(cut)) / 1_000n
      if (part > 0n) parts.push(part)
      left -= part
    }
    return { ...history, parts: left > 0n ? [...parts, left] : parts }
  })

test('a payout corrected at a loss that comes back pays the loss first and then its user, in whatever parts', () => {
  fc.assert(
    fc.property(HISTORIES, ({ amount, commission, available, parts, policy }) => {
      const { entry, parent } = corrected(amount, commission, available)
      const entries = book(parent, policy, parts)
      assert.equal(entries.length, parts.length)
      let [user, losses, back] = [entry.user, entry.losses, 0n]
      entries.forEach((one, index) => {
        user += one.user
        losses += one.losses
        back += (parts[index] ?? 0n) - one.fees
        assert.ok(one.user >= 0n && one.losses >= 0n, 'nobody pays for what comes back')
        assert.ok(losses <= 0n, 'nobody earns from losses')
        assert.ok(losses === 0n || one.user === 0n, 'no user gets what is ours to lose')
      })
      const lost = -entry.losses
      assert.equal(losses, back < lost ? back - lost : 0n)
      assert.equal(user - entry.user, back < lost ? 0n : back - lost)
      // With the commission that goes back everything is as it was before.
      if (policy === 'return') assert.deepEqual([user, losses], [0n, 0n])
    }),
    { seed: 11, numRuns: 5_000 },
  )
})
