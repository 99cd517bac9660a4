import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { testWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { done, refund, refunded, refundOf } from './refunds-kit.ts'
import { serve } from './serve.ts'

const reason = 'returned goods'

test('a refund has a reference and metadata as any payment, and repeats are compared with them', async (t) => {
  const { call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', { timeout_before: 0, timeout_after: 0 })
  await call('PUT', '/mock-gateway/faults', { error_before: 0, error_after: 0 })
  await call('POST', '/users', { balance: 500 })
  const sale = { user_id: 1, deposit: 100, reference: 'order-1' }
  const { body: deposit } = await call('POST', '/payments/deposit', sale)
  const id = Number(deposit['payment_id'])
  await call('GET', `/payments/${id}?wait=20`)
  const path = `/payments/${id}/refunds`
  const key = { 'idempotency-key': 'k1' }
  const body = { amount: 40, reason, reference: 'return-1', metadata: { shop: 'berlin' } }

  const first = await call('POST', path, body, key)
  assert.equal(first.status, 202)
  const again = await call('POST', path, { ...body, metadata: { shop: 'berlin' } }, key)
  assert.equal(again.text, first.text)
  const { body: shown } = await call('GET', `/payments/${Number(first.body['payment_id'])}`)
  assert.deepEqual(
    [shown['reference'], shown['description'], shown['metadata']],
    ['return-1', reason, { shop: 'berlin' }],
  )
  const { body: list } = await call('GET', '/payments?reference=return-1')
  assert.equal((list['data'] as unknown[]).length, 1)

  const refusals: readonly (readonly [unknown, object, number, string, string])[] = [
    [{ ...body, metadata: {} }, key, 422, 'idempotency_key_reuse', '/metadata'],
    [{ ...body, reference: 'return-2' }, key, 422, 'idempotency_key_reuse', '/reference'],
    [{ ...body, amount: 1 }, {}, 409, 'reference_taken', '/reference'],
    [{ amount: 1, reason, reference: 'order-1' }, {}, 409, 'reference_taken', '/reference'],
    [{ amount: 1, reason, reference: 'a b' }, {}, 400, 'body_invalid', '/reference'],
    [{ amount: 1, reason, metadata: { a: 1 } }, {}, 400, 'body_invalid', '/metadata/a'],
    [
      { amount: 1, reason, metadata: { a: '4111 1111 1111 1111' } },
      {},
      422,
      'card_number',
      '/metadata/a',
    ],
    [{ amount: 1, reason, return_url: 'https://shop.example' }, {}, 400, 'body_invalid', ''],
  ]
  for (const [sent, headers, status, code, pointer] of refusals) {
    const answer = await call('POST', path, sent, headers as Record<string, string>)
    assert.deepEqual([answer.status, answer.body['code']], [status, code], JSON.stringify(sent))
    const [error] = answer.body['errors'] as { pointer: string }[]
    if (pointer !== '') assert.equal(error?.pointer, pointer)
  }
})

test('one reference is given once within a batch of refunds, and a refused one takes none', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world, 'deposit', 0n)
  const named = (amount: string, key: string | null) => {
    return { ...refundOf(id, amount, key), reference: 'return-1' }
  }
  const answers = await refund(world.db, [
    named('200.00', null),
    named('10.00', null),
    named('10.00', null),
  ])
  assert.deepEqual(
    answers.map((answer) => (answer.kind === 'accepted' ? 'accepted' : answer.refusal.code)),
    ['not_refundable', 'accepted', 'reference_taken'],
  )
})

test('a refund that failed leaves its reference, and its redrive takes it again', async (t) => {
  const world = await testWorld(t, { script: ['success', 'declined', 'success', 'declined'] })
  const { id } = await done(world)
  const named = { ...refundOf(id, '10.00'), reference: 'return-1' }
  const [first] = await refund(world.db, [named])
  assert(first?.kind === 'accepted')
  await world.work()
  assert.equal((await world.view(first.payment.id)).payment.status, 'failed')

  const letterId = await openLetter(world, first.payment.id)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert(answer?.kind === 'redriven')
  const redriven = answer.newPaymentId
  const [second] = await refund(world.db, [named])
  assert(second?.kind === 'refused' && second.refusal.code === 'reference_taken')
  assert.equal(second.refusal.paymentId, redriven)
  assert.notEqual(await refunded(world, id, '5.00'), redriven)
})
