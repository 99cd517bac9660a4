import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Clock } from '../src/ports.ts'
import {
  declined,
  doubt,
  foreign,
  gateway,
  http,
  peer,
  rejected,
  REQUEST,
  success,
} from './misbehaving-peer.ts'

const REFUND: GatewayOperation = {
  ...REQUEST,
  commission: 0n,
  kind: 'refund',
  parent: { paymentId: 5n, gatewayRef: 'gw_5' },
}

const pending: ChargeOutcome = {
  kind: 'pending',
  reason: 'pending',
  gatewayRef: null,
  action: null,
}

const ECHO = '"payment_id":7,"amount":200.5,"idempotency_key":"pay_7"'
const LONG_REF = 'r'.repeat(201)

const WORDS: readonly (readonly [name: string, status: number, body: string, is: ChargeOutcome])[] =
  [
    ['success', 200, '{"status":"success","gateway_ref":"gw_1"}', success('gw_1')],
    ['ok, as the original says', 200, '{"status":"ok","id":"x"}', success('x')],
    ['success with a matching echo', 201, `{"status":"success",${ECHO}}`, success(null)],
    [
      'an echo as strings',
      200,
      '{"status":"ok","payment_id":"7","amount":"200.50"}',
      success(null),
    ],
    ['an echo of null', 200, '{"status":"ok","payment_id":null,"amount":null}', success(null)],
    ['a reference that is a number', 200, '{"status":"ok","id":5}', success(null)],
    ['a reference too long', 200, `{"status":"ok","id":"${LONG_REF}"}`, success(null)],
    ['a reference with NUL', 200, '{"status":"ok","id":"a\\u0000"}', success(null)],
    ['a nested name twice', 200, '{"status":"ok","a":{"status":"x","b":":"}}', success(null)],
    ['a quote in a text', 200, '{"message":"12\\" \\\\: no","status":"ok","id":"x"}', success('x')],
    [
      'a name twice behind a quote in a text',
      200,
      '{"status":"failed","message":"\\"","status":"ok"}',
      doubt('unreadable_reply'),
    ],
    ['failed', 200, '{"status":"failed"}', declined('declined')],
    ['declined with a code', 200, '{"status":"declined","code":"no_funds"}', declined('no_funds')],
    ['a code that is no code', 200, '{"status":"failed","code":"<b>"}', declined('declined')],
    ['pending', 202, '{"status":"pending"}', pending],
    ['another word', 200, '{"status":"APPROVED "}', doubt('unknown_status')],
    ['a status that is no string', 200, '{"status":true}', doubt('unknown_status')],
    ['no status', 200, '{}', doubt('unknown_status')],
    ['an array', 200, '[{"status":"success"}]', doubt('unreadable_reply')],
    ['null', 200, 'null', doubt('unreadable_reply')],
    ['an empty body', 200, '', doubt('unreadable_reply')],
    ['HTML', 200, '<html>success</html>', doubt('unreadable_reply')],
    ['truncated JSON', 200, '{"status":"succ', doubt('unreadable_reply')],
    ['a raw NUL', 200, '{"status":"ok","id":"\0"}', doubt('unreadable_reply')],
    ['two documents', 200, '{"status":"ok"}{"status":"ok"}', doubt('unreadable_reply')],
    ['a name twice', 200, '{"status":"failed","status":"ok"}', doubt('unreadable_reply')],
    [
      'a name twice, escaped',
      200,
      '{"status":"ok","st\\u0061tus":"ok"}',
      doubt('unreadable_reply'),
    ],
    ['another payment', 200, '{"status":"ok","payment_id":8}', doubt('reply_mismatch')],
    ['another amount', 200, '{"status":"ok","amount":200.51}', doubt('reply_mismatch')],
    ['a fraction more', 200, '{"status":"ok","amount":200.504}', doubt('reply_mismatch')],
    ['a fraction less', 200, '{"status":"ok","amount":"200.496"}', doubt('reply_mismatch')],
    ['minor units', 200, '{"status":"ok","amount":20050}', doubt('reply_mismatch')],
    ['another key', 200, '{"status":"ok","idempotency_key":"p"}', doubt('reply_mismatch')],
    ['an amount with more zeros', 200, '{"status":"ok","amount":"200.500"}', success(null)],
    ['a no to another payment', 402, '{"payment_id":8}', doubt('reply_mismatch')],
    ['a bare 400', 400, '', foreign('http_400')],
    [
      '402 with a decline',
      402,
      '{"status":"failed","code":"card_expired"}',
      declined('card_expired'),
    ],
    ['402 with a code alone', 402, '{"code":"card_expired"}', foreign('http_402')],
    ['404 with a text', 404, 'nothing here', foreign('http_404')],
    ['404 in our words', 404, '{"status":"rejected","code":"no_account"}', rejected('no_account')],
    ['a decline where none belongs', 403, '{"status":"failed"}', foreign('http_403')],
    ['418', 418, '<h1>', foreign('http_418')],
    ['422 with a bad code', 422, '{"status":"rejected","code":"No!"}', foreign('http_422')],
    ['422 that says success', 422, '{"status":"success"}', doubt('http_422')],
    ['401 in our words', 401, '{"status":"rejected","code":"no_key"}', foreign('no_key')],
    ['408', 408, '', doubt('http_408')],
    ['409', 409, '{"status":"success"}', doubt('http_409')],
    ['409 with a decline', 409, '{"status":"declined"}', declined('declined')],
    ['425', 425, '', doubt('http_425')],
    ['500', 500, '{"status":"failed"}', doubt('http_500')],
    ['502', 502, '', doubt('http_502')],
    ['503', 503, '{"status":"success"}', doubt('http_503')],
    ['301', 301, '', foreign('http_301')],
    ['304', 304, '', doubt('http_304')],
  ]

for (const [name, status, body, outcome] of WORDS) {
  test(`a reply of ${status} (${name}) is ${outcome.kind}`, async (t) => {
    const raw = status === 304 ? 'HTTP/1.1 304 X\r\n\r\n' : http(status, body)
    for (const request of [REQUEST, REFUND]) {
      const seen = await chargeAgainst(t, raw, systemClock, request)
      assert.deepEqual(seen, { outcome, sent: true, httpStatus: status })
    }
  })
}

const NOW = new Date('2026-03-01T12:00:00Z')
const frozen: Clock = { ...systemClock, now: () => NOW }

const RETRY_AFTER: readonly (readonly [header: string, ms: number | null])[] = [
  ['7', 7_000],
  ['0', 1_000],
  ['1000000000', 300_000],
  ['-1', null],
  ['1.5', null],
  ['soon', null],
  ['', null],
  ['Sun, 01 Mar 2026 12:00:20 GMT', 20_000],
  ['Sun, 01 Mar 2026 11:00:00 GMT', 1_000],
  ['Sun, 01 Mar 2099 12:00:00 GMT', 300_000],
  ['Sun, 41 Mar 2026 12:00:20 GMT', null],
  ['Sun, 01 Mar 2026 11:00:40 GMT\r\ndate: Sun, 01 Mar 2026 11:00:00 GMT', 40_000],
  ['7\r\nretry-after: 9', 9_000],
  ['2026-03-01T12:00:20Z', null],
]

for (const [header, retryAfterMs] of RETRY_AFTER) {
  test(`429 with Retry-After "${header}" is not executed`, async (t) => {
    const raw = http(429, '', `retry-after: ${header}\r\n`)
    assert.deepEqual(await chargeAgainst(t, raw, frozen), {
      outcome: { kind: 'not_executed', reason: 'http_429', retryAfterMs },
      sent: true,
      httpStatus: 429,
    })
  })
}

test('a time to wait is read wherever it comes', async (t) => {
  const wait = 'retry-after: 7\r\n'
  for (const status of [401, 422, 500, 503]) {
    const { outcome } = await chargeAgainst(t, http(status, '', wait))
    assert.equal('retryAfterMs' in outcome && outcome.retryAfterMs, 7_000, `${status}`)
  }
  const { url } = await peer(t, (socket) => socket.write(http(503, '', wait)))
  const { outcome } = await gateway(t, url).lookup(REQUEST)
  assert.deepEqual(outcome, { kind: 'no_answer', reason: 'http_503', retryAfterMs: 7_000 })
})

test('429 without Retry-After asks for nothing', async (t) => {
  const { outcome } = await chargeAgainst(t, http(429, ''))
  assert.deepEqual(outcome, { kind: 'not_executed', reason: 'http_429', retryAfterMs: null })
})

test('amounts are written exactly, and requests are what the contract says', async (t) => {
  const { url, requests } = await peer(t, (socket) => socket.write(http(200, '{"status":"ok"}')))
  const client = gateway(t, `${url}/`)
  const amounts = {
    1: '0.01',
    50: '0.5',
    100: '1',
    20_050: '200.5',
    999_999_999_999: '9999999999.99',
  }
  for (const [minor, text] of Object.entries(amounts)) {
    await client.execute({ ...REQUEST, amount: BigInt(minor), commission: 0n, kind: 'payout' })
    const [head = '', body] = (requests.pop() ?? '').split('\r\n\r\n')
    assert.equal(
      body,
      `{"payment_id":7,"user_id":3,"amount":${text},"commission":0,"type":"withdraw"}`,
    )
    assert.match(head, /^POST \/base\/pay HTTP\/1\.1\r\n/)
    assert.match(head, /\r\nidempotency-key: pay_7(\r\n|$)/)
    assert.match(head, /\r\ncontent-type: application\/json\r\n/)
  }
})

test('a refund names what it gives back, and is looked up where refunds are', async (t) => {
  const { url, requests } = await peer(t, (socket) => socket.write(http(200, '{"status":"ok"}')))
  const client = gateway(t, url)
  for (const gatewayRef of ['gw_"1"', null]) {
    await client.execute({ ...REFUND, parent: { paymentId: 5n, gatewayRef } })
    const [head = '', body] = (requests.pop() ?? '').split('\r\n\r\n')
    const ref = JSON.stringify(gatewayRef)
    assert.equal(
      body,
      `{"payment_id":7,"user_id":3,"amount":200.5,"type":"refund","parent_id":5,"parent_ref":${ref}}`,
    )
    assert.match(head, /^POST \/base\/refund HTTP\/1\.1\r\n/)
    assert.match(head, /\r\nidempotency-key: pay_7(\r\n|$)/)
  }
  await client.lookup(REFUND)
  assert.match(requests.pop() ?? '', /^GET \/base\/refunds\/pay_7 HTTP/)
})

const LOOKUPS: readonly (readonly [status: number, body: string, outcome: object])[] = [
  [200, '{"status":"success","gateway_ref":"g"}', { kind: 'success', gatewayRef: 'g' }],
  [200, '{"status":"failed","code":"no"}', { kind: 'declined', reason: 'no' }],
  [200, '{"status":"pending"}', { kind: 'pending', gatewayRef: null, action: null }],
  [200, '{"status":"huh"}', { kind: 'no_answer', reason: 'unknown_status' }],
  [200, '<html>', { kind: 'no_answer', reason: 'unreadable_reply' }],
  [200, '{"status":"success","amount":1}', { kind: 'no_answer', reason: 'reply_mismatch' }],
  [404, '{"status":"rejected","code":"not_found"}', { kind: 'not_found' }],
  [404, '{"status":"rejected","code":"no_account"}', { kind: 'no_answer', reason: 'no_account' }],
  [404, '', { kind: 'no_answer', reason: 'http_404' }],
  [404, '<h1>404 Not Found</h1>', { kind: 'no_answer', reason: 'http_404' }],
  [404, '{"detail":"Not Found"}', { kind: 'no_answer', reason: 'http_404' }],
  [404, '{"payment_id":8}', { kind: 'no_answer', reason: 'reply_mismatch' }],
  [401, '', { kind: 'misconfigured', reason: 'http_401' }],
  [410, '', { kind: 'no_answer', reason: 'http_410' }],
  [429, '', { kind: 'no_answer', reason: 'http_429', retryAfterMs: 1_000 }],
  [502, '{"status":"success"}', { kind: 'no_answer', reason: 'http_502' }],
]

for (const [status, body, outcome] of LOOKUPS) {
  test(`a lookup answered ${status} ${body} is ${JSON.stringify(outcome)}`, async (t) => {
    const { url, requests } = await peer(t, (socket) => socket.write(http(status, body)))
    const seen = await gateway(t, url).lookup({ ...REQUEST, key: 'a/b?c' })
    assert.deepEqual(seen, { outcome, sent: true, httpStatus: status })
    assert.match(requests[0] ?? '', /^GET \/base\/payments\/a%2Fb%3Fc HTTP\/1\.1\r\n/)
  })
}

async function chargeAgainst(
  t: TestContext,
  raw: string,
  clock: Clock = systemClock,
  request = REQUEST,
) {
  const { url } = await peer(t, (socket) => socket.write(raw))
  return gateway(t, url, { clock }).execute(request)
}

test('what is looked up and asked to end is asked for where its kind is, and a key is one part of a path', async (t) => {
  const asked: string[] = []
  const { url } = await peer(t, (socket, request) => {
    asked.push(request.split(' HTTP/')[0] ?? '')
    socket.write(http(200, '{"status":"pending"}'))
  })
  const own = gateway(t, url)
  for (const operation of [REQUEST, { ...REFUND, key: 'a/b' }]) {
    await own.lookup(operation)
    await own.cancel?.(operation)
  }
  assert.deepEqual(asked, [
    'GET /base/payments/pay_7',
    'POST /base/payments/pay_7/cancel',
    'GET /base/refunds/a%2Fb',
    'POST /base/refunds/a%2Fb/cancel',
  ])
})
