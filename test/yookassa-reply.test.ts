import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  readYookassa,
  yookassaCharge,
  yookassaDecline,
  yookassaLookup,
  type YookassaShape,
} from '../src/gateways/yookassa-reply.ts'
import { DECLINE_WORDS } from '../src/domain/decline.ts'
import { YOOKASSA_SHAPES } from './reply-table.ts'
import { DEPOSIT } from './yookassa-kit.ts'

const SHAPES = Object.keys(YOOKASSA_SHAPES) as YookassaShape[] // Its keys are the shapes.

const STATUSES = Array.from({ length: 500 }, (_, at) => at + 100)

/** The statuses for which a shape is told so, by what it is told. */
function told(say: (status: number, shape: YookassaShape) => string, shape: YookassaShape) {
  const by: Record<string, number[]> = {}
  for (const status of STATUSES) (by[say(status, shape)] ??= []).push(status)
  return by
}

/** All statuses but those. */
function others(...some: readonly (readonly number[])[]): number[] {
  const taken = new Set(some.flat())
  return STATUSES.filter((status) => !taken.has(status))
}

const MOVED = [301, 307, 308]
const CALLER = [401, 407]
const UNDECIDED = [408, 409, 425]
const REFUSED = STATUSES.filter(
  (status) => status >= 400 && status < 500 && ![...CALLER, ...UNDECIDED, 429].includes(status),
)

test('only 200 tells of a payment, and an object with any other status is in doubt', () => {
  const kinds = { succeeded: 'success', canceled: 'declined', pending: 'pending' } as const
  for (const [shape, kind] of Object.entries(kinds)) {
    const by = told(yookassaCharge, shape as keyof typeof kinds)
    assert.deepEqual(by, { [kind]: [200], in_doubt: others([200]) }, shape)
  }
})

test('an error about the request was not executed, whoever has no rights is misconfigured', () => {
  const doubt = others(MOVED, CALLER, [429], REFUSED)
  assert.deepEqual(told(yookassaCharge, 'error'), {
    in_doubt: doubt,
    misconfigured: [...MOVED, ...CALLER],
    rejected: REFUSED,
    not_executed: [429],
  })
  for (const shape of ['forbidden', 'json', 'page', 'empty'] as const) {
    const by = told(yookassaCharge, shape)
    const misconfigured = [...MOVED, ...CALLER, ...REFUSED].toSorted((a, b) => a - b)
    assert.deepEqual(by, { in_doubt: doubt, misconfigured, not_executed: [429] }, shape)
  }
})

test('a body about another payment and a key that was used with another request are in doubt', () => {
  for (const shape of ['another', 'key_used'] as const) {
    assert.deepEqual(told(yookassaCharge, shape), { in_doubt: STATUSES }, shape)
  }
})

test('202 and 500 are in doubt whatever their body, and so is what was not read whole', () => {
  for (const shape of SHAPES) {
    assert.equal(yookassaCharge(202, shape), 'in_doubt')
    assert.equal(yookassaCharge(500, shape), 'in_doubt')
    assert.equal(yookassaCharge(null, shape), 'in_doubt')
    assert.equal(yookassaCharge(null, shape, false), 'not_executed')
    assert.equal(yookassaLookup(null, shape), 'no_answer')
  }
})

test('a lookup is a word with 200, not found in YooKassa’s own words, and else no answer', () => {
  const kinds = { succeeded: 'success', canceled: 'declined', pending: 'pending' } as const
  for (const [shape, kind] of Object.entries(kinds)) {
    const by = told(yookassaLookup, shape as keyof typeof kinds)
    assert.deepEqual(by, { [kind]: [200], no_answer: others([200]) }, shape)
  }
  assert.deepEqual(told(yookassaLookup, 'another'), { no_answer: STATUSES })
  const refused = [401, 403, 407]
  assert.deepEqual(told(yookassaLookup, 'error'), {
    no_answer: others(refused, [404]),
    misconfigured: refused,
    not_found: [404],
  })
  for (const shape of ['forbidden', 'key_used', 'json', 'page', 'empty'] as const) {
    const by = told(yookassaLookup, shape)
    assert.deepEqual(by, { no_answer: others(refused), misconfigured: refused }, shape)
  }
})

const OBJECT = {
  id: '2e5e0000-000f-5000-8000-000000000001',
  status: 'succeeded',
  amount: { value: '200.50', currency: 'RUB' },
  metadata: { payment_id: '7', payment_key: DEPOSIT.key },
}

function read(body: unknown) {
  return readYookassa(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), DEPOSIT)
}

test('an object is ours by our key in its metadata, its amount and its currency, by value', () => {
  assert.equal(read(OBJECT).shape, 'succeeded')
  assert.equal(
    read({ ...OBJECT, amount: { value: '200.500', currency: 'RUB' } }).shape,
    'succeeded',
  )
  assert.equal(read({ ...OBJECT, status: 'waiting_for_capture' }).shape, 'pending')
  const foreign = [
    { amount: { value: '200.51', currency: 'RUB' } },
    { amount: { value: '200.50', currency: 'USD' } },
    { amount: {} },
    { metadata: { payment_id: '7', payment_key: 'of another' } },
  ]
  for (const other of foreign) {
    const { shape, ref } = read({ ...OBJECT, ...other })
    assert.deepEqual([shape, ref], ['another', null], JSON.stringify(other))
  }
})

test('what names nobody, has no status or two meanings is no word', () => {
  const texts: readonly (readonly [unknown, YookassaShape])[] = [
    [{ ...OBJECT, metadata: {} }, 'json'],
    [{ ...OBJECT, metadata: [DEPOSIT.key] }, 'json'],
    [{ ...OBJECT, status: 'Succeeded' }, 'json'],
    [{ ...OBJECT, status: 'constructor' }, 'json'],
    [{ ...OBJECT, id: '../refunds' }, 'json'],
    [{ type: 'processing', description: 'x', retry_after: 1_800 }, 'json'],
    [{ type: 'error', id: 'x' }, 'json'],
    [{ type: 'error', code: '<b>' }, 'json'],
    [{ type: 'error', code: 'invalid_request', parameter: 'amount' }, 'error'],
    [{ type: 'error', code: 'not_found' }, 'error'],
    [{ type: 'error', code: 'forbidden' }, 'forbidden'],
    [{ type: 'error', code: 'forbidden', parameter: 'payment_method_id' }, 'error'],
    [{ type: 'error', code: 'invalid_request', parameter: 'Idempotence-Key' }, 'key_used'],
    [{ type: 'error', code: 'forbidden', parameter: 'Idempotence-Key' }, 'error'],
    [{ ...OBJECT, type: 'error', code: 'x' }, 'error'],
    ['', 'empty'],
    ['<html>', 'page'],
    ['[]', 'page'],
    [`{"status":"canceled",${JSON.stringify(OBJECT).slice(1)}`, 'page'],
  ]
  for (const [body, shape] of texts) assert.equal(read(body).shape, shape, JSON.stringify(body))
  assert.equal(read({ type: 'processing', retry_after: 1_800 }).waitMs, 1_800)
  for (const wait of ['1e999', '"1800"', 'null']) {
    assert.equal(read(`{"type":"processing","retry_after":${wait}}`).waitMs, null, wait)
  }
})

test('the payer is sent to a page only where it is encrypted and hands on no credentials', () => {
  const url = (confirmation: unknown, status = 'pending') =>
    read({ ...OBJECT, status, confirmation }).action?.url ?? null
  const page = 'https://payer.example/confirm?orderId=1'
  assert.equal(url({ type: 'redirect', confirmation_url: page }), page)
  assert.equal(url({ type: 'redirect', confirmation_url: page }, 'succeeded'), null)
  for (const bad of [
    { type: 'qr', confirmation_url: page },
    { type: 'redirect' },
    { type: 'redirect', confirmation_url: 'http://payer.example/' },
    { type: 'redirect', confirmation_url: 'https://user:secret@payer.example/' },
    { type: 'redirect', confirmation_url: 'https://user@payer.example/' },
    { type: 'redirect', confirmation_url: 'https://:secret@payer.example/' },
    { type: 'redirect', confirmation_url: 'https://payer.example/\u202e' },
    { type: 'redirect', confirmation_url: `https://payer.example/${'a'.repeat(2_048)}` },
    null,
  ]) {
    assert.equal(url(bad), null, JSON.stringify(bad))
  }
})

test('every reason of a cancelation is a word of all gateways, an unknown one is declined', () => {
  const canceled = (reason: unknown) =>
    read({ ...OBJECT, status: 'canceled', cancellation_details: { party: 'x', reason } })
  assert.equal(canceled('card_expired').code, 'card_expired')
  assert.equal(canceled('<script>').code, null)
  const reasons = {
    insufficient_funds: 'insufficient_funds',
    '3d_secure_failed': 'authentication_failed',
    expired_on_confirmation: 'expired',
    canceled_by_merchant: 'canceled',
    one_time_limit_exceeded: 'limit_exceeded',
    something_new: 'declined',
  }
  for (const [reason, word] of Object.entries(reasons)) {
    assert.equal(yookassaDecline(reason), word)
    assert.ok(word in DECLINE_WORDS)
  }
  assert.equal(yookassaDecline(null), 'declined')
})
