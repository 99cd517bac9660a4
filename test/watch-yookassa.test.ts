import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { httpClient } from '../src/gateways/http-exchange.ts'
import { refundedThere } from '../src/gateways/yookassa-list.ts'
import { manualClock } from './harness.ts'
import { http, peer } from './misbehaving-peer.ts'

const MONEY = { exponent: 2, currency: 'RUB' } as const
const REFUND = {
  id: 'ref-1',
  payment_id: 'pay-1',
  status: 'succeeded',
  amount: { value: '2.00', currency: 'RUB' },
  created_at: '2026-11-26T00:00:00.000Z',
}

/** What YooKassa tells that it refunded of the payment `pay-1`. */
async function told(t: TestContext, ...items: readonly object[]) {
  const page = JSON.stringify({ type: 'list', items })
  const { url } = await peer(t, (socket) => void socket.end(http(200, page)))
  const { origin } = new URL(url)
  const client = httpClient({ origin, timeoutMs: 10_000, connections: 1, keepAlive: false })
  t.after(() => client.close())
  const listing = { client, root: '', headers: [], clock: manualClock() }
  return refundedThere(listing, MONEY, 'pay-1', { untilMs: 10_000 })
}

const TOLD = {
  ref: 'ref-1',
  amount: 200n,
  kind: 'refunded_there',
  at: new Date('2026-11-26'),
  besidesRefund: true,
}

test('a refund at YooKassa without our metadata is none of ours', async (t) => {
  const metadata = { payment_id: '7', payment_key: 'key_1' }
  const ours = { ...REFUND, id: 'ref-2', metadata }
  const open = { ...REFUND, id: 'ref-3', status: 'pending' }
  const named = { paymentId: 7n, key: 'key_1' }
  const refunds = [{ ref: 'ref-2', ours: named, made: true, back: { ...TOLD, ref: 'ref-2' } }]
  assert.deepEqual(await told(t, ours, open, REFUND), { returns: [TOLD], refunds })
})

test('a refund that YooKassa canceled was not made, and takes back what was booked of it', async (t) => {
  const metadata = { payment_id: '7', payment_key: 'key_1' }
  const canceled = { ...REFUND, status: 'canceled' }
  const undone = (ref: string) => {
    const { amount, at } = TOLD
    return { ref: `${ref}:failed`, amount, at, kind: 'dispute_won', undoes: ref }
  }
  const ours = { paymentId: 7n, key: 'key_1' }
  assert.deepEqual(await told(t, { ...canceled, id: 'ref-2', metadata }, canceled), {
    returns: [undone('ref-1')],
    refunds: [{ ref: 'ref-2', ours, made: false, back: undone('ref-2') }],
  })
  // Of one that was not made there is nothing to book, so nobody needs to read it.
  assert.deepEqual(await told(t, { ...canceled, amount: null }), { returns: [] })
})

test('a refund at YooKassa that cannot be booked as told is told by its name', async (t) => {
  for (const [change, ref, code] of [
    [{ amount: { value: '2.00', currency: 'EUR' } }, 'x', 'currency_differs'],
    [{ amount: { value: '2.001', currency: 'RUB' } }, 'x', 'amount_unreadable'],
    [{ amount: { value: '0.00', currency: 'RUB' } }, 'x', 'amount_unreadable'],
    [{ amount: null }, 'x', 'currency_differs'],
    [{ id: '../x' }, null, 'ref_unreadable'],
  ] as const) {
    const seen = await told(t, { ...REFUND, id: 'x', ...change }, REFUND)
    assert.deepEqual(seen, { returns: [TOLD], unread: [{ ref, code }] })
  }
})

test('a list of YooKassa with a refund of another payment is not believed', async (t) => {
  const nobody = { ...REFUND, payment_id: undefined }
  for (const other of [{ ...REFUND, payment_id: 'pay-2' }, nobody]) {
    assert.equal(await told(t, REFUND, other), 'reply_mismatch')
  }
})
