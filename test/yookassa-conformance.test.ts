import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { formatMoney } from '../src/domain/money.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { yookassaCharge, yookassaLookup } from '../src/gateways/yookassa-reply.ts'
import { vocabularyOf } from './conformance-table.ts'
import type { Conformer, Noticing } from './conformer.ts'
import { behaving, dressedAs, gatewayConformance, REQUEST } from './gateway-conformance.ts'
import { manualClock } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { YOOKASSA_SHAPES } from './reply-table.ts'
import { DETAILS, SHOP, yookassa } from './yookassa-kit.ts'

/** The suite's operations in roubles, and with a method, which YooKassa needs. */
function dressed(operation: GatewayOperation): GatewayOperation {
  return { ...operation, currency: 'RUB', details: DETAILS }
}

function object({ amount, exponent, key, paymentId }: GatewayOperation, status: string) {
  return {
    id: 'ref-1',
    status,
    amount: { value: formatMoney(amount, exponent), currency: 'RUB' },
    metadata: { payment_id: `${paymentId}`, payment_key: key },
  }
}

const error = (code: string, parameter?: string) => ({ type: 'error', code, parameter })

const VOCABULARY = vocabularyOf({
  shapes: YOOKASSA_SHAPES,
  words: { success: 'succeeded', declined: 'canceled', pending: 'pending' },
  refusal: 'error',
  charge: yookassaCharge,
  lookup: yookassaLookup,
  body: {
    succeeded: (operation) => object(operation, 'succeeded'),
    canceled: (operation) => object(operation, 'canceled'),
    pending: (operation) => object(operation, 'waiting_for_capture'),
    error: () => error('invalid_request', 'payment_method_id'),
    forbidden: () => error('forbidden'),
    key_used: () => error('invalid_request', 'Idempotence-Key'),
    json: () => ({ type: 'processing' }),
    page: () => '<html>',
    empty: () => '',
    another: (operation) => object({ ...operation, amount: 1n }, 'succeeded'),
  },
})

const EVENTS = { success: 'payment.succeeded', declined: 'payment.canceled' }

/** Nothing of a notice is signed: it is YooKassa's by where it comes from. */
const NOTICES: Noticing = {
  of({ ref, paymentId, event }) {
    const metadata = { payment_id: `${paymentId}`, payment_key: 'k' }
    const about = { id: ref, status: 'succeeded', metadata }
    const body = JSON.stringify({ type: 'notification', event: EVENTS[event], object: about })
    return { source: '185.71.76.5', headers: {}, body: Buffer.from(body) }
  },
  forged: [
    (raw) => ({ ...raw, source: '192.0.2.1' }),
    (raw) => ({ ...raw, source: '127.0.0.1', headers: { 'x-forwarded-for': raw.source } }),
    (raw) => ({ ...raw, source: `${raw.source}, 192.0.2.1` }),
  ],
}

async function conformer(t: TestContext): Promise<Conformer> {
  const clock = manualClock()
  const { url, mock } = await serveMock(t, {}, undefined, clock)
  const { url: deadUrl, close } = await serveMock(t)
  await close()
  const at = (to: string) => dressedAs(dressed, yookassa(t, to, { clock }))
  const refs = (paymentId: bigint) => mock.yookassa.moved('payment_id', `${paymentId}`)
  return {
    gateway: at(`${url}/yookassa/v3`),
    dead: at(`${deadUrl}/yookassa/v3`),
    at,
    clock,
    vocabulary: VOCABULARY,
    charge: dressed(REQUEST),
    ref: 'ref-1',
    behave: behaving(mock),
    charged: (paymentId) => refs(paymentId).length,
    async comesBack(ref, amount) {
      const answer = await fetch(`${url}/yookassa/v3/refunds`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${btoa(`${SHOP.id}:${SHOP.secretKey}`)}`,
          'content-type': 'application/json',
          'idempotence-key': `by-hand-${amount}`,
        },
        body: JSON.stringify({
          amount: { value: formatMoney(amount, 2), currency: 'RUB' },
          payment_id: ref,
        }),
      })
      assert.equal(answer.status, 200)
    },
    notices: NOTICES,
    refs,
  }
}

gatewayConformance('yookassa against the mock gateway', conformer)
