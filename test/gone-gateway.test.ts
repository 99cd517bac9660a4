import assert from 'node:assert/strict'
import { test } from 'node:test'
import { turnGateway } from '../tools/client.ts'
import { query } from './databases.ts'
import { CALM, FAST, MOCK, until } from './process-kit.ts'
import { serve } from './serve.ts'

test('nothing is put in the queue of a gateway that is not configured any more', async (t) => {
  const service = await serve(t, FAST)
  const { call, database } = service
  await turnGateway(service.url + MOCK, CALM)
  const user = (await call('POST', '/users', { balance: 100 })).body['id']
  const final = async (type: 'deposit' | 'withdraw', field: string) => {
    const { body } = await call('POST', `/payments/${type}`, { user_id: user, [field]: 20 })
    const id = Number(body['payment_id'])
    await until('it is final', async () => {
      return (await call('GET', `/payments/${id}?wait=1`)).body['finished_at'] !== null
    })
    return id
  }
  const paid = await final('deposit', 'deposit')
  await turnGateway(service.url + MOCK, { ...CALM, decline: 1 })
  const failed = await final('withdraw', 'amount')
  const [letter] = await query<{ id: string }>(
    database,
    `select id from dead_letters where payment_id = ${failed}`,
  )
  await query(database, `update payments set gateway = 'bank'`)

  const refund = await call('POST', `/payments/${paid}/refunds`, { reason: 'returned' })
  assert.deepEqual([refund.status, refund.body['code']], [422, 'no_route'])
  const redrive = await call('POST', `/dlq/${letter?.id}/redrive`, { reason: 'checked' })
  assert.deepEqual([redrive.status, redrive.body['code']], [422, 'no_route'])
  assert.deepEqual(await query(database, 'select from payment_tasks'), [])
  const shown = await call('GET', `/users/${String(user)}`)
  assert.equal(shown.body['held'], 0)
  await service.stop()
})
