import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executed, NO_MOVE, refundShare, undone } from '../src/domain/ends.ts'
import type { BookedType } from '../src/domain/payment.ts'

const payment = (type: BookedType) =>
  ({ id: 9n, userId: 3n, type, amount: 1_000n, commission: 20n }) as const
const SHARE = { parentId: 4n, feeReturned: 15n }

/** An entry as far as it is not nothing. */
function legsOf(entry: object | undefined): object {
  const given = Object.entries(entry ?? {}).filter(([, value]) => value !== 0n)
  return Object.fromEntries(given)
}

test('what a payment books when the gateway executed it, and what that changes on its deposit', () => {
  const about = { userId: 3n, paymentId: 9n, kind: 'settle' }
  const table = [
    ['deposit', null, { user: 980n, gateway: -1_000n, fees: 20n }, []],
    ['withdraw', null, { held: -1_020n, gateway: 1_000n, fees: 20n }, []],
    [
      'refund',
      SHARE,
      { held: -985n, gateway: 1_000n, fees: -15n },
      [{ ...NO_MOVE, parentId: 4n, refunded: 1_000n }],
    ],
  ] as const
  for (const [type, share, legs, moves] of table) {
    const end = executed(payment(type), share)
    assert.deepEqual(end.entries.map(legsOf), [{ ...about, ...legs }], type)
    assert.deepEqual(end.moves, moves, type)
  }
})

test('what a payment gives back when it was not executed: its hold, and what it took of its deposit', () => {
  const about = { userId: 3n, paymentId: 9n, kind: 'release' }
  const taken = { parentId: 4n, refundReserved: -1_000n, feeReserved: -15n }
  const table = [
    ['deposit', null, [], []],
    ['withdraw', null, [{ user: 1_020n, held: -1_020n }], []],
    ['refund', SHARE, [{ user: 985n, held: -985n }], [{ ...NO_MOVE, ...taken }]],
  ] as const
  for (const [type, share, entries, moves] of table) {
    const end = undone(payment(type), share)
    assert.deepEqual(
      end.entries.map(legsOf),
      entries.map((legs) => ({ ...about, ...legs })),
      type,
    )
    assert.deepEqual(end.moves, moves, type)
  }
})

test('a refund without a parent, and a return that has yet to end, are bugs', () => {
  for (const end of [executed, undone]) {
    assert.throws(() => end(payment('refund'), null), /a refund has a parent/)
    assert.throws(() => end(payment('return'), SHARE), /final from the start/)
  }
  assert.throws(() => refundShare({ type: 'refund', parentId: null, feeReturned: 1n }), /parent/)
})

test('only refunds have a share of another payment, and one of which no commission goes back has 0', () => {
  const share = (type: BookedType) => refundShare({ type, parentId: 4n, feeReturned: 15n })
  assert.deepEqual([share('deposit'), share('withdraw'), share('return')], [null, null, null])
  assert.deepEqual(share('refund'), SHARE)
  const none = refundShare({ type: 'refund', parentId: 4n, feeReturned: null })
  assert.deepEqual(none, { parentId: 4n, feeReturned: 0n })
})
