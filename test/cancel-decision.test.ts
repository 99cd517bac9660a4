import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANCELED, decideCancel, type Cancelable } from '../src/domain/cancel.ts'
import type { StoredStatus } from '../src/domain/payment.ts'

const OPEN: Cancelable = {
  id: 5n,
  userId: 3n,
  type: 'withdraw',
  status: 'new',
  amount: 100n,
  commission: 2n,
  feeReturned: 0n,
  parentId: null,
  lastError: null,
}
const WAITS = { leased: false, sent: false, pending: false }

test('a payment that was never sent is canceled, and its hold is given back', () => {
  const withdrawal = decideCancel(OPEN, WAITS, false)
  assert.ok(withdrawal.kind === 'cancel', 'canceled')
  assert.deepEqual(
    withdrawal.entries.map(({ kind, user, held }) => [kind, user, held]),
    [['release', 102n, -102n]],
  )
  const deposit = decideCancel({ ...OPEN, type: 'deposit' }, WAITS, false)
  assert.deepEqual(deposit, { kind: 'cancel', entries: [], unreserved: null })
})

test('a refund that is canceled gives back its hold, and what it reserved of its parent', () => {
  const parts = { commission: 0n, feeReturned: 2n, parentId: 1n }
  const decision = decideCancel({ ...OPEN, ...parts, type: 'refund' }, WAITS, false)
  assert.ok(decision.kind === 'cancel', 'canceled')
  assert.deepEqual(decision.unreserved, { parentId: 1n, amount: -100n, fee: -2n })
  assert.deepEqual(
    decision.entries.map(({ user, held }) => [user, held]),
    [[98n, -98n]],
  )
})

test('what is being sent or may have been sent is never canceled here', () => {
  const tasks = [true, false].flatMap((leased) =>
    [true, false].flatMap((sent) => [true, false].map((pending) => ({ leased, sent, pending }))),
  )
  for (const asks of [true, false]) {
    for (const task of [...tasks, null]) {
      const { kind } = decideCancel(OPEN, task, asks)
      const never = task !== null && !task.leased && !task.sent
      const ask = asks && task !== null && !task.leased && task.sent && task.pending
      assert.equal(kind, never ? 'cancel' : ask ? 'ask' : 'refused', JSON.stringify(task))
    }
  }
})

test('a final payment is not canceled; one that was canceled is answered as the first time', () => {
  const final = (status: StoredStatus, lastError: string | null) =>
    decideCancel({ ...OPEN, status, lastError }, null, true)
  assert.deepEqual(final('failed', CANCELED), { kind: 'canceled' })
  for (const ended of [final('failed', 'rejected'), final('success', null)]) {
    assert.deepEqual(ended, { kind: 'refused', refusal: { code: 'payment_final' } })
  }
})
