import assert from 'node:assert/strict'
import { test } from 'node:test'
import { yookassa } from './yookassa-kit.ts'

const SOURCE = '185.71.76.5'
const NOTICE = {
  type: 'notification',
  event: 'payment.succeeded',
  object: {
    id: '2e5e0000-000f-5000-8000-000000000001',
    status: 'succeeded',
    metadata: { payment_id: '7', payment_key: 'k' },
  },
}

test('a notice from a network of YooKassa is a hint that names a payment, and no outcome', (t) => {
  const { readNotice } = yookassa(t, 'http://127.0.0.1:9')
  const read = (body: unknown, source = SOURCE) =>
    readNotice?.({ source, headers: {}, body: Buffer.from(JSON.stringify(body)) })
  assert.deepEqual(read(NOTICE), {
    kind: 'hint',
    operation: 'charge',
    ref: NOTICE.object.id,
    paymentId: 7n,
    event: 'payment.succeeded',
    status: 'succeeded',
    dedupeKey: `payment.succeeded:${NOTICE.object.id}`,
  })
  for (const [event, operation] of [
    ['payment.waiting_for_capture', 'charge'],
    ['refund.succeeded', 'refund'],
    ['payout.canceled', 'payout'],
  ]) {
    const seen = read({ ...NOTICE, event, object: { id: 'of-another' } })
    assert(seen?.kind === 'hint')
    assert.deepEqual([seen.operation, seen.ref, seen.paymentId], [operation, 'of-another', null])
  }
  const object = { id: 'rf-1', payment_id: NOTICE.object.id }
  const others = read({ ...NOTICE, event: 'refund.succeeded', object })
  assert(others?.kind === 'hint')
  assert.deepEqual([others.paymentId, others.parentRef], [null, NOTICE.object.id])
  assert.deepEqual(read({ ...NOTICE, event: 'deal.closed' }), {
    kind: 'ignored',
    reason: 'other_event',
  })
})

test('a notice from anywhere else is refused, and so is what is none', (t) => {
  const { readNotice } = yookassa(t, 'http://127.0.0.1:9')
  const read = (body: unknown, source: string) =>
    readNotice?.({ source, headers: {}, body: Buffer.from(JSON.stringify(body)) })
  const inside = ['77.75.153.127', '77.75.156.35', '::ffff:185.71.77.31', '2a02:5180:0:2655::1']
  for (const source of inside) assert.equal(read(NOTICE, source)?.kind, 'hint', source)
  const outside = [
    '77.75.153.128',
    '77.75.156.36',
    '185.71.76.32',
    '::ffff:127.0.0.1',
    '2a02:5180:0:2656::1',
    '127.0.0.1',
    '',
    'yookassa.ru',
    '185.71.76.5, 1.2.3.4',
  ]
  for (const source of outside) {
    assert.deepEqual(read(NOTICE, source), { kind: 'refused', reason: 'source_unknown' }, source)
  }
  const none = [
    null,
    [],
    {},
    { ...NOTICE, type: 'error' },
    { ...NOTICE, event: 'payment' },
    { ...NOTICE, event: 7 },
    { ...NOTICE, object: null },
    { ...NOTICE, object: { id: 'a/b' } },
  ]
  for (const body of none) {
    assert.deepEqual(read(body, SOURCE), { kind: 'refused', reason: 'malformed' })
  }
})
