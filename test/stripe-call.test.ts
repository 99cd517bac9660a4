import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CURRENCIES, type Exponent } from '../src/domain/currency.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { fromStripe, STRIPE_CURRENCIES, toStripe } from '../src/gateways/stripe-amount.ts'
import { executeCall, lookupCall } from '../src/gateways/stripe-call.ts'
import { detailsOf } from './driver-kit.ts'
import { DEPOSIT, PAYOUT, REFUND } from './stripe-kit.ts'

const ACCESS = { root: '', secretKey: 'sk_test_0' }

/** The path and the fields of a call. */
function called(asked: ReturnType<typeof executeCall>) {
  assert.ok(asked.ok)
  const { method, path, body, headers } = asked.call
  const [at = '', query = ''] = path.split('?')
  return {
    at: `${method} ${at}`,
    fields: Object.fromEntries(new URLSearchParams(body ?? query)),
    headers,
  }
}

test('amounts are sent in Stripe’s units, and those that it cannot express are not', () => {
  const amounts: readonly (readonly [string, Exponent, bigint, bigint | null, (bigint | null)?])[] =
    [
      ['USD', 2, 20_050n, 20_050n],
      ['JPY', 0, 500n, 500n],
      ['KWD', 3, 1_230n, 1_230n],
      ['KWD', 3, 1_234n, null],
      ['ISK', 0, 5n, 500n],
      ['UGX', 0, 5n, 500n],
      ['MGA', 2, 500n, 5n],
      ['MGA', 2, 505n, null],
      ['HUF', 2, 1_050n, 1_050n, null],
      ['TWD', 2, 1_000n, 1_000n, 1_000n],
      ['IQD', 3, 1_000n, null],
      ['CLF', 4, 10_000n, null],
    ]
  for (const [currency, exponent, amount, charged, paidOut = charged] of amounts) {
    assert.equal(toStripe({ amount, currency, exponent }, false), charged, currency)
    assert.equal(toStripe({ amount, currency, exponent }, true), paidOut, currency)
  }
})

test('every amount that Stripe takes comes back from it as the same amount', () => {
  for (const [currency] of STRIPE_CURRENCIES) {
    const exponent = CURRENCIES.get(currency)
    assert.ok(exponent !== undefined, `${currency} is one of ISO 4217`)
    for (const amount of [1n, 10n, 99n, 100n, 12_345_600n]) {
      const units = toStripe({ amount, currency, exponent }, false)
      if (units === null) continue
      assert.equal(fromStripe(Number(units), { currency, exponent }), amount, currency)
    }
  }
  const usd = { currency: 'USD', exponent: 2 } as const
  for (const wrong of ['1', 1.5, Number.NaN, 2 ** 60, null])
    assert.equal(fromStripe(wrong, usd), null)
  assert.equal(fromStripe(100, { currency: 'IQD', exponent: 3 }), null, 'none that Stripe takes')
})

test('a payer who is not there is charged off session, and no page can be asked for', () => {
  const { at, fields, headers } = called(executeCall(ACCESS, DEPOSIT))
  assert.equal(at, 'POST /v1/payment_intents')
  assert.deepEqual(fields, {
    amount: '20050',
    currency: 'usd',
    confirm: 'true',
    payment_method: 'pm_card_visa',
    'automatic_payment_methods[enabled]': 'true',
    'automatic_payment_methods[allow_redirects]': 'never',
    off_session: 'true',
    'metadata[payments_payment_id]': '7',
    'metadata[payments_key]': 'key_1',
  })
  const named = Object.fromEntries(
    headers.flatMap((name, nth) => (nth % 2 === 0 ? [[name, headers[nth + 1]]] : [])),
  )
  assert.equal(named['idempotency-key'], 'key_1')
  assert.equal(named['authorization'], 'Bearer sk_test_0')
  assert.match(named['stripe-version'] ?? '', /^\d{4}-\d\d-\d\d\./)
})

test('a payer who can be sent to a page is on session, and comes back to it', () => {
  const details = detailsOf('cus_1/pm_2', 'https://shop.example/back?a=1&b=2')
  const { fields } = called(executeCall(ACCESS, { ...DEPOSIT, details }))
  assert.equal(fields['return_url'], 'https://shop.example/back?a=1&b=2')
  assert.equal(fields['off_session'], undefined)
  assert.deepEqual([fields['customer'], fields['payment_method']], ['cus_1', 'pm_2'])
})

test('what may be edited later is not sent, so a repeat under the same key has the same fields', () => {
  const edited = { ...detailsOf('pm_card_visa'), description: 'x', metadata: { a: 'b' } }
  for (const operation of [DEPOSIT, PAYOUT, REFUND]) {
    const details = { ...edited, paymentMethod: operation.details?.paymentMethod ?? null }
    assert.deepEqual(executeCall(ACCESS, { ...operation, details }), executeCall(ACCESS, operation))
  }
})

test('a payout is a transfer in a group of its own, and a refund one of a payment intent', () => {
  const payout = called(executeCall(ACCESS, PAYOUT))
  assert.equal(payout.at, 'POST /v1/transfers')
  assert.deepEqual(
    [payout.fields['destination'], payout.fields['transfer_group']],
    ['acct_1', 'key_2'],
  )
  const refund = called(executeCall(ACCESS, REFUND))
  assert.equal(refund.at, 'POST /v1/refunds')
  assert.deepEqual([refund.fields['payment_intent'], refund.fields['amount']], ['pi_1', '50'])
})

test('what cannot be asked for is refused before anything is sent', () => {
  const { details: _, ...bare } = PAYOUT
  const refused: readonly (readonly [GatewayOperation, string])[] = [
    [{ ...DEPOSIT, details: detailsOf(null) }, 'no_payment_method'],
    [{ ...PAYOUT, details: detailsOf(null) }, 'no_payment_method'],
    [bare, 'no_payment_method'],
    [{ ...REFUND, parent: { paymentId: 7n, gatewayRef: null } }, 'unknown_charge'],
    [{ ...DEPOSIT, currency: 'IQD', exponent: 3 }, 'amount_unsupported'],
  ]
  for (const [operation, reason] of refused) {
    assert.deepEqual(executeCall(ACCESS, operation), { ok: false, reason })
  }
})

test('lookups ask by Stripe’s id, or by our key where there is none', () => {
  const by = (operation: GatewayOperation) => called(lookupCall(ACCESS, operation))
  const searched = by(DEPOSIT)
  assert.equal(searched.at, 'GET /v1/payment_intents/search')
  assert.equal(searched.fields['query'], "metadata['payments_key']:'key_1'")
  assert.equal(by({ ...DEPOSIT, gatewayRef: 'pi_1' }).at, 'GET /v1/payment_intents/pi_1')
  assert.deepEqual(by(PAYOUT).fields, { transfer_group: 'key_2', limit: '10' })
  assert.equal(by({ ...PAYOUT, gatewayRef: 'tr_1' }).at, 'GET /v1/transfers/tr_1')
  assert.deepEqual(by(REFUND).fields, { payment_intent: 'pi_1', limit: '100' })
  assert.equal(by({ ...REFUND, gatewayRef: 're_1' }).at, 'GET /v1/refunds/re_1')
  assert.equal(by({ ...DEPOSIT, gatewayRef: '../x?y' }).at, 'GET /v1/payment_intents/..%2Fx%3Fy')
  const quoted = by({ ...DEPOSIT, key: "a'b\\c" })
  assert.equal(quoted.fields['query'], "metadata['payments_key']:'a\\'b\\\\c'")
})

test('a refund of a charge that Stripe has not named is not looked for among those of others', () => {
  const unnamed = { ...REFUND, parent: { paymentId: 7n, gatewayRef: null } }
  assert.deepEqual(lookupCall(ACCESS, unnamed), { ok: false, reason: 'unknown_charge' })
})
