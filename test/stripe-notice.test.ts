import assert from 'node:assert/strict'
import { test } from 'node:test'
import Stripe from 'stripe'
import { writeJson } from '../src/domain/exact-json.ts'
import { readStripeNotice } from '../src/gateways/stripe-notice.ts'
import { stripeDriver } from './stripe-kit.ts'

const SECRET = 'whsec_current'
const AT_S = 1_800_000_000
const NOW = new Date(AT_S * 1_000)
const TERMS = { secrets: [SECRET], ageMsMax: 300_000, live: false }

const OBJECT = {
  id: 'pi_1',
  object: 'payment_intent',
  status: 'succeeded',
  metadata: { payments_payment_id: '7' },
}
const event = (type: string, object: object) =>
  writeJson({ id: 'evt_1', object: 'event', type, data: { object } })
const PAID = event('payment_intent.succeeded', OBJECT)

/** Signed by Stripe's own library. */
function signed(payload: string, secret = SECRET, timestamp = AT_S): string {
  const webhooks = new Stripe('sk_test_0').webhooks
  return webhooks.generateTestHeaderString({ payload, secret, timestamp })
}

function read(header: string | string[] | undefined, body = PAID, terms = TERMS, now = NOW) {
  const headers = { 'stripe-signature': header }
  return readStripeNotice({ source: '', headers, body: Buffer.from(body) }, terms, now)
}

/** Why it is refused; null: it is not. */
const problem = (...args: Parameters<typeof read>) => {
  const notice = read(...args)
  return notice.kind === 'refused' ? notice.reason : null
}

test('a notice that Stripe’s library signed is authentic, and names what it is about', () => {
  assert.deepEqual(read(signed(PAID)), {
    kind: 'authentic',
    operation: 'charge',
    ref: 'pi_1',
    paymentId: 7n,
    event: 'payment_intent.succeeded',
    status: 'succeeded',
    dedupeKey: 'evt_1',
  })
})

test('a dispute, and a refund that others have made, name their payment intent', () => {
  for (const [type, object, operation] of [
    ['charge.dispute.created', { id: 'dp_1', payment_intent: 'pi_1', metadata: {} }, 'charge'],
    ['refund.failed', { id: 're_1', payment_intent: 'pi_1', metadata: {} }, 'refund'],
  ] as const) {
    const body = event(type, object)
    const notice = read(signed(body), body)
    assert(notice.kind === 'authentic')
    assert.deepEqual([notice.operation, notice.paymentId], [operation, null])
    assert.equal(notice.parentRef, 'pi_1')
  }
})

test('an altered notice is refused: each byte of it, its time, its signature, its secret', () => {
  const header = signed(PAID)
  for (let at = 0; at < PAID.length; at += 1) {
    const altered = `${PAID.slice(0, at)}\u0001${PAID.slice(at + 1)}`
    assert.equal(problem(header, altered), 'signature_wrong')
  }
  assert.equal(problem(header, `${PAID} `), 'signature_wrong')
  assert.equal(problem(header.replace(/t=\d/, 't=2')), 'signature_wrong')
  assert.equal(problem(signed(PAID, 'whsec_another')), 'signature_wrong')
  assert.equal(problem(header.replace('v1=', 'v0=')), 'signature_wrong')
  assert.equal(problem(header.slice(0, -1)), 'signature_wrong')
})

test('a notice is as old as its tolerance and no older, by the clock, in both directions', () => {
  const after = (ms: number) => new Date(NOW.getTime() + ms)
  const header = signed(PAID)
  for (const ms of [0, 300_000, -300_000])
    assert.equal(problem(header, PAID, TERMS, after(ms)), null)
  for (const ms of [300_001, -300_001]) {
    assert.equal(problem(header, PAID, TERMS, after(ms)), 'signature_too_old')
  }
})

test('while a secret is changed both are taken, and several signatures are looked at', () => {
  const both = { ...TERMS, secrets: [SECRET, 'whsec_before'] }
  assert.equal(problem(signed(PAID, 'whsec_before'), PAID, both), null)
  const [time, first] = signed(PAID, 'whsec_another').split(',')
  const [, second] = signed(PAID).split(',')
  assert.equal(problem(`${time},${first},${second}`), null)
  assert.equal(problem(signed(PAID), PAID, { ...TERMS, secrets: [] }), 'no_notice_secret')
})

test('what is no signature is refused without an error', () => {
  const headers = [
    [undefined, 'signature_missing'],
    [['a', 'b'], 'signature_missing'],
    ['', 'signature_malformed'],
    ['t=,v1=', 'signature_malformed'],
    [`t=${AT_S}`, 'signature_wrong'],
    [`${signed(PAID)},t=1`, 'signature_malformed'],
    ['t=1e9,v1=aa', 'signature_malformed'],
    [`t=${AT_S},v1=${'a'.repeat(63)}`, 'signature_wrong'],
  ] as const
  for (const [header, reason] of headers) {
    const given = typeof header === 'object' ? [...header] : header
    assert.equal(problem(given), reason, String(header))
  }
})

test('what is signed and of no use is ignored, in whatever form it comes', () => {
  const told = (body: string) => {
    const notice = read(signed(body), body)
    return notice.kind === 'ignored' || notice.kind === 'refused' ? notice.kind : notice.operation
  }
  assert.equal(told(event('customer.created', { id: 'cus_1' })), 'ignored')
  assert.equal(told(event('payment_intent.succeeded', {})), 'ignored')
  const thin = { id: 'evt_1', object: 'v2.core.event', type: 'v1.payment_intent.succeeded' }
  for (const body of ['{"object":"event"}', 'not JSON', '[]', JSON.stringify(thin)]) {
    assert.equal(told(body), 'ignored')
  }
  assert.equal(told(event('refund.updated', { id: 're_1' })), 'refund')
  assert.equal(told(event('transfer.reversed', { id: 'tr_1' })), 'payout')
})

test('metadata that name no payment in our way are those of others, and break nothing', () => {
  for (const id of ['order-7', '', '07', '-7', '7.5', '1'.repeat(19), 7, true, null, ['7']]) {
    const body = event('refund.updated', { id: 're_1', metadata: { payments_payment_id: id } })
    const notice = read(signed(body), body)
    assert(notice.kind === 'authentic', writeJson(id))
    assert.equal(notice.paymentId, null, writeJson(id))
  }
})

test('what is signed and of the test mode is ignored where our key is of none', () => {
  const body = PAID.replace('"object":"event"', '"object":"event","livemode":false')
  assert.equal(read(signed(body), body).kind, 'authentic')
  const live = { ...TERMS, live: true }
  assert.equal(read(signed(body), body, live).kind, 'ignored')
  assert.equal(read(signed(PAID), PAID, live).kind, 'authentic')
  // Nobody else can say so.
  assert.equal(read(signed(body, 'whsec_forged'), body, live).kind, 'refused')
})

test('a charge-back is about the payment intent of its charge', () => {
  const body = event('charge.dispute.created', { id: 'dp_1', payment_intent: 'pi_9' })
  const notice = read(signed(body), body)
  assert.ok(notice.kind === 'authentic')
  assert.deepEqual([notice.operation, notice.ref, notice.paymentId], ['charge', 'pi_9', null])
})

test('the driver reads notices by its secrets and its clock', (t) => {
  const clock = { now: () => NOW, elapsedMs: () => 0, sleep: () => Promise.resolve() }
  const driver = stripeDriver(t, 'http://127.0.0.1:1', { noticeSecrets: [SECRET], clock })
  const headers = { 'stripe-signature': signed(PAID) }
  const raw = { source: '', headers, body: Buffer.from(PAID) }
  assert.equal(driver.readNotice?.(raw).kind, 'authentic')
  assert.equal(driver.readNotice?.({ ...raw, body: Buffer.from('{}') }).kind, 'refused')
})
