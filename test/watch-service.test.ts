import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS_NONE } from './mock-server.ts'
import { serve, untilShown } from './serve.ts'

test('what comes back at the gateway is booked by itself, and told as anything else', async (t) => {
  const service = await serve(t)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', FAULTS_NONE)
  const user = await call('POST', '/users/', { balance: 100 })
  const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const id = Number(made.body['payment_id'])
  await untilShown(service, id, ({ status }) => status === 'success')
  const back = { payment_id: id, kind: 'charged_back', amount: 5 }
  const there = await call('POST', '/mock-gateway/returns', back)
  assert.equal(there.status, 200)
  const shown = await untilShown(service, id, ({ returned }) => returned === 5)
  assert.equal(shown['status'], 'success')

  // Whoever books it by hand is told that it is booked.
  const ref = there.body['gateway_ref']
  const said = { kind: 'charged_back', amount: 5, gateway_ref: ref, reason: 'seen' }
  const again = await call('POST', `/payments/${id}/returns`, said)
  assert.equal(again.status, 200, again.text)
  const { text } = await call('GET', `/payments/${id}/timeline`)
  assert.match(text, /gateway http/)
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  assert.match(metrics, /payments_watched_total{gateway="http",result="booked"} 1/)
  assert.match(metrics, /payments_gateway_notices_total{gateway="http",verdict="watched"} 1/)
  const { body } = await call('GET', '/overview')
  assert.deepEqual(Object(body['queue'])['due'], 0)
})
