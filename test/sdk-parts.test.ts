import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { fileKeys } from '../sdk/typescript/src/file-keys.ts'
import { amounts, webhooks, WebhookInvalid } from '../sdk/typescript/src/index.ts'
import { readJson } from '../sdk/typescript/src/json.ts'

test('amounts of answers are read as the text that was sent', () => {
  const text =
    '{"amount":9999999999.99,"n":1.5,"held" : -51,"list":[{"balance":0.10}],' +
    '"description":"\\"amount\\":5, \\\\","attempts":3,"fee_returned":null}'
  assert.deepEqual(readJson(text), {
    amount: '9999999999.99',
    n: 1.5,
    held: '-51',
    list: [{ balance: '0.10' }],
    description: '"amount":5, \\',
    attempts: 3,
    fee_returned: null,
  })
})

test('every JSON without amounts is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.deepEqual(readJson(text), JSON.parse(text))
    }),
    { seed: 1, numRuns: 2_000 },
  )
})

test('amounts are added, compared and turned into minor units without a float', () => {
  const cents = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n })
  fc.assert(
    fc.property(cents, cents, fc.integer({ min: 0, max: 4 }), (a, b, decimals) => {
      const [x, y] = [amounts.fromMinor(a, decimals), amounts.fromMinor(b, decimals)]
      assert.equal(amounts.toMinor(x, decimals), a)
      assert.equal(amounts.toMinor(amounts.add(x, y), decimals), a + b)
      assert.equal(amounts.toMinor(amounts.subtract(x, y), decimals), a - b)
      assert.equal(Math.sign(amounts.compare(x, y)), a < b ? -1 : a > b ? 1 : 0)
      assert.ok(amounts.isDecimal(x))
    }),
    { seed: 1 },
  )
  assert.equal(amounts.add('0.1', '0.2'), '0.3')
  assert.equal(amounts.compare('1.0', '1'), 0)
  assert.throws(() => amounts.toMinor('1.005', 2), /more than 2 decimals/)
  for (const text of ['', '1e3', '1.', '.5', ' 1', '0x1', '1,5']) {
    assert.ok(!amounts.isDecimal(text), text)
    assert.throws(() => amounts.toMinor(text, 2), /no decimal number/)
  }
})

test('an amount is not turned by a number of decimals that is none', () => {
  for (const decimals of [undefined, Number.NaN, -1, 0.5, Infinity]) {
    assert.throws(() => amounts.toMinor('12.3', decimals as number), /no number of decimals/)
    assert.throws(() => amounts.fromMinor(123n, decimals as number), /no number of decimals/)
  }
})

test('a file keeps the first key of an intent, also behind a line that was cut off', async () => {
  const folder = mkdtempSync(join(process.env['TEST_FOLDER'] ?? '/tmp', 'keys-'))
  const path = join(folder, 'keys')
  const first = await fileKeys(path)
  const both = await Promise.all([first.keyOf('a', 'key-1'), first.keyOf('a', 'key-2')])
  assert.deepEqual(both, ['key-1', 'key-1'])
  const many = Array.from({ length: 100 }, (_, one) => first.keyOf(`b${one}`, `key-b${one}`))
  assert.equal((await Promise.all(many))[99], 'key-b99')
  await first.close()

  writeFileSync(path, `${readFileSync(path, 'utf8')}["c","key-`)
  const second = await fileKeys(path)
  assert.equal(await second.keyOf('a', 'key-3'), 'key-1')
  assert.equal(await second.keyOf('b42', 'key-4'), 'key-b42')
  assert.equal(await second.keyOf('c', 'key-5'), 'key-5')
  await second.close()

  const third = await fileKeys(path)
  assert.equal(await third.keyOf('c', 'key-6'), 'key-5')
  await third.close()
})

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const BODY = '{"type":"payment.succeeded","data":{"amount":10.50}}'
const AT = 1_900_000_000

/** As Standard Webhooks says it, by another implementation of the hash. */
function signed(body: string, secret = SECRET): Record<string, string> {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`msg_1.${AT}.${body}`).digest('base64')
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(AT),
    'webhook-signature': `v1a,xyz v1,${mac}`,
  }
}

const now = (seconds: number) => ({ now: () => (AT + seconds) * 1_000 })

test('a webhook that is signed is read, its amounts as texts', async () => {
  const other = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
  const event = { id: 'msg_1', type: 'payment.succeeded', data: { amount: '10.50' } }
  for (const body of [BODY, Buffer.from(BODY)]) {
    assert.deepEqual(await webhooks.verify(body, signed(BODY), SECRET, now(0)), event)
  }
  const headers = new Headers(signed(BODY))
  assert.deepEqual(await webhooks.verify(BODY, headers, [other, SECRET], now(300)), event)
  const shouted = Object.entries(signed(BODY)).map(([name, value]) => [name.toUpperCase(), value])
  const loud = Object.fromEntries(shouted) as Record<string, string>
  assert.deepEqual(await webhooks.verify(BODY, loud, SECRET, now(-300)), event)
})

for (const [type, data] of [
  ['payment.failed', { payment_id: 7, sequence: 2 }],
  ['dead_letter.opened', { id: 3, payment_id: 7 }],
  ['webhook_endpoint.disabled', { endpoint_id: 3 }],
  ['books.broken', {}],
] as const) {
  test(`a thin ${type} is read as such and never as a full one`, async () => {
    const body = JSON.stringify({ type, data })
    const thin = { ...now(0), payload: 'thin' } as const
    const event: object = await webhooks.verify(body, signed(body), SECRET, thin)
    assert.deepEqual(event, { id: 'msg_1', type, data })
    await assert.rejects(webhooks.verify(body, signed(body), SECRET, now(0)), {
      name: 'TypeError',
      message: "The endpoint is thin: verify with { payload: 'thin' }",
    })
    // A full one says everything that a thin one says.
    const full: object = await webhooks.verify(BODY, signed(BODY), SECRET, thin)
    assert.deepEqual(full, { id: 'msg_1', type: 'payment.succeeded', data: { amount: '10.50' } })
  })
}

test('a test message is read as what it is, by full and thin endpoints', async () => {
  const event = { type: 'webhook_endpoint.test', timestamp: 'now', data: { endpoint_id: 3 } }
  const body = JSON.stringify(event)
  for (const payload of ['full', 'thin'] as const) {
    const options: object = { ...now(0), payload }
    const read: object = await webhooks.verify(body, signed(body), SECRET, options)
    assert.deepEqual(read, { id: 'msg_1', ...event })
  }
})

for (const [name, fault, call] of [
  [
    'another body',
    'signature_wrong',
    () => webhooks.verify(`${BODY} `, signed(BODY), SECRET, now(0)),
  ],
  [
    'another secret',
    'signature_wrong',
    () => webhooks.verify(BODY, signed(BODY), 'whsec_AAAA', now(0)),
  ],
  [
    'another id',
    'signature_wrong',
    () => webhooks.verify(BODY, { ...signed(BODY), 'webhook-id': 'msg_2' }, SECRET, now(0)),
  ],
  [
    'another time',
    'signature_wrong',
    () =>
      webhooks.verify(
        BODY,
        { ...signed(BODY), 'webhook-timestamp': String(AT + 1) },
        SECRET,
        now(0),
      ),
  ],
  [
    'a signature of another version',
    'signature_wrong',
    () =>
      webhooks.verify(
        BODY,
        { ...signed(BODY), 'webhook-signature': 'v2,AAAA v1, v1,!' },
        SECRET,
        now(0),
      ),
  ],
  ['an old message', 'too_old', () => webhooks.verify(BODY, signed(BODY), SECRET, now(301))],
  ['a message from ahead', 'too_new', () => webhooks.verify(BODY, signed(BODY), SECRET, now(-301))],
  [
    'a time that is none',
    'too_old',
    () => webhooks.verify(BODY, { ...signed(BODY), 'webhook-timestamp': 'NaN' }, SECRET, now(0)),
  ],
  [
    'no signature',
    'header_missing',
    () => webhooks.verify(BODY, { ...signed(BODY), 'webhook-signature': '' }, SECRET, now(0)),
  ],
  ['no JSON', 'unreadable', () => webhooks.verify('hello', signed('hello'), SECRET, now(0))],
  ['JSON of no event', 'unreadable', () => webhooks.verify('[1]', signed('[1]'), SECRET, now(0))],
  ['null', 'unreadable', () => webhooks.verify('null', signed('null'), SECRET, now(0))],
  ['an empty body', 'unreadable', () => webhooks.verify('', signed(''), SECRET, now(0))],
  [
    'a tolerance that is no number',
    'too_old',
    () => webhooks.verify(BODY, signed(BODY), SECRET, { ...now(0), toleranceSeconds: Number.NaN }),
  ],
  [
    'a clock that tells no time',
    'too_old',
    () => webhooks.verify(BODY, signed(BODY), SECRET, { now: () => Number.NaN }),
  ],
  [
    'two times',
    'header_missing',
    () =>
      webhooks.verify(
        BODY,
        { ...signed(BODY), 'webhook-timestamp': [String(AT), '1'] },
        SECRET,
        now(0),
      ),
  ],
] as const) {
  test(`a webhook with ${name} is not believed`, async () => {
    const error = await call().catch((thrown: unknown) => thrown)
    assert.ok(error instanceof WebhookInvalid)
    assert.equal(error.fault, fault)
  })
}

test('headers that come as lists are read, and of many signatures one has to be right', async () => {
  const lists = Object.fromEntries(
    Object.entries(signed(BODY)).map(([name, value]) => [name, [value]]),
  )
  const event = await webhooks.verify(BODY, lists, SECRET, now(0))
  assert.equal(event.type, 'payment.succeeded')
  const right = signed(BODY)['webhook-signature']
  const many = { ...signed(BODY), 'webhook-signature': `v1,AAAA ${'v1,BBBB '.repeat(200)}${right}` }
  assert.equal((await webhooks.verify(BODY, many, SECRET, now(0))).id, 'msg_1')
})

test('what cannot be checked at all is a mistake of the receiver, and is not believed', async () => {
  const check = (body: unknown, secret: unknown) =>
    webhooks.verify(body as string, signed(BODY), secret as string, now(0))
  for (const body of [JSON.parse(BODY), { length: 3 }, null, undefined, new ArrayBuffer(3)]) {
    await assert.rejects(check(body, SECRET), /rawBody is the body as it came/)
  }
  for (const secret of [[], '', 'whsec_', 'whsec_?', undefined]) {
    await assert.rejects(check(BODY, secret), TypeError)
  }
})
