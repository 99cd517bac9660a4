import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeJson } from '../src/domain/exact-json.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { DECLINE_WORDS } from '../src/domain/decline.ts'
import { wordFor } from '../src/gateways/stripe-declines.ts'
import {
  readStripe,
  stripeChargeKind,
  stripeLookupKind,
  type StripeShape,
} from '../src/gateways/stripe-reply.ts'
import { STRIPE_SHAPES } from './reply-table.ts'
import { DEPOSIT, PAYOUT, REFUND } from './stripe-kit.ts'

const SHAPES = Object.keys(STRIPE_SHAPES) as StripeShape[] // Its keys are the shapes.

function* replies(): Generator<readonly [status: number, shape: StripeShape]> {
  for (let status = 100; status <= 599; status += 1)
    for (const shape of SHAPES) yield [status, shape]
}

test('only 2xx of Stripe says yes, and a decline is one only in its own words', () => {
  for (const [status, shape] of replies()) {
    const kind = stripeChargeKind(status, shape)
    if (kind === 'success' || kind === 'pending') {
      assert.ok(status >= 200 && status < 300 && shape === kind)
    }
    if (kind === 'declined') assert.equal(shape, 'declined')
    if (kind === 'rejected') assert.ok(status >= 400 && status < 500 && shape === 'rejected')
  }
})

test('what may come after execution at Stripe is in doubt: 5xx, 409, 424, a key in use', () => {
  for (const [status, shape] of replies()) {
    const kind = stripeChargeKind(status, shape)
    if (status >= 500 || status === 408 || status === 425) assert.equal(kind, 'in_doubt')
    if (status === 424) assert.equal(kind, 'in_doubt')
    if (status === 409 && shape !== 'declined') assert.equal(kind, 'in_doubt')
    if (shape === 'another') assert.equal(kind, 'in_doubt')
    if (shape === 'key_in_use' && ![301, 307, 308, 401, 407, 429].includes(status)) {
      assert.equal(kind, 'in_doubt')
    }
  }
})

test('what is wrong with the account or its keys stops it, and is no word about a payment', () => {
  for (const status of [401, 403]) {
    assert.equal(stripeChargeKind(status, 'rejected'), 'misconfigured')
    assert.equal(stripeLookupKind(status, 'rejected'), 'misconfigured')
  }
  assert.equal(stripeChargeKind(400, 'credential'), 'misconfigured')
  assert.equal(stripeLookupKind(400, 'credential'), 'misconfigured')
  assert.equal(stripeChargeKind(400, 'rejected'), 'rejected')
  assert.equal(stripeChargeKind(429, 'rejected'), 'not_executed')
})

test('nothing but a whole list without us, or Stripe’s own 404, says that it was not found', () => {
  for (const [status, shape] of replies()) {
    const kind = stripeLookupKind(status, shape)
    const says = (status === 200 && shape === 'absent') || (status === 404 && shape === 'rejected')
    if (kind === 'not_found') assert.ok(says)
    if (shape === 'page' || shape === 'empty' || shape === 'another') {
      assert.ok(kind === 'no_answer' || kind === 'misconfigured')
    }
  }
  assert.equal(stripeLookupKind(200, 'absent'), 'not_found')
  assert.equal(stripeLookupKind(404, 'rejected'), 'not_found')
  assert.equal(stripeLookupKind(201, 'absent'), 'no_answer')
})

test('without a whole reply only whether a byte was sent counts', () => {
  for (const shape of SHAPES) {
    assert.equal(stripeChargeKind(null, shape, true), 'in_doubt')
    assert.equal(stripeChargeKind(null, shape, false), 'not_executed')
    assert.equal(stripeLookupKind(null, shape), 'no_answer')
  }
})

const METADATA = { payments_payment_id: '7', payments_key: 'key_1' }
const INTENT = { object: 'payment_intent', id: 'pi_1', amount: 20_050, currency: 'usd' }

/** What a body is to an operation, and what it says. */
function seen(body: unknown, operation: GatewayOperation = DEPOSIT, echo: string | null = 'key_1') {
  const text = typeof body === 'string' ? body : writeJson(body)
  const { shape, word } = readStripe(Buffer.from(text), operation, echo)
  return word === null ? shape : [shape, word.kind]
}

const intent = (change: object) => ({ ...INTENT, metadata: METADATA, ...change })
const error = (type: string, more: object = {}) => ({ error: { type, message: 'm', ...more } })

test('a payment intent is read by its state, and by nothing else', () => {
  const failed = { last_payment_error: { code: 'card_declined' } }
  const states = [
    [{ status: 'succeeded' }, 'success'],
    [{ status: 'processing' }, 'pending'],
    [{ status: 'requires_action' }, 'pending'],
    [{ status: 'requires_capture' }, 'pending'],
    [{ status: 'requires_confirmation' }, 'pending'],
    [{ status: 'requires_payment_method', last_payment_error: null }, 'pending'],
    [{ status: 'requires_payment_method', ...failed }, 'declined'],
    [{ status: 'succeeded', ...failed }, 'success'],
    [{ status: 'canceled', cancellation_reason: 'automatic' }, 'declined'],
  ] as const
  for (const [state, kind] of states) assert.deepEqual(seen(intent(state)), [kind, kind])
  for (const status of ['Succeeded', 'paid', '', null, undefined, 7]) {
    assert.equal(seen(intent({ status })), 'json', String(status))
  }
})

test('a payment intent that waits for its payer has the page that Stripe has for it, whatever pays', () => {
  const url = 'https://pay.example/1'
  for (const [way, page] of [
    [{ redirect_to_url: { url, return_url: null } }, url],
    [{ alipay_handle_redirect: { url, native_url: null } }, url],
    [{ oxxo_display_details: { hosted_voucher_url: url, number: '1' } }, url],
    [{ swish_handle_redirect_or_display_qr_code: { hosted_instructions_url: url } }, url],
    [{ verify_with_microdeposits: { hosted_verification_url: url } }, url],
    [{ use_stripe_sdk: { url } }, null],
    [{ redirect_to_url: { url: 'http://pay.example/1' } }, null],
    [null, null],
  ] as const) {
    const body = intent({ status: 'requires_action', next_action: way })
    const { word } = readStripe(Buffer.from(writeJson(body)), DEPOSIT, 'key_1')
    assert.ok(word?.kind === 'pending')
    assert.equal(word.action?.url ?? null, page, JSON.stringify(way))
  }
})

test('an object about another payment, amount or currency is none of ours', () => {
  const others = [
    { metadata: { ...METADATA, payments_key: 'key_9' } },
    { metadata: {} },
    { metadata: null },
    { amount: 20_051 },
    { amount: '20050' },
    { currency: 'eur' },
    { amount_received: 20_049 },
    { amount_received: 0 },
    { amount_received: null },
    { currency: undefined },
  ]
  for (const change of others) {
    assert.equal(seen(intent({ status: 'succeeded', ...change })), 'another')
  }
  assert.deepEqual(seen(intent({ status: 'succeeded', amount_received: 20_050 })), [
    'success',
    'success',
  ])
  assert.deepEqual(seen(intent({ status: 'processing', amount_received: 0 })), [
    'pending',
    'pending',
  ])
  assert.equal(seen(intent({ status: 'succeeded' }), DEPOSIT, 'key_9'), 'another')
  assert.equal(seen(intent({ status: 'succeeded', object: 'charge' })), 'json')
  const known = { ...DEPOSIT, gatewayRef: 'pi_1' }
  assert.deepEqual(seen(intent({ status: 'succeeded', metadata: {} }), known), [
    'success',
    'success',
  ])
})

test('refunds and transfers are read by what they are', () => {
  const ours = (key: string) => ({ metadata: { payments_key: key }, currency: 'usd' })
  const refund = (status: string) =>
    seen({ object: 'refund', id: 're_1', amount: 50, status, ...ours('key_3') }, REFUND, 'key_3')
  assert.deepEqual(refund('succeeded'), ['success', 'success'])
  assert.deepEqual(refund('pending'), ['pending', 'pending'])
  assert.deepEqual(refund('requires_action'), ['pending', 'pending'])
  assert.deepEqual(refund('failed'), ['declined', 'declined'])
  assert.deepEqual(refund('canceled'), ['declined', 'declined'])
  assert.equal(refund('reversed'), 'json')
  const transfer = { object: 'transfer', id: 'tr_1', amount: 20_050, ...ours('key_2') }
  assert.deepEqual(seen(transfer, PAYOUT, 'key_2'), ['success', 'success'])
})

test('an error is a decline, a refusal, a credential or nothing, by its type and code', () => {
  const declinedIntent = { payment_intent: intent({ status: 'requires_payment_method' }) }
  const errors = [
    [error('card_error', { code: 'card_declined', ...declinedIntent }), ['declined', 'declined']],
    [error('card_error', { code: 'card_declined' }), ['declined', 'declined']],
    [error('invalid_request_error', { code: 'parameter_unknown' }), 'rejected'],
    [error('invalid_request_error', { param: 'amount' }), 'rejected'],
    [error('invalid_request_error'), 'credential'],
    [error('invalid_request_error', { code: 'charge_already_refunded' }), ['declined', 'declined']],
    [error('invalid_request_error', { code: 'testmode_charges_only' }), 'credential'],
    [error('invalid_request_error', { code: 'idempotency_key_in_use' }), 'key_in_use'],
    [error('invalid_request_error', { code: 'lock_timeout' }), 'trouble'],
    [error('idempotency_error'), 'key_in_use'],
    [error('api_error'), 'trouble'],
    [error('something_new', { code: 'card_declined' }), 'trouble'],
    [{ error: 'card_error' }, 'json'],
    ['', 'empty'],
    ['<h1>502</h1>', 'page'],
    ['[]', 'page'],
    ['{"error":', 'page'],
    ['{}', 'json'],
  ] as const
  for (const [body, shape] of errors) assert.deepEqual(seen(body), shape, writeJson(body))
  const another = { payment_intent: intent({ metadata: { payments_key: 'key_9' } }) }
  assert.equal(seen(error('card_error', { code: 'card_declined', ...another })), 'another')
  // Nobody is named: it may be anybody's.
  assert.equal(seen(error('card_error', { code: 'card_declined' }), DEPOSIT, null), 'trouble')
})

test('a card error whose payment intent is done or goes on is no decline: that is asked', () => {
  for (const [status, shape] of [
    ['succeeded', 'trouble'],
    ['processing', 'trouble'],
    ['requires_action', 'trouble'],
    ['requires_capture', 'trouble'],
    ['requires_payment_method', ['declined', 'declined']],
    ['canceled', ['declined', 'declined']],
    ['of_tomorrow', ['declined', 'declined']],
  ] as const) {
    const said = error('card_error', { code: 'card_declined', payment_intent: intent({ status }) })
    assert.deepEqual(seen(said), shape, status)
  }
  assert.equal(stripeChargeKind(402, 'trouble'), 'in_doubt')
})

test('of a list only what is ours counts, and what is done most', () => {
  const list = (data: readonly object[], more = false) => ({
    object: 'search_result',
    data,
    has_more: more,
  })
  const failed = { status: 'requires_payment_method', last_payment_error: { code: 'x' } }
  const other = intent({ status: 'succeeded', metadata: {} })
  assert.equal(seen(list([]), DEPOSIT, null), 'absent')
  assert.equal(seen(list([other]), DEPOSIT, null), 'absent')
  assert.equal(seen(list([other], true), DEPOSIT, null), 'json')
  const all = [intent(failed), intent({ status: 'processing' }), intent({ status: 'succeeded' })]
  assert.deepEqual(seen(list(all), DEPOSIT, null), ['success', 'success'])
  assert.deepEqual(seen(list(all.slice(0, 2)), DEPOSIT, null), ['pending', 'pending'])
  assert.deepEqual(seen(list(all.slice(0, 1), true), DEPOSIT, null), ['declined', 'declined'])
})

test('Stripe’s codes have our words, the most telling code first, and unknown ones a word too', () => {
  const words = [
    [['insufficient_funds', 'card_declined'], 'insufficient_funds'],
    [['generic_decline', 'card_declined'], 'declined'],
    [['do_not_honor', 'card_declined'], 'declined'],
    [[null, 'expired_card'], 'card_expired'],
    [['lost_card'], 'lost_or_stolen'],
    [['fraudulent'], 'suspected_fraud'],
    [['never_heard_of'], 'declined'],
    [['constructor'], 'declined'],
    [[], 'declined'],
  ] as const
  for (const [codes, word] of words) assert.equal(wordFor(...codes), word)
  assert.ok(Object.keys(DECLINE_WORDS).every((word) => /^[a-z_]{1,40}$/.test(word)))
})
