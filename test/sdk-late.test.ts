import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import { keptKeys } from './sdk-scripted.ts'
import { serve, untilShown } from './serve.ts'

const API = { api: true, worker: false, mockGateway: false }

test('a caller that was killed with a refund on the wire is not told that nothing was done', async (t) => {
  const api = await serve(t, {}, { roles: API })
  const keys = keptKeys()
  const { url } = api
  const { payments, users } = connect({ url, keys })
  assert.ok((await users.create({ balance: '0' })).ok)
  const deposit = await payments.deposit({ user_id: 1, deposit: '50' })
  assert.ok(deposit.ok)
  const id = deposit.payment.payment_id
  const refund = { amount: '10', reason: 'late' } as const
  const order = { intent: 'refund-1' }

  // The caller dies with this in a buffer on the way.
  const late: (readonly [string, RequestInit | undefined])[] = []
  const wire: typeof fetch = (to, init) => {
    late.push([String(to), init])
    return Promise.reject(new TypeError('killed'))
  }
  const killed = connect({ url, keys, fetch: wire, attemptsMax: 1 })
  await assert.rejects(killed.payments.refund(id, refund, order), OutcomeUnknown)

  // It starts again. Its deposit has not succeeded yet, so there is nothing to refund now.
  const error = await payments.refund(id, refund, order).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof OutcomeUnknown)
  assert.equal(error.problem?.code, 'not_refundable')

  const both = await serve(t, {}, { database: api.database })
  await untilShown(both, id, ({ status }) => status === 'success')
  const [[to, init]] = late as [(typeof late)[number]]
  const request = { ...init, signal: null }
  assert.equal((await fetch(to, request)).status, 202, 'it arrives, and is carried out')
  const again = await payments.refund(id, refund, order)
  assert.ok(again.ok && again.replayed, 'the same intent finds it')
})

test('whoever knows that nothing is under way any more is told what was refused', async (t) => {
  const { url } = await serve(t, {}, { roles: API })
  const keys = keptKeys()
  const { payments, users } = connect({ url, keys })
  assert.ok((await users.create({ balance: '0' })).ok)
  const deposit = await payments.deposit({ user_id: 1, deposit: '50' })
  assert.ok(deposit.ok)
  const { payment_id: id } = deposit.payment
  const refund = (named: object) => payments.refund(id, { reason: 'r' }, named)

  const fresh = await refund({ intent: 'refund-1' })
  assert.ok(!fresh.ok && fresh.problem.code === 'not_refundable', 'a new intent is the first')
  await assert.rejects(refund({ intent: 'refund-1' }), OutcomeUnknown)
  await assert.rejects(refund({ key: 'refund-2' }), OutcomeUnknown)
  for (const named of [{ intent: 'refund-1' }, { key: 'refund-2' }]) {
    const refused = await refund({ ...named, noneUnderWay: true })
    assert.ok(!refused.ok && refused.problem.code === 'not_refundable')
  }
})
