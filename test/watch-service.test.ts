import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS_NONE } from './mock-server.ts'
import { serve, type Served } from './serve.ts'

/** How often it is asked until something is so; what is final is answered at once. */
const ROUNDS_MAX = 2_000

/** Ask until a payment is shown so. */
async function until(
  { call }: Pick<Served, 'call'>,
  id: number,
  is: (body: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const { body } = await call('GET', `/payments/${id}?wait=1`)
    if (is(body)) return body
    await call('GET', '/ledger')
  }
  throw new Error(`payment ${id} is not shown so`)
}

test('what comes back at the gateway is booked by itself, and told as anything else', async (t) => {
  const service = await serve(t)
  const { call } = service
  await call('PUT', '/mock-gateway/faults', FAULTS_NONE)
  const user = await call('POST', '/users/', { balance: 100 })
  const made = await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  const id = Number(made.body['payment_id'])
  await until(service, id, ({ status }) => status === 'success')
  const back = { payment_id: id, kind: 'charged_back', amount: 5 }
  const there = await call('POST', '/mock-gateway/returns', back)
  assert.equal(there.status, 200)
  const shown = await until(service, id, ({ returned }) => returned === 5)
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
