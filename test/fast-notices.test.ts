import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { bytesOf, raw, type Wire } from './hostile/wire.ts'
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
  const written: string[] = []
  const service = await serve(t, GATEWAYS, {
    roles: { api: true, worker: false, mockGateway: false },
    log: pino({ level: 'debug' }, { write: (line) => void written.push(line) }),
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
  /** What the log says of answers. */
  const logged = () =>
    written
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ msg, route }) => msg === 'answered' && String(route).includes('notices'))
      .map(({ reqId, method, route, status, took_ms: ms }) => {
        return { reqId, method, route, status, timed: typeof ms === 'number' }
      })
  return { ...service, send, counted, logged }
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
  ['http', '{"payment_id":98,"type":"deposit"}', { 'content-type': 'json' }],
  ['http', '{"payment_id":98,"type":"deposit"}', { 'content-type': 'application/json; ;' }],
  ['http', '{"payment_id":98,"type":"deposit"}', { 'content-type': 'application/json;a="b' }],
]

test('a notice is answered and counted the same before the framework and by it', async (t) => {
  const [plain, framed] = [await opened(t), await opened(t)]
  for (const [name, body, headers = {}] of NOTICES) {
    const sent = { ...headers, 'x-request-id': `of-${name}` }
    const by = await plain.send(name, body, sent)
    assert.deepEqual(by, await framed.send(name, body, { ...sent, ...UNUSUAL }), name)
  }
  assert.deepEqual(plain.logged(), framed.logged())
  assert.equal(plain.logged().length, NOTICES.length)
  assert.deepEqual(await plain.counted(), await framed.counted())
  assert.deepEqual((await plain.counted()).asked.length, 5, 'by their statuses, on one route')
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

const PATH = '/api/v1/gateways/http/notices'
const LENGTH = ['Content-Length', '2'] as const
const CHUNKED = [['Transfer-Encoding', 'chunked']] as const
const MANY = Array.from({ length: 98 }, () => ['A', '1'] as const)

/** A notice that is none, as it stands on the wire. */
function shape(wire: Partial<Wire>, change = (text: string) => text): string {
  return change(bytesOf({ method: 'POST', path: PATH, body: '{}', ...wire }).toString('latin1'))
}

/** How each is answered. */
const SHAPES: readonly (readonly [what: string, text: string, code: string])[] = [
  ['as usual', shape({}), 'notice_refused'],
  [
    'without a type',
    shape({}, (text) => text.replace(/Content-Type: .*\r\n/, '')),
    'notice_refused',
  ],
  ['with an empty type', shape({ headers: [['Content-Type', '']] }), 'media_type_unsupported'],
  ['that ends its connection', shape({ headers: [['Connection', 'close']] }), 'notice_refused'],
  ['of HTTP/1.0', shape({}, (text) => text.replace('HTTP/1.1', 'HTTP/1.0')), 'notice_refused'],
  ['without a host', shape({}, (text) => text.replace(/Host: .*\r\n/, '')), 'request_unreadable'],
  ['for another host', shape({ headers: [['Host', 'elsewhere.example']] }), 'host_refused'],
  ['with a query', shape({ path: `${PATH}?a=1` }), 'notice_refused'],
  ['with a slash at the end', shape({ path: `${PATH}/` }), 'notice_refused'],
  ['in another spelling', shape({ path: PATH.replace('/http', '/%68ttp') }), 'notice_refused'],
  ['for another name', shape({ path: PATH.replace('/http', '/HTTP') }), 'gateway_not_found'],
  ['by another method', shape({ method: 'PUT' }), 'method_not_allowed'],
  ['of two lengths', shape({ headers: [LENGTH, LENGTH] }), 'request_unreadable'],
  ['of a length with a sign', shape({ headers: [['Content-Length', '+2']] }), 'request_unreadable'],
  ['in chunks', shape({ headers: CHUNKED, body: '2\r\n{}\r\n0\r\n\r\n' }), 'notice_refused'],
  ['in chunks of a length', shape({ headers: [...CHUNKED, LENGTH] }), 'request_unreadable'],
  ['that asks first', shape({ headers: [['Expect', '100-continue']] }), 'notice_refused'],
  ['that expects another thing', shape({ headers: [['Expect', 'a']] }), 'expectation_failed'],
  ['with many headers', shape({ headers: MANY }), 'headers_too_large'],
  ['with the id of its request', shape({ headers: [['X-Request-Id', 'mine']] }), 'notice_refused'],
  ['with an id that is none', shape({ headers: [['X-Request-Id', 'a b']] }), 'notice_refused'],
]

test('a notice of whatever shape is answered the same before the framework and by it', async (t) => {
  const { url } = await opened(t)
  const port = Number(new URL(url).port)
  const ask = async (text: string) => {
    const { answer } = await raw(port, Buffer.from(text, 'latin1'))
    const { instance: _, ...said } = JSON.parse(answer?.body ?? '{}')
    const { date: _date, 'content-length': _length, ...head } = answer?.headers ?? {}
    const id = head['x-request-id'] === 'mine' ? 'mine' : 'of its own'
    return { said, status: answer?.status, head: { ...head, 'x-request-id': id } }
  }
  for (const [what, text, code] of SHAPES) {
    const plain = await ask(text)
    assert.equal(plain.said.code, code, what)
    const framed = text.replace('\r\n', '\r\nContent-Encoding: identity\r\n')
    assert.deepEqual(plain, await ask(framed), what)
  }
})
