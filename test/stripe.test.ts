import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { GatewayUnreadable } from '../src/ports.ts'
import { detailsOf, listed } from './driver-kit.ts'
import { http, peer } from './misbehaving-peer.ts'
import {
  DEPOSIT,
  officialClient,
  PAYOUT,
  REFUND,
  SECRET_KEY,
  serveStripe,
  stripeDriver,
  WRONG_KEY,
} from './stripe-kit.ts'

async function made(t: TestContext) {
  const served = await serveStripe(t)
  return { ...served, driver: stripeDriver(t, served.stripeUrl), stripe: officialClient(served) }
}

const ASKED = {
  ...DEPOSIT,
  details: detailsOf('pm_card_threeDSecure2Required', 'https://shop.example/back'),
}

test('a charge that needs its payer is pending with a page, and ends as the payer says', async (t) => {
  const { driver, stripe } = await made(t)
  for (const [answer, kind] of [
    ['yes', 'success'],
    ['no', 'declined'],
  ] as const) {
    const operation = { ...ASKED, key: `key_${answer}` }
    const { outcome } = await driver.execute(operation)
    assert.ok(outcome.kind === 'pending')
    assert.equal(outcome.reason, 'requires_action')
    assert.match(outcome.action?.url ?? '', /^https:\/\/pay\.example\/authenticate\/pi_/)
    const ref = outcome.gatewayRef ?? ''
    const before = (await driver.lookup({ ...operation, gatewayRef: ref })).outcome
    assert.deepEqual(before, { kind: 'pending', gatewayRef: ref, action: outcome.action })
    await stripe.rawRequest('POST', `/v1/test_helpers/payment_intents/${ref}/answer`, { answer })
    const found = (await driver.lookup({ ...operation, gatewayRef: ref })).outcome
    assert.equal(found.kind, kind)
    if (found.kind === 'declined') assert.equal(found.reason, 'authentication_failed')
  }
})

test('a payer who is not there cannot be asked: that is a decline', async (t) => {
  const { driver } = await made(t)
  const details = detailsOf('pm_card_authenticationRequired')
  const { outcome } = await driver.execute({ ...DEPOSIT, details })
  assert.deepEqual(outcome, {
    kind: 'declined',
    reason: 'authentication_required',
    code: 'authentication_required',
  })
})

test('a pending charge is ended at Stripe, by its id or found by our key, and a done one stays', async (t) => {
  const { driver, stripe } = await made(t)
  const { outcome } = await driver.execute(ASKED)
  assert.ok(outcome.kind === 'pending')
  const canceled = { kind: 'declined', reason: 'canceled', code: 'abandoned' }
  assert.deepEqual((await driver.cancel?.(ASKED))?.outcome, canceled)
  const again = { ...ASKED, gatewayRef: outcome.gatewayRef ?? null }
  assert.deepEqual((await driver.cancel?.(again))?.outcome, canceled)
  const ended = await stripe.paymentIntents.retrieve(outcome.gatewayRef ?? '')
  assert.deepEqual([ended.status, ended.cancellation_reason], ['canceled', 'abandoned'])

  await driver.execute({ ...DEPOSIT, key: 'key_done' })
  const done = await driver.cancel?.({ ...DEPOSIT, key: 'key_done' })
  assert.equal(done?.outcome.kind, 'success')
})

test('what cannot be ended any more is told with what became of it', async (t) => {
  const { url } = await peer(t, (socket, request) => {
    const state = (status: string) => ({
      object: 'payment_intent',
      id: 'pi_1',
      status,
      amount: 20_050,
      currency: 'usd',
      metadata: { payments_key: 'key_1' },
    })
    const message = { type: 'invalid_request_error', code: 'payment_intent_unexpected_state' }
    const error = { error: { ...message, payment_intent: state('succeeded') } }
    const asks = request.startsWith('GET')
    socket.write(http(asks ? 200 : 400, JSON.stringify(asks ? state('processing') : error)))
  })
  const driver = stripeDriver(t, url)
  const { outcome } = (await driver.cancel?.({ ...DEPOSIT, gatewayRef: 'pi_1' })) ?? {}
  assert.deepEqual(outcome, { kind: 'success', gatewayRef: 'pi_1' })
})

test('a failure that Stripe repeats is in doubt, is asked again later, and is found by our key', async (t) => {
  const { driver, mock } = await made(t)
  mock.setFaults({ error_after: 1 })
  const first = await driver.execute(DEPOSIT)
  const doubt = { kind: 'in_doubt', reason: 'http_500', retryAfterMs: 60_000 }
  assert.deepEqual([first.outcome, first.httpStatus], [doubt, 500])
  mock.setFaults({ error_after: 0 })
  assert.deepEqual((await driver.execute(DEPOSIT)).outcome, doubt)
  assert.equal((await driver.lookup(DEPOSIT)).outcome.kind, 'success')
  assert.equal(mock.stripe.moved('payments_key', 'key_1').length, 1)
})

test('a key that was used for another request says nothing of this one', async (t) => {
  const { driver } = await made(t)
  await driver.execute(DEPOSIT)
  const { outcome } = await driver.execute({ ...DEPOSIT, amount: 99n })
  assert.equal(outcome.kind, 'in_doubt')
})

test('a key of the API that Stripe does not know is no word about any payment', async (t) => {
  const { stripeUrl } = await made(t)
  const driver = stripeDriver(t, stripeUrl, { secretKey: WRONG_KEY })
  const charged = await driver.execute(DEPOSIT)
  assert.equal(charged.outcome.kind, 'misconfigured')
  assert.equal((await driver.lookup(DEPOSIT)).outcome.kind, 'misconfigured')
})

test('what cannot be asked for sends nothing', async (t) => {
  const { url, requests } = await peer(t, (socket) => socket.write(http(200, '{}')))
  const driver = stripeDriver(t, url)
  const unpaid = await driver.execute({ ...DEPOSIT, details: detailsOf(null) })
  assert.deepEqual(unpaid, {
    outcome: { kind: 'rejected', reason: 'no_payment_method' },
    sent: false,
    httpStatus: null,
  })
  assert.deepEqual(requests, [])
})

test('a refusal that names nobody is no proof on a connection that carried others', async (t) => {
  const page = http(403, '<h1>Forbidden</h1>')
  const named = (body: string) => http(400, body, 'idempotency-key: key_1\r\n')
  const refused = named('{"error":{"type":"invalid_request_error","code":"parameter_unknown"}}')
  const { url } = await peer(t, (socket, _request, count) => {
    socket.write(count <= 2 ? refused : page)
  })
  const driver = stripeDriver(t, url, { connections: 1 })
  // The second one names us on a connection that carried others, too.
  for (let count = 1; count <= 2; count += 1) {
    const proven = (await driver.execute(DEPOSIT)).outcome
    assert.deepEqual(proven, { kind: 'rejected', reason: 'parameter_unknown', retryAfterMs: null })
  }
  const unnamed = (await driver.execute(DEPOSIT)).outcome
  assert.ok(unnamed.kind === 'misconfigured' && unnamed.unproven === true)
  // That connection was closed, so the next one has carried nobody else's.
  const alone = (await driver.execute(DEPOSIT)).outcome
  assert.ok(alone.kind === 'misconfigured' && alone.unproven === undefined)
})

test('a lookup tells what was refunded of a charge, and what came back of a payout', async (t) => {
  const { driver, stripe } = await made(t)
  const paid = (await driver.execute(PAYOUT)).outcome
  assert.ok(paid.kind === 'success')
  const ref = paid.gatewayRef ?? ''
  const back = await stripe.transfers.createReversal(ref, { amount: 200 })
  const found = (await driver.lookup({ ...PAYOUT, gatewayRef: ref })).outcome
  assert.ok(found.kind === 'success')
  assert.deepEqual(
    found.returns?.map(({ ref: id, amount, kind }) => [id, amount, kind]),
    [[back.id, 200n, 'payout_returned']],
  )
})

test('a look at a payment tells its disputes, and what was won of them', async (t) => {
  const { driver, stripeUrl } = await made(t)
  const { outcome } = await driver.execute(DEPOSIT)
  assert.ok(outcome.kind === 'success')
  const intent = outcome.gatewayRef ?? ''
  const helper = async (path: string, fields: Record<string, string>) => {
    const headers = { authorization: `Bearer ${SECRET_KEY}` }
    const body = new URLSearchParams(fields)
    const url = `${stripeUrl}/v1/test_helpers/${path}`
    const answer = await fetch(url, { method: 'POST', headers, body })
    assert.equal(answer.status, 200)
    return ((await answer.json()) as { id: string }).id
  }
  const watched = { ...DEPOSIT, gatewayRef: intent, watched: true } as const
  const told = async () => {
    const found = (await driver.lookup(watched)).outcome
    assert.ok(found.kind === 'success')
    return found.returns?.map(({ ref, amount, kind }) => [ref, amount, kind])
  }
  const first = await helper(`payment_intents/${intent}/dispute`, { amount: '5000' })
  const second = await helper(`payment_intents/${intent}/dispute`, { amount: '100' })
  const open = [
    [first, 5_000n, 'charged_back'],
    [second, 100n, 'charged_back'],
  ]
  assert.deepEqual(await told(), open)
  await helper(`disputes/${first}/answer`, { answer: 'won' })
  await helper(`disputes/${second}/answer`, { answer: 'lost' })
  const [taken, other] = open
  assert.deepEqual(await told(), [taken, [`${first}:won`, 5_000n, 'dispute_won'], other])
  // Nobody asks for it where the payment is not final.
  const plain = (await driver.lookup({ ...DEPOSIT, gatewayRef: intent })).outcome
  assert.ok(plain.kind === 'success' && plain.returns === undefined)
})

test('where a list of what came back cannot be read, a look tells nothing', async (t) => {
  const intent = {
    id: 'pi_1',
    object: 'payment_intent',
    status: 'succeeded',
    amount: 20_050,
    currency: 'usd',
    metadata: { payments_payment_id: '7', payments_key: 'key_1' },
  }
  const list = { object: 'list', data: [], has_more: false }
  const answers = [
    [http(500, '{"error":{}}'), 'http_500'],
    [http(200, '{"has_more":false}'), 'unreadable_reply'],
    [http(200, '{"data":[]}'), 'unreadable_reply'],
  ] as const
  const each = ['refunds', 'disputes'].flatMap((broken) =>
    answers.map(([answer, reason]) => ({ broken, answer, reason })),
  )
  for (const { broken, answer, reason } of each) {
    const { url } = await peer(t, (socket, request) => {
      if (request.includes(`/v1/${broken}`)) return void socket.write(answer)
      const body = request.includes('/v1/payment_intents') ? intent : list
      socket.write(http(200, JSON.stringify(body)))
    })
    const watched = { ...DEPOSIT, gatewayRef: 'pi_1', watched: true } as const
    const { outcome } = await stripeDriver(t, url, { connections: 1 }).lookup(watched)
    assert.deepEqual(outcome, { kind: 'no_answer', reason }, broken)
  }
})

test('everything that was executed is listed, over all pages, and nothing of others', async (t) => {
  const { driver, stripe, stripeUrl } = await made(t)
  for (let n = 1; n <= 120; n += 1) {
    await driver.execute({ ...DEPOSIT, key: `many_${n}`, paymentId: BigInt(100 + n) })
  }
  const { outcome } = await driver.execute(DEPOSIT)
  assert.ok(outcome.kind === 'success')
  const parent = { paymentId: 7n, gatewayRef: outcome.gatewayRef }
  await driver.execute({ ...REFUND, parent })
  await driver.execute(PAYOUT)
  await driver.execute({ ...DEPOSIT, key: 'no', details: detailsOf('pm_card_chargeDeclined') })
  await stripe.transfers.create({ amount: 1, currency: 'usd', destination: 'acct_1' })
  const charges = await listed(stripeCharges(stripeUrl, SECRET_KEY))
  assert.equal(charges.length, 123)
  const shown = charges
    .filter(({ key }) => key?.startsWith('key_'))
    .map(({ paymentId, key, amount, currency, type }) => [paymentId, key, amount, currency, type])
  assert.deepEqual(shown, [
    [7n, 'key_1', '200.5', 'USD', 'deposit'],
    [9n, 'key_3', '0.5', 'USD', 'refund'],
    [8n, 'key_2', '200.5', 'USD', 'withdraw'],
  ])
  await assert.rejects(listed(stripeCharges(stripeUrl, WRONG_KEY)), GatewayUnreadable)
})
