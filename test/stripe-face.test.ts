import assert from 'node:assert/strict'
import { test } from 'node:test'
import Stripe from 'stripe'
import { officialClient, serveStripe, WRONG_KEY } from './stripe-kit.ts'

const CHARGE: Stripe.PaymentIntentCreateParams = {
  amount: 2_050,
  currency: 'usd',
  confirm: true,
  off_session: true,
  payment_method: 'pm_card_visa',
  automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
  metadata: { order: '7' },
}

/** The error that a call of the official client ends with. */
async function errorOf(call: Promise<unknown>) {
  try {
    await call
  } catch (error) {
    assert.ok(error instanceof Stripe.errors.StripeError, String(error))
    const { type, code, decline_code: declineCode, statusCode, param } = error
    return { type, code, declineCode, statusCode, param, intent: error.payment_intent ?? null }
  }
  throw new Error('it did not fail')
}

test('Stripe’s client charges, finds by id, by metadata and in lists, and refunds', async (t) => {
  const stripe = officialClient(await serveStripe(t))
  const made = await stripe.paymentIntents.create(CHARGE)
  assert.deepEqual([made.status, made.amount_received, made.currency], ['succeeded', 2_050, 'usd'])
  assert.match(made.id, /^pi_/)
  assert.equal((await stripe.paymentIntents.retrieve(made.id)).metadata['order'], '7')
  const found = await stripe.paymentIntents.search({ query: "metadata['order']:'7'" })
  assert.deepEqual(
    found.data.map(({ id }) => id),
    [made.id],
  )
  const none = await stripe.paymentIntents.search({ query: "metadata['order']:'8'" })
  assert.deepEqual(none.data, [])

  const part = await stripe.refunds.create({ payment_intent: made.id, amount: 50 })
  assert.deepEqual([part.status, part.amount, part.currency], ['succeeded', 50, 'usd'])
  const { latest_charge: charge } = await stripe.paymentIntents.retrieve(made.id, {
    expand: ['latest_charge'],
  })
  assert.ok(typeof charge === 'object' && charge !== null)
  assert.deepEqual([charge.amount, charge.amount_refunded, charge.refunded], [2_050, 50, false])
  const rest = await stripe.refunds.create({ payment_intent: made.id })
  assert.equal(rest.amount, 2_000)
  const listed = await stripe.refunds.list({ payment_intent: made.id })
  assert.deepEqual(
    listed.data.map(({ id }) => id),
    [rest.id, part.id],
  )
  const again = await errorOf(stripe.refunds.create({ payment_intent: made.id }))
  assert.deepEqual(
    [again.type, again.code],
    ['StripeInvalidRequestError', 'charge_already_refunded'],
  )
})

test('Stripe’s client goes through all pages of a list', async (t) => {
  const stripe = officialClient(await serveStripe(t))
  const ids: string[] = []
  for (let n = 0; n < 5; n += 1) ids.unshift((await stripe.paymentIntents.create(CHARGE)).id)
  const listed: string[] = []
  for await (const { id } of stripe.paymentIntents.list({ limit: 2 })) listed.push(id)
  assert.deepEqual(listed, ids)
})

test('a repeated key gives the first answer again, and no other request', async (t) => {
  const served = await serveStripe(t)
  const stripe = officialClient(served)
  const idempotencyKey = 'k1'
  const first = await stripe.paymentIntents.create(CHARGE, { idempotencyKey })
  const second = await stripe.paymentIntents.create(CHARGE, { idempotencyKey })
  assert.equal(second.id, first.id)
  // Over fetch they are what fetch calls headers.
  const headers = second.lastResponse.headers as unknown as Headers
  assert.equal(headers.get('idempotent-replayed'), 'true')
  assert.equal(second.lastResponse.idempotencyKey, idempotencyKey)
  assert.equal(served.mock.stripe.moved('order', '7').length, 1)
  const other = stripe.paymentIntents.create({ ...CHARGE, amount: 99 }, { idempotencyKey })
  assert.equal((await errorOf(other)).type, 'StripeIdempotencyError')

  const declined = { ...CHARGE, payment_method: 'pm_card_visa_chargeDeclined' }
  for (let times = 0; times < 2; times += 1) {
    const made = stripe.paymentIntents.create(declined, { idempotencyKey: 'k2' })
    assert.equal((await errorOf(made)).declineCode, 'generic_decline')
  }
})

test('a request that is refused is remembered under no key; a failure is', async (t) => {
  const served = await serveStripe(t)
  const stripe = officialClient(served)
  const bad = stripe.paymentIntents.create({ ...CHARGE, amount: 1 }, { idempotencyKey: 'k1' })
  assert.equal((await errorOf(bad)).code, 'amount_too_small')
  const good = await stripe.paymentIntents.create(CHARGE, { idempotencyKey: 'k1' })
  assert.equal(good.status, 'succeeded')

  served.mock.setFaults({ error_after: 1 })
  const lost = () => errorOf(stripe.paymentIntents.create(CHARGE, { idempotencyKey: 'k2' }))
  assert.equal((await lost()).statusCode, 500)
  served.mock.setFaults({ error_after: 0 })
  assert.equal((await lost()).statusCode, 500)
  assert.equal(served.mock.stripe.moved('order', '7').length, 2)
})

test('cards of Stripe’s tests are declined for their reasons', async (t) => {
  const stripe = officialClient(await serveStripe(t))
  const cards = [
    ['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_visa_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_visa_chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
    ['pm_card_authenticationRequired', 'authentication_required', 'authentication_required'],
  ] as const
  for (const [method, code, declineCode] of cards) {
    const seen = await errorOf(stripe.paymentIntents.create({ ...CHARGE, payment_method: method }))
    assert.deepEqual(
      [seen.type, seen.statusCode, seen.code, seen.declineCode],
      ['StripeCardError', 402, code, declineCode],
    )
    assert.equal(seen.intent?.status, 'requires_payment_method')
  }
})

test('a payer who is there is asked, and says yes or no, or never comes', async (t) => {
  const stripe = officialClient(await serveStripe(t))
  const asked = async () => {
    const { off_session: _, automatic_payment_methods: __, ...rest } = CHARGE
    const made = await stripe.paymentIntents.create({
      ...rest,
      payment_method: 'pm_card_threeDSecure2Required',
      return_url: 'https://shop.example/back',
    })
    assert.equal(made.status, 'requires_action')
    assert.match(made.next_action?.redirect_to_url?.url ?? '', /^https:/)
    return made.id
  }
  const says = (id: string, answer: string) =>
    stripe.rawRequest('POST', `/v1/test_helpers/payment_intents/${id}/answer`, { answer })
  const [yes, no, never] = [await asked(), await asked(), await asked()]
  await says(yes, 'yes')
  await says(no, 'no')
  assert.equal((await stripe.paymentIntents.retrieve(yes)).status, 'succeeded')
  const refused = await stripe.paymentIntents.retrieve(no)
  assert.equal(refused.last_payment_error?.code, 'payment_intent_authentication_failure')
  const ended = await stripe.paymentIntents.cancel(never, { cancellation_reason: 'abandoned' })
  assert.deepEqual([ended.status, ended.cancellation_reason], ['canceled', 'abandoned'])
  const late = await errorOf(stripe.paymentIntents.cancel(yes))
  assert.equal(late.code, 'payment_intent_unexpected_state')
  assert.equal(late.intent?.status, 'succeeded')
})

test('transfers are listed by their group, and come back as reversals', async (t) => {
  const stripe = officialClient(await serveStripe(t))
  const paid = { amount: 700, currency: 'usd', destination: 'acct_1', transfer_group: 'g1' }
  const { id } = await stripe.transfers.create(paid)
  await stripe.transfers.create({ ...paid, transfer_group: 'g2' })
  const listed = await stripe.transfers.list({ transfer_group: 'g1' })
  assert.deepEqual(
    listed.data.map((transfer) => transfer.id),
    [id],
  )
  await stripe.transfers.createReversal(id, { amount: 200 })
  const back = await stripe.transfers.retrieve(id)
  assert.deepEqual([back.amount_reversed, back.reversed], [200, false])
  assert.equal(back.reversals.data[0]?.amount, 200)
  const nobody = stripe.transfers.create({ ...paid, destination: 'acct_missing' })
  assert.equal((await errorOf(nobody)).code, 'resource_missing')
})

test('requests are refused in Stripe’s words: keys, parameters, amounts, objects', async (t) => {
  const served = await serveStripe(t)
  const stripe = officialClient(served)
  const create = (change: object) => () => stripe.paymentIntents.create({ ...CHARGE, ...change })
  const refused = [
    [() => officialClient(served, WRONG_KEY).paymentIntents.create(CHARGE), 401, undefined],
    [create({ color: 'red' }), 400, 'parameter_unknown'],
    [create({ amount: 'abc' }), 400, 'parameter_invalid_integer'],
    [create({ amount: 100_000_000 }), 400, 'amount_too_large'],
    [create({ currency: 'xxx' }), 400, undefined],
    [create({ currency: 'kwd', amount: 1_001 }), 400, undefined],
    [create({ payment_method: 'pm_missing' }), 400, 'resource_missing'],
    [() => stripe.paymentIntents.retrieve('pi_nothing'), 404, 'resource_missing'],
    [() => stripe.refunds.create({ payment_intent: 'pi_nothing' }), 404, 'resource_missing'],
    [() => stripe.customers.list(), 404, undefined],
  ] as const
  for (const [call, status, code] of refused) {
    const seen = await errorOf(call())
    assert.deepEqual([seen.statusCode, seen.code], [status, code])
  }
})
