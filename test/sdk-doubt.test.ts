import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import { keptKeys } from './sdk-scripted.ts'
import { serve } from './serve.ts'

test('under an intent that was paid, nothing is told as refused without the payment that was made', async (t) => {
  const service = await serve(t)
  const { payments, users } = connect({ url: service.url, keys: keptKeys(), attemptsMax: 1 })
  const opened = await users.create({ balance: '1000' })
  assert.ok(opened.ok)
  const user_id = opened.user.id
  const other = await payments.deposit({ user_id, deposit: '20', reference: 'taken' })
  const intent = { intent: 'order-1' }
  const made = await payments.deposit({ user_id, deposit: '10' }, intent)
  assert.ok(other.ok && made.ok)
  const again = (body: object) => payments.deposit({ user_id, deposit: '10', ...body }, intent)

  // Refused before the key is looked up: that says nothing of what was done under it.
  for (const [code, body] of [
    ['amount_precision', { deposit: '10.005' }],
    ['amount_range', { deposit: '0' }],
    ['currency_mismatch', { currency: 'EUR' }],
    ['card_number', { description: '4111 1111 1111 1111' }],
    ['body_invalid', { colour: 'blue' }],
  ] as const) {
    const error = await again(body).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof OutcomeUnknown, code)
    assert.equal(error.problem?.code, code)
  }
  // What the SDK takes for a no is decided behind the key: under a key that was used it is said
  // that the key was, whatever else is wrong.
  for (const body of [
    { deposit: '11' },
    { deposit: '0.01' },
    { gateway: 'nowhere' },
    { reference: 'taken' },
  ]) {
    const reused = await again(body)
    assert.ok(!reused.ok)
    const { code, payment_id } = reused.problem
    assert.deepEqual([code, payment_id], ['idempotency_key_reuse', made.payment.payment_id])
  }
})

test('an intent of one user is refused for another before a second payment is made', async (t) => {
  const service = await serve(t)
  const { payments, users } = connect({ url: service.url, keys: keptKeys() })
  for (const balance of ['1', '1']) assert.ok((await users.create({ balance })).ok)
  const pay = (user_id: number) =>
    payments.deposit({ user_id, deposit: '30' }, { intent: 'order-1' })
  assert.ok((await pay(1)).ok)
  await assert.rejects(pay(2), /kept for something else/)
  const made: number[] = []
  for await (const { user_id } of payments.list()) made.push(user_id)
  assert.deepEqual(made, [1])
})
