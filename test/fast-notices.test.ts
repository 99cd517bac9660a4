import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { serve } from './serve.ts'

const SECRET = 'whsec_of_a_test'
const GATEWAYS = {
  GATEWAYS: 'stripe,http,yookassa',
  GATEWAY_STRIPE_SECRET_KEY: 'sk_test_0',
  GATEWAY_STRIPE_NOTICE_SECRETS: SECRET,
  GATEWAY_STRIPE_URL: 'http://127.0.0.1:9',
  GATEWAY_YOOKASSA_SHOP_ID: '1',
  GATEWAY_YOOKASSA_SECRET_KEY: 'test_1',
  GATEWAY_YOOKASSA_URL: 'http://127.0.0.1:9',
  PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9',
}
/** With it a request is not plain, and nothing else about it is different. */
const UNUSUAL = { 'content-encoding': 'identity' }

async function opened(t: TestContext) {
  const service = await serve(t, GATEWAYS, {
    roles: { api: true, worker: false, mockGateway: false },
  })
  const send = async (name: string, body: string, headers: Record<string, string> = {}) => {
    const url = `${service.url}/api/v1/gateways/${name}/notices`
    const answer = await fetch(url, { method: 'POST', body, headers })
    const { instance, ...said } = JSON.parse(await answer.text())
    const head = Object.fromEntries(answer.headers)
    assert.equal(instance ?? head['x-request-id'], head['x-request-id'])
    for (const own of ['x-request-id', 'date', 'content-length']) delete head[own]
    return { status: answer.status, said, head }
  }
  const counted = async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith('payments_gateway_notices_total'))
    const asked = text
      .split('\n')
      .filter((line) => /http_request_duration_seconds_count.*notices/.test(line))
      .map((line) => line.replace(/^.*\{(.*)\} /, '$1 '))
    return { lines, asked }
  }
  return { ...service, send, counted }
}

const EVENT = JSON.stringify({
  id: 'evt_1',
  object: 'event',
  type: 'payment_intent.succeeded',
  data: { object: { id: 'pi_1', metadata: { payments_payment_id: '99' } } },
})

function signature(secret: string): Record<string, string> {
  const time = Math.floor(systemClock.now().getTime() / 1_000)
  const sum = createHmac('sha256', secret).update(`${time}.${EVENT}`).digest('hex')
  return { 'stripe-signature': `t=${time},v1=${sum}` }
}

type Sent = readonly [name: string, body: string, headers?: Record<string, string>]
const NOTICES: readonly Sent[] = [
  ['stripe', EVENT],
  ['stripe', EVENT, signature('whsec_forged')],
  ['stripe', EVENT, signature(SECRET)],
  ['stripe', '{}', { 'stripe-signature': '' }],
  ['http', EVENT],
  ['http', '{"payment_id":99,"type":"deposit"}'],
  ['yookassa', EVENT],
  ['nobody', EVENT],
  ['http', EVENT, { origin: 'https://elsewhere.example' }],
]

test('a notice is answered and counted the same before the framework and by it', async (t) => {
  const [plain, framed] = [await opened(t), await opened(t)]
  for (const [name, body, headers = {}] of NOTICES) {
    const by = await plain.send(name, body, headers)
    assert.deepEqual(by, await framed.send(name, body, { ...headers, ...UNUSUAL }), name)
  }
  assert.deepEqual(await plain.counted(), await framed.counted())
  assert.deepEqual((await plain.counted()).asked.length, 4, 'by their statuses, on one route')
})

test('hints are counted together, whichever way they come', async (t) => {
  const { send } = await opened(t)
  const hint = '{"payment_id":99,"type":"deposit"}'
  const statuses: number[] = []
  for (let count = 0; count < 12; count += 1) {
    const { status, head } = await send('http', hint, count % 2 === 0 ? {} : UNUSUAL)
    statuses.push(status)
    assert.equal(head['retry-after'], status === 429 ? '1' : undefined)
  }
  assert.ok(statuses.filter((status) => status === 200).length < 11, statuses.join())
  assert.ok(statuses.includes(429))
})

test('a notice larger than a plain one is read by the framework, and one too large refused', async (t) => {
  const { send, counted } = await opened(t)
  const large = async (bytes: number) => (await send('http', ' '.repeat(bytes))).status
  assert.deepEqual([await large(20_000), await large(256 * 1_024 + 1)], [400, 413])
  assert.equal((await counted()).lines.length, 1)
})
