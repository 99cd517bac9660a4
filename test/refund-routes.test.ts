import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { scopeOf } from '../src/http/scopes.ts'
import { testWorld } from './harness.ts'
import { openLetter } from './operators.ts'
import { done as paid, refunded } from './refunds-kit.ts'
import { serve, type Reply, type Served } from './serve.ts'

/** A service whose gateway does as it should, with a deposit of 100 that is done. */
async function withDeposit(t: TestContext, env: Record<string, string> = {}) {
  const service = await serve(t, { TRANSACTION_FEE: '2', ...env })
  const { call } = service
  await call('PUT', '/mock-gateway/faults', { timeout_before: 0, timeout_after: 0 })
  await call('PUT', '/mock-gateway/faults', { error_before: 0, error_after: 0 })
  const user = (await call('POST', '/users', { balance: 500 })).body['id']
  const { body } = await call('POST', '/payments/deposit', { user_id: user, deposit: 100 })
  await until(service, Number(body['payment_id']), 'success')
  return { service, user, deposit: Number(body['payment_id']) }
}

/** Ask for a payment until it has this status. */
async function until({ call }: Served, id: number, status: string) {
  for (;;) {
    const { body } = await call('GET', `/payments/${id}`)
    if (body['status'] === status) return body
    assert.notEqual(body['status'], status === 'success' ? 'failed' : 'success')
  }
}

test('a refund is asked for, carried out, shown, and refused in so many words', async (t) => {
  const { service, deposit } = await withDeposit(t)
  const { call } = service
  const path = `/payments/${deposit}/refunds`
  const reason = 'returned goods'
  const first = await call('POST', path, { amount: '40.00', reason }, { 'idempotency-key': 'k1' })
  assert.equal(first.status, 202)
  const id = Number(first.body['payment_id'])
  assert.deepEqual(first.body, {
    payment_id: id,
    user_id: 1,
    parent_id: deposit,
    status: 'processing',
    refund: 40,
  })
  assert.equal(first.headers.get('location'), `/api/v1/payments/${id}`)
  const again = await call('POST', path, { amount: 40, reason }, { 'idempotency-key': 'k1' })
  assert.equal(again.text, first.text)
  assert.equal(again.headers.get('idempotent-replayed'), 'true')

  const done = await until(service, id, 'success')
  assert.equal(done['type'], 'refund')
  assert.equal(done['parent_id'], deposit)
  const { body } = await call('GET', `/payments/${deposit}`)
  assert.deepEqual([body['status'], body['refunded'], body['returned']], ['success', 40, 0])
  const list = await call('GET', '/payments?type=refund')
  assert.deepEqual(
    (list.body['data'] as { payment_id: number }[]).map(({ payment_id }) => payment_id),
    [id],
  )
  const all = await call('GET', '/payments')
  const shown = (all.body['data'] as Record<string, unknown>[]).find(
    ({ payment_id }) => payment_id === deposit,
  )
  assert.equal(shown?.['refunded'], 40)

  const refusals: readonly (readonly [string, unknown, number, string])[] = [
    [path, { amount: 60.01, reason }, 409, 'not_refundable'],
    [`/payments/${id}/refunds`, { reason }, 409, 'not_refundable'],
    ['/payments/999999/refunds', { reason }, 404, 'payment_not_found'],
    ['/payments/x/refunds', { reason }, 404, 'payment_not_found'],
    [path, { amount: 1 }, 400, 'body_invalid'],
    [path, { amount: 1, reason: ' ' }, 400, 'body_invalid'],
    [path, { amount: 0, reason }, 422, 'amount_range'],
    [path, { amount: 1.001, reason }, 422, 'amount_precision'],
    [path, { amount: 'x', reason }, 400, 'amount_malformed'],
  ]
  for (const [at, sent, status, code] of refusals) {
    const answer = await call('POST', at, sent)
    assert.deepEqual([answer.status, answer.body['code']], [status, code], at)
  }
  const more = await call('POST', path, { amount: 60.01, reason })
  assert.equal(more.body['at_most'], 60)
  const reused = await call('POST', path, { amount: 41, reason }, { 'idempotency-key': 'k1' })
  assert.deepEqual([reused.status, reused.body['code']], [422, 'idempotency_key_reuse'])
  const bad = await call('POST', path, { reason }, { 'idempotency-key': 'a b' })
  assert.deepEqual([bad.status, bad.body['code']], [400, 'idempotency_key_invalid'])
  // Those with an amount and a key that can be read, whatever came of them.
  const metrics = await call('GET', '/metrics')
  assert.equal(metrics.body['payments_refund_requests_total'], 9)
})

test('a payment that came back is told, shown and refused in so many words', async (t) => {
  const { service, deposit } = await withDeposit(t)
  const { call } = service
  // Nothing that the sandbox made: its notice could book it first.
  const [gateway_ref, kind, amount] = ['rt_1', 'charged_back', 30]
  const path = `/payments/${deposit}/returns`
  const body = { gateway_ref, kind, amount, reason: 'on the statement' }
  const first = await call('POST', path, body)
  assert.equal(first.status, 201)
  assert.deepEqual(first.body, {
    payment_id: first.body['payment_id'],
    parent_id: deposit,
    booked: true,
    canceled: [],
  })
  const again = await call('POST', path, body)
  assert.equal(again.status, 200)
  assert.deepEqual(again.body, { ...first.body, booked: false })
  const { body: shown } = await call('GET', `/payments/${deposit}`)
  assert.deepEqual([shown['status'], shown['returned']], ['success', 30])
  const { body: own } = await call('GET', `/payments/${Number(first.body['payment_id'])}`)
  assert.deepEqual([own['type'], own['return_kind'], own['status']], ['return', kind, 'success'])

  const refusals: readonly (readonly [string, unknown, number, string])[] = [
    [path, { ...body, amount: 31 }, 409, 'return_differs'],
    [path, { ...body, gateway_ref: 'rt_9', amount: 200.01 }, 409, 'not_returnable'],
    [path, { ...body, gateway_ref: 'rt_9', kind: 'payout_returned' }, 409, 'not_returnable'],
    ['/payments/999999/returns', body, 404, 'payment_not_found'],
    [path, { ...body, amount: 0.001 }, 422, 'amount_precision'],
    [path, { ...body, kind: 'lost' }, 400, 'body_invalid'],
  ]
  for (const [at, sent, status, code] of refusals) {
    const answer = await call('POST', at, sent)
    assert.deepEqual([answer.status, answer.body['code']], [status, code], at)
  }
  const acts = await call('GET', `/payments/${deposit}/timeline`)
  const events = acts.body['events'] as Record<string, unknown>[]
  const act = events.find(({ event }) => event === 'return') ?? {}
  assert.equal(act['letter_id'], null)
  assert.equal((act['after'] as Record<string, string>)['amount'], '30.00')
})

test('a payment is canceled over HTTP, once and for all; a final one is not', async (t) => {
  const { service, user, deposit } = await withDeposit(t)
  const { call } = service
  const reason = 'by mistake'
  const final = await call('POST', `/payments/${deposit}/cancel`, { reason })
  assert.deepEqual([final.status, final.body['code']], [409, 'payment_final'])
  const none = await call('POST', '/payments/999999/cancel', { reason })
  assert.deepEqual([none.status, none.body['code']], [404, 'payment_not_found'])

  // What the gateway refuses is provably not executed, so it can be canceled between two tries.
  await call('PUT', '/mock-gateway/faults', { rate_limited: 1, retry_after_seconds: 300 })
  const made = await call('POST', '/payments/withdraw', { user_id: user, amount: 10 })
  const id = Number(made.body['payment_id'])
  for (;;) {
    const answer = await call('POST', `/payments/${id}/cancel`, { reason })
    if (answer.body['code'] === 'in_flight') continue
    assert.deepEqual(answer.body, {
      payment_id: id,
      user_id: user,
      status: 'failed',
      last_error: 'canceled',
    })
    break
  }
  const { body } = await call('GET', `/payments/${id}`)
  assert.deepEqual([body['status'], body['last_error']], ['failed', 'canceled'])
  assert.deepEqual((await call('GET', '/dlq')).body, [])
})

test('what came back is not booked under the name of what was paid, where a person types it', async (t) => {
  const { service, deposit } = await withDeposit(t)
  const { call } = service
  const { body: known } = await call('GET', `/payments/${deposit}`)
  const draft = { kind: 'charged_back', amount: 30, reason: 'on the statement' }
  const path = `/payments/${deposit}/returns`

  const refused = await call('POST', path, { ...draft, gateway_ref: known['gateway_ref'] })

  assert.deepEqual(
    [refused.status, refused.body['code'], refused.body['payment_id']],
    [409, 'gateway_ref_taken', deposit],
  )
  const { body: shown } = await call('GET', `/payments/${deposit}`)
  assert.equal(shown['returned'] ?? 0, 0)
  const own = await call('POST', path, { ...draft, gateway_ref: 'rt_own' })
  assert.equal(own.status, 201)
})

test('refunds and cancelations need the scope refund, returns and corrections operate', () => {
  const scopes = (
    [
      ['/api/v1/payments/:id/refunds', 'refund'],
      ['/api/v1/payments/:id/cancel', 'refund'],
      ['/api/v1/payments/:id/returns', 'operate'],
      ['/api/v1/dlq/:id/correct', 'operate'],
      ['/api/v1/payments/deposit', 'write'],
    ] as const
  ).map(([route, scope]) => [scopeOf(route, 'POST'), scope])
  for (const [given, wanted] of scopes) assert.equal(given, wanted)
})

for (const [refundFee, returnFee] of [
  ['return', 'keep'],
  ['keep', 'return'],
] as const) {
  test(`with REFUND_FEE=${refundFee} and RETURN_FEE=${returnFee} each gives back what it says, on every way`, async (t) => {
    const world = await testWorld(t)
    const deposit = await paid(world)
    world.gateway.script = ['declined']
    const failed = await refunded(world, deposit.id, '10')
    await world.work()
    const env = { REFUND_FEE: refundFee, RETURN_FEE: returnFee }
    const roles = { api: true, worker: false, mockGateway: false }
    const { call } = await serve(t, env, { database: world.url, roles })
    const feeOf = async ({ body }: Reply, field = 'payment_id') =>
      (await call('GET', `/payments/${String(body[field])}`)).body['fee_returned']
    const reason = 'seen'

    const refund = await call('POST', `/payments/${deposit.id}/refunds`, { amount: 50, reason })
    assert.equal(await feeOf(refund), refundFee === 'return' ? 1 : 0)
    const letterId = await openLetter(world, failed)
    const repeat = await call('POST', `/dlq/${letterId}/redrive`, { reason })
    assert.equal(await feeOf(repeat, 'new_payment_id'), refundFee === 'return' ? 0.2 : 0)
    world.gateway.script = ['success']
    const other = await paid(world)
    const back = { kind: 'charged_back', amount: 50, gateway_ref: 'rt_1', reason }
    const returned = await call('POST', `/payments/${other.id}/returns`, back)
    assert.equal(await feeOf(returned), returnFee === 'return' ? 1 : 0)
  })
}
