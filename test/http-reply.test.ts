import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBody, type HttpOrder } from '../src/gateways/http-reply.ts'

const OURS: HttpOrder = {
  key: 'our-key',
  paymentId: 7n,
  userId: 1n,
  amount: 1_050n,
  commission: 0n,
  currency: null,
  exponent: 2,
  type: 'deposit',
}

const read = (body: string | Buffer) => readBody(Buffer.from(body), OURS)

/** Bodies, what they are, and whether they name our payment or our key. */
const BODIES: readonly (readonly [body: string | Buffer, shape: string, echoed: boolean])[] = [
  ['', 'empty', false],
  ['{"status":"success"}', 'success', false],
  ['{"status":"ok"}', 'success', false],
  ['{"status":"failed"}', 'declined', false],
  ['{"status":"declined"}', 'declined', false],
  ['{"status":"pending"}', 'pending', false],
  ['{"status":"rejected","code":"limit"}', 'rejected', false],
  // Nearly right words, and a refusal without a reason, are other JSON.
  ['{"status":"rejected"}', 'json', false],
  ['{"status":"OK"}', 'json', false],
  ['{"status":"success "}', 'json', false],
  ['{"status":true}', 'json', false],
  ['{}', 'json', false],
  // What is no JSON object is a page, whatever it is.
  ['success', 'page', false],
  ['"success"', 'page', false],
  ['null', 'page', false],
  ['7', 'page', false],
  ['true', 'page', false],
  ['[]', 'page', false],
  ['[{"status":"success"}]', 'page', false],
  ['{"status":"success"', 'page', false],
  ['{"status":"success"}{}', 'page', false],
  [Buffer.from('7b22737461747573223a2273756363657373222c2261223a22ff227d', 'hex'), 'page', false],
  // A key twice has two meanings; one in another object is another key, and text is no key.
  ['{"status":"success","status":"failed"}', 'page', false],
  ['{"a":{"status":1},"status":"success","b":{"status":2}}', 'success', false],
  ['{"a":[{"status":1},{"status":2}],"status":"success"}', 'success', false],
  ['{"a":{"b":{}},"status":"success","status":"success"}', 'page', false],
  ['{"a":[[1],[2]],"status":"success","a":1}', 'page', false],
  [String.raw`{"a":"\":{[\\","status":"success"}`, 'success', false],
  [String.raw`{"a\"":1,"status":"success","a\"":2}`, 'page', false],
  ['{"a":"x:y","status":"success"}', 'success', false],
  // About us, by the payment or by the key; an amount alone names nobody.
  ['{"status":"success","payment_id":7}', 'success', true],
  ['{"status":"success","payment_id":"7"}', 'success', true],
  ['{"status":"success","idempotency_key":"our-key"}', 'success', true],
  ['{"status":"success","payment_id":null,"idempotency_key":null,"amount":null}', 'success', false],
  ['{"status":"success","amount":10.5}', 'success', false],
  ['{"status":"success","amount":"10.500","payment_id":7}', 'success', true],
  ['{"status":"success","amount":10.50,"payment_id":7}', 'success', true],
  // About another, by any of the three, even beside two that are right.
  ['{"status":"success","payment_id":8}', 'another', false],
  ['{"status":"success","payment_id":true}', 'another', false],
  ['{"status":"success","payment_id":[7]}', 'another', false],
  ['{"status":"success","payment_id":"07"}', 'another', false],
  ['{"status":"success","idempotency_key":"their-key"}', 'another', false],
  ['{"status":"success","idempotency_key":7}', 'another', false],
  ['{"status":"success","payment_id":7,"idempotency_key":"their-key"}', 'another', false],
  ['{"status":"success","payment_id":8,"idempotency_key":"our-key"}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":10.51}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":1050}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":10.501}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":"-10.5"}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":"10.5 "}', 'another', false],
  ['{"status":"success","payment_id":7,"amount":{}}', 'another', false],
  ['{"status":"failed","payment_id":7,"amount":"10"}', 'another', false],
]

test('a word is one JSON object that says it exactly, with no key twice, and about nobody else', () => {
  for (const [body, shape, echoed] of BODIES) {
    const { shape: seen, echoed: named } = read(body)
    assert.deepEqual([seen, named], [shape, echoed], body.toString())
  }
})

test('a whole amount is compared with all its digits', () => {
  const large = { ...OURS, amount: 900_719_925_474_099_300n }
  const about = (amount: string) =>
    readBody(Buffer.from(`{"status":"success","payment_id":7,"amount":"${amount}"}`), large).shape
  assert.equal(about('9007199254740993'), 'success')
  assert.equal(about('9007199254740993.00'), 'success')
  assert.equal(about('9007199254740992'), 'another')
})

const long = (length: number) => 'a'.repeat(length)

test('a code and a reference are taken only where they can be stored, shown and counted', () => {
  const codes: readonly (readonly [given: unknown, taken: string | null])[] = [
    ['no_funds_1', 'no_funds_1'],
    [long(40), long(40)],
    [long(41), null],
    ['', null],
    ['No', null],
    ['a b', null],
    ['a\n', null],
    [7, null],
    [null, null],
  ]
  for (const [code, taken] of codes) assert.equal(read(JSON.stringify({ code })).code, taken)
  const refs: readonly (readonly [given: object, taken: string | null])[] = [
    [{ gateway_ref: 'gw 1~' }, 'gw 1~'],
    [{ id: 'by-id' }, 'by-id'],
    [{ gateway_ref: 'first', id: 'second' }, 'first'],
    [{ gateway_ref: null, id: 'second' }, 'second'],
    [{ gateway_ref: long(200) }, long(200)],
    [{ gateway_ref: long(201) }, null],
    [{ gateway_ref: '' }, null],
    [{ gateway_ref: 'a\0' }, null],
    [{ gateway_ref: 'é' }, null],
    [{ gateway_ref: 7 }, null],
    [{}, null],
  ]
  for (const [given, taken] of refs) assert.equal(read(JSON.stringify(given)).gatewayRef, taken)
})

test('a payer is sent to a page over https or on this machine, and to nothing else', () => {
  const url = 'https://bank.example/confirm/1?x=%20#y'
  const at = '2030-01-01T01:00:00Z'
  const action = { type: 'redirect', url, expires_at: at }
  const expiresAt = new Date(at)
  const taken = (given: unknown) =>
    read(JSON.stringify({ status: 'pending', action: given })).action
  assert.deepEqual(taken(action), { type: 'redirect', url, expiresAt })
  for (const odd of [undefined, null, 'soon', 7, {}]) {
    const told = taken({ ...action, expires_at: odd })
    assert.deepEqual(told, { type: 'redirect', url, expiresAt: null }, String(odd))
  }
  for (const near of ['http://localhost:8000/p', 'http://127.0.0.1/p', 'http://[::1]:1/p']) {
    assert.equal(taken({ ...action, url: near })?.url, near)
  }
  const urls = [
    'http://bank.example/p',
    'http://localhost.example/p',
    'http://127.0.0.1.example/p',
    'http://localhost@bank.example/p',
    'http://bank.example/localhost',
    'http://[::2]/p',
    'javascript:alert(1)',
    'data:text/html,x',
    'ftp://bank.example/p',
    '//bank.example/p',
    'https://',
    'https://bank.example/a b',
    'https://bank.example/\n',
    ' https://bank.example/',
    'https://bank.example/é',
    `https://bank.example/${'a'.repeat(2_028)}`,
    '',
    7,
    null,
    'https://user:secret@bank.example/p',
    'https://user@bank.example/p',
    'https://:secret@bank.example/p',
    'https://bank.example\\@evil.example/p',
  ]
  for (const odd of urls) assert.equal(taken({ ...action, url: odd }), null, String(odd))
  for (const odd of [null, 'redirect', [action], { ...action, type: 'form' }, { url }, true]) {
    assert.equal(taken(odd), null, JSON.stringify(odd))
  }
})
