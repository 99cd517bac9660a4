import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { gateway, http, peer, REQUEST } from './misbehaving-peer.ts'

const YEN: GatewayOperation = { ...REQUEST, amount: 1_500n, currency: 'JPY', exponent: 0 }

/** Replies about our payment that are about other money: they say nothing of ours. */
const OTHER_MONEY: Readonly<Record<string, object>> = {
  'another currency': { currency: 'USD', amount: 1500 },
  'another currency without an amount': { currency: 'USD' },
  'the same letters, small': { currency: 'jpy' },
  'a currency that is no text': { currency: 392 },
  'a list of currencies': { currency: ['JPY'] },
  'an amount of two decimals': { currency: 'JPY', amount: '15.00' },
  'a fraction of a yen': { currency: 'JPY', amount: 1500.5 },
  'minor units of two decimals': { currency: 'JPY', amount: 150_000 },
}

const WORDS = ['success', 'failed', 'pending'] as const
const OURS = { payment_id: 7, idempotency_key: 'pay_7' }

for (const [name, money] of Object.entries(OTHER_MONEY)) {
  for (const status of WORDS) {
    test(`${status} with ${name} is in doubt, and as a lookup no answer`, async (t) => {
      const code = status === 'failed' ? 402 : 200
      const reply = http(code, JSON.stringify({ status, ...OURS, ...money }))
      const { url } = await peer(t, (socket) => socket.write(reply))
      for (const echo of ['optional', 'required'] as const) {
        const client = gateway(t, url, { echo })
        const charged = await client.execute(YEN)
        assert.deepEqual(charged.outcome, { kind: 'in_doubt', reason: 'reply_mismatch' })
        const { outcome } = await client.lookup(YEN)
        assert.deepEqual(outcome, { kind: 'no_answer', reason: 'reply_mismatch' })
      }
    })
  }
}

/** Replies about our payment and its money. */
const OUR_MONEY: Readonly<Record<string, object>> = {
  'no currency and no amount': {},
  'its currency': { currency: 'JPY' },
  'its currency and amount': { currency: 'JPY', amount: 1500 },
  'its amount with decimals that are none': { currency: 'JPY', amount: '1500.00' },
  'a currency of null': { currency: null, amount: '1500' },
}

for (const [name, money] of Object.entries(OUR_MONEY)) {
  test(`success with ${name} is a success, of a charge and of a lookup`, async (t) => {
    const reply = http(200, JSON.stringify({ status: 'success', ...OURS, ...money }))
    const { url } = await peer(t, (socket) => socket.write(reply))
    const client = gateway(t, url)
    assert.equal((await client.execute(YEN)).outcome.kind, 'success')
    assert.equal((await client.lookup(YEN)).outcome.kind, 'success')
  })
}

test('a payment for which the gateway was told no currency is not judged by one', async (t) => {
  const reply = http(200, JSON.stringify({ status: 'success', ...OURS, currency: 'EUR' }))
  const { url, requests } = await peer(t, (socket) => socket.write(reply))
  assert.equal((await gateway(t, url).execute(REQUEST)).outcome.kind, 'success')
  assert.doesNotMatch(requests[0] ?? '', /currency/)
})
