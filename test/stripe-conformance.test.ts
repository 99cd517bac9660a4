import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import Stripe from 'stripe'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { stripeChargeKind, stripeLookupKind } from '../src/gateways/stripe-reply.ts'
import type { RawNotice } from '../src/ports.ts'
import { vocabularyOf } from './conformance-table.ts'
import type { Conformer, Noticing } from './conformer.ts'
import { behaving, dressedAs, gatewayConformance, REQUEST } from './gateway-conformance.ts'
import { detailsOf } from './driver-kit.ts'
import { manualClock } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { STRIPE_SHAPES } from './reply-table.ts'
import { SECRET_KEY, stripeDriver } from './stripe-kit.ts'

/** The suite's operations with a method, which Stripe needs. */
function dressed(operation: GatewayOperation): GatewayOperation {
  const method = operation.kind === 'payout' ? 'acct_1' : 'pm_card_visa'
  return { ...operation, details: detailsOf(method) }
}

function intent({ amount, currency, key, paymentId }: GatewayOperation, status: string) {
  return {
    id: 'pi_1',
    object: 'payment_intent',
    amount: Number(amount),
    currency: currency.toLowerCase(),
    status,
    metadata: { payments_payment_id: `${paymentId}`, payments_key: key },
  }
}

const error = (type: string, code: string | null, more: object = {}) => ({
  error: { type, ...(code === null ? {} : { code }), ...more },
})

const VOCABULARY = vocabularyOf({
  shapes: STRIPE_SHAPES,
  words: { success: 'success', declined: 'declined', pending: 'pending' },
  refusal: 'rejected',
  charge: stripeChargeKind,
  lookup: stripeLookupKind,
  body: {
    success: (operation) => intent(operation, 'succeeded'),
    declined: (operation) => {
      const refused = intent(operation, 'requires_payment_method')
      return error('card_error', 'card_declined', { payment_intent: refused })
    },
    pending: (operation) => intent(operation, 'processing'),
    rejected: () => error('invalid_request_error', 'resource_missing'),
    credential: () => error('invalid_request_error', 'api_key_expired'),
    key_in_use: () => error('idempotency_error', null),
    trouble: () => error('api_error', null),
    absent: () => ({ object: 'list', data: [], has_more: false }),
    json: () => ({ message: 'Bad Gateway' }),
    page: () => '<html>',
    empty: () => '',
    another: (operation) => intent({ ...operation, key: 'of-another' }, 'succeeded'),
  },
  headers: ({ key }) => `idempotency-key: ${key}\r\n`,
})

const SECRET = 'whsec_current'
const TYPES = { success: 'payment_intent.succeeded', declined: 'payment_intent.payment_failed' }

/** Notices as Stripe's own library signs them. */
function noticing(timestamp: number): Noticing {
  const { webhooks } = new Stripe(SECRET_KEY)
  const signed = (payload: string, secret = SECRET, at = timestamp) => ({
    'stripe-signature': webhooks.generateTestHeaderString({ payload, secret, timestamp: at }),
  })
  const again = (raw: RawNotice, ...how: [secret?: string, at?: number]) => ({
    ...raw,
    headers: signed(raw.body.toString(), ...how),
  })
  return {
    of({ ref, paymentId, event }) {
      const metadata = { payments_payment_id: `${paymentId}` }
      const object = { id: ref, object: 'payment_intent', status: 'succeeded', metadata }
      const id = `evt_${event}_${ref}`
      const payload = JSON.stringify({ id, object: 'event', type: TYPES[event], data: { object } })
      return { source: '192.0.2.1', headers: signed(payload), body: Buffer.from(payload) }
    },
    forged: [
      (raw) => ({
        ...raw,
        body: Buffer.from(raw.body.toString().replace('succeeded', 'canceled')),
      }),
      (raw) => ({ ...raw, headers: {} }),
      (raw) => again(raw, 'whsec_another'),
      (raw) => again(raw, SECRET, timestamp - 301),
    ],
  }
}

async function conformer(t: TestContext): Promise<Conformer> {
  const clock = manualClock()
  const { url, mock } = await serveMock(t, {}, undefined, clock)
  const dead = await serveMock(t)
  await dead.close()
  const at = (to: string) =>
    dressedAs(dressed, stripeDriver(t, to, { clock, noticeSecrets: [SECRET] }))
  const refs = (paymentId: bigint) => mock.stripe.moved('payments_payment_id', `${paymentId}`)
  return {
    gateway: at(`${url}/stripe`),
    dead: at(`${dead.url}/stripe`),
    at,
    clock,
    vocabulary: VOCABULARY,
    charge: dressed(REQUEST),
    ref: 'pi_1',
    behave: behaving(mock),
    // Between what Stripe charges at least and at most.
    amounts: [50n, 99n, 100n, 20_050n, 99_999_999n],
    charged: (paymentId) => refs(paymentId).length,
    async comesBack(ref, amount) {
      const answer = await fetch(`${url}/stripe/v1/refunds`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${SECRET_KEY}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        body: new URLSearchParams({ payment_intent: ref, amount: `${amount}` }).toString(),
      })
      assert.equal(answer.status, 200)
    },
    notices: noticing(clock.now().getTime() / 1_000),
    refs,
  }
}

gatewayConformance('stripe against the mock gateway', conformer)
