import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve, type Served } from './serve.ts'

interface Result {
  readonly status: number
  readonly replayed: boolean
  readonly payment?: { readonly payment_id: number; readonly amount: number }
  readonly problem?: { readonly code: string; readonly errors?: { readonly pointer: string }[] }
}

const API_ONLY = { roles: { api: true, worker: false, mockGateway: false } }

async function send(service: Served, payments: unknown[]): Promise<Result[]> {
  const reply = await service.call('POST', '/payments/batch', { payments })
  assert.equal(reply.status, 202, reply.text)
  return reply.body['results'] as Result[]
}

test('each payment of a batch has its own answer, in order, and harms no neighbour', async (t) => {
  const service = await serve(t, {}, API_ONLY)
  await service.call('POST', '/users', { balance: 1000 })
  const results = await send(service, [
    { type: 'deposit', user_id: 1, amount: 200, idempotency_key: 'one' },
    { type: 'withdraw', user_id: 1, amount: '50.00' },
    { type: 'withdraw', user_id: 1, amount: 5000 },
    { type: 'withdraw', user_id: 1, amount: 0.001 },
    { type: 'withdraw', user_id: 7, amount: 1 },
    { type: 'deposit', user_id: 1, amount: 1, idempotency_key: 'a b' },
    { type: 'deposit', user_id: 1, amount: 200, idempotency_key: 'one' },
    { type: 'deposit', user_id: 1, amount: 201, idempotency_key: 'one' },
    { type: 'withdraw', user_id: 1, amount: 930, idempotency_key: 'big' },
  ])
  assert.deepEqual(
    results.map(({ status, problem }) => problem?.code ?? status),
    [
      202,
      202,
      'insufficient_funds',
      'amount_precision',
      'user_not_found',
      'idempotency_key_invalid',
      202,
      'idempotency_key_reuse',
      202,
    ],
  )
  assert.equal(results[6]?.replayed, true)
  assert.equal(results[6]?.payment?.payment_id, results[0]?.payment?.payment_id)
  assert.equal(results[7]?.problem?.errors?.[0]?.pointer, '/payments/7/amount')
  const user = await service.call('GET', '/users/1')
  assert.deepEqual([user.body['balance'], user.body['held']], [0.4, 999.6])
})

test('a repeated batch replays the items that have a key', async (t) => {
  const service = await serve(t, {}, API_ONLY)
  await service.call('POST', '/users', { balance: 1 })
  const items = Array.from({ length: 1_000 }, (_, index) => ({
    type: 'deposit',
    user_id: 1,
    amount: 1,
    idempotency_key: `item-${index}`,
  }))
  const first = await send(service, items)
  const second = await send(service, items)
  assert.ok(first.every(({ status, replayed }) => status === 202 && !replayed))
  assert.ok(second.every(({ status, replayed }) => status === 202 && replayed))
  const ids = (results: Result[]) => results.map(({ payment }) => payment?.payment_id)
  assert.deepEqual(ids(second), ids(first))
})

test('a repeated batch says of a refusal under a key that it was made before', async (t) => {
  const service = await serve(t, {}, API_ONLY)
  await service.call('POST', '/users', { balance: 1 })
  const items = [
    { type: 'withdraw', user_id: 1, amount: 50, idempotency_key: 'one' },
    { type: 'withdraw', user_id: 1, amount: 50 },
  ]
  for (const again of [false, true]) {
    const said = (await send(service, items)).map(({ problem, replayed }) => {
      assert.equal(problem?.code, 'insufficient_funds')
      return replayed
    })
    assert.deepEqual(said, [again, false])
  }
})

test('a batch that cannot be read as one is refused whole, and nothing is written', async (t) => {
  const service = await serve(t, {}, API_ONLY)
  await service.call('POST', '/users', { balance: 1000 })
  const item = { type: 'deposit', user_id: 1, amount: 1 }
  const bodies = [
    {},
    { payments: [] },
    { payments: Array.from({ length: 1_001 }, () => item) },
    { payments: [item, { ...item, type: 'refund' }] },
    { payments: [item, { ...item, amount: true }] },
    { payments: [item, { ...item, status: 'success' }] },
  ]
  for (const body of bodies) {
    const reply = await service.call('POST', '/payments/batch', body)
    assert.equal(reply.status, 400, JSON.stringify(body).slice(0, 80))
    assert.equal(reply.body['code'], 'body_invalid')
  }
  const one = { payments: [item] }
  const keyed = await service.call('POST', '/payments/batch', one, { 'idempotency-key': 'k' })
  assert.equal(keyed.body['code'], 'idempotency_key_invalid', 'keys belong to items')
  const list = await service.call('GET', '/payments')
  assert.deepEqual(list.body['data'], [])
})
