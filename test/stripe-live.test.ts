import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { listed } from './driver-kit.ts'
import { http, peer } from './misbehaving-peer.ts'
import {
  DEPOSIT,
  officialClient,
  PAYOUT,
  SECRET_KEY,
  serveStripe,
  stripeDriver,
} from './stripe-kit.ts'

const INTENT = {
  id: 'pi_1',
  object: 'payment_intent',
  amount: 20_050,
  currency: 'usd',
  metadata: { payments_payment_id: '7', payments_key: 'key_1' },
  livemode: false,
}

/** What Stripe says of a payment of the test mode, whatever it is asked. */
const SAYINGS = {
  'that it is done': { ...INTENT, status: 'succeeded' },
  'that it was declined': {
    ...INTENT,
    status: 'requires_payment_method',
    last_payment_error: { code: 'card_declined' },
  },
  'that it goes on': { ...INTENT, status: 'processing' },
  'that it is in a list': {
    object: 'search_result',
    data: [{ ...INTENT, status: 'succeeded' }],
    has_more: false,
  },
}

for (const [what, said] of Object.entries(SAYINGS)) {
  test(`an object of Stripe’s test mode is no word about a payment of a live key, if it says ${what}`, async (t) => {
    const body = JSON.stringify(said)
    const { url } = await peer(t, (socket) => void socket.end(http(200, body)))
    const ended: string[] = []
    for (const secretKey of ['sk_live_1', 'rk_live_1', 'sk_org_live_1', 'sk_test_1']) {
      const driver = stripeDriver(t, url, { secretKey })
      const outcomes = [
        (await driver.execute(DEPOSIT)).outcome,
        (await driver.lookup(DEPOSIT)).outcome,
        (await driver.lookup({ ...DEPOSIT, gatewayRef: 'pi_1' })).outcome,
      ]
      const wrong = { kind: 'misconfigured', reason: 'test_mode' }
      if (secretKey !== 'sk_test_1') assert.deepEqual(outcomes, [wrong, wrong, wrong])
      else ended.push(...outcomes.map(({ kind }) => kind))
    }
    assert.ok(!ended.includes('misconfigured'))
  })
}

test('a decline of Stripe’s test mode declines no payment of a live key', async (t) => {
  const payment_intent = { ...INTENT, status: 'requires_payment_method' }
  const error = { type: 'card_error', code: 'card_declined', payment_intent }
  const { url } = await peer(t, (socket) => {
    socket.end(http(402, JSON.stringify({ error })))
  })
  const outcome = async (secretKey: string) =>
    (await stripeDriver(t, url, { secretKey }).execute(DEPOSIT)).outcome.kind
  assert.equal(await outcome('sk_live_1'), 'misconfigured')
  assert.equal(await outcome('sk_test_1'), 'declined')
})

test('what is of Stripe’s test mode is not listed as executed for a live key', async (t) => {
  const paid = { ...INTENT, status: 'succeeded' }
  const data = [paid, { ...paid, id: 'pi_2', livemode: true }]
  const { url } = await peer(t, (socket, request) => {
    const rows = request.includes('/payment_intents?') ? data : []
    socket.end(http(200, JSON.stringify({ object: 'list', data: rows, has_more: false })))
  })
  const refs = async (key: string) => (await listed(stripeCharges(url, key))).map(({ ref }) => ref)
  assert.deepEqual(await refs('sk_live_1'), ['pi_2'])
  assert.deepEqual(await refs('sk_test_1'), ['pi_1', 'pi_2'])
})

test('a payout that comes back in more parts than Stripe tells with it comes back in all of them', async (t) => {
  const served = await serveStripe(t)
  const driver = stripeDriver(t, served.stripeUrl)
  const { outcome } = await driver.execute(PAYOUT)
  assert.ok(outcome.kind === 'success')
  const ref = outcome.gatewayRef ?? ''
  const stripe = officialClient(served)
  const parts: string[] = []
  for (let count = 0; count < 12; count += 1) {
    parts.push((await stripe.transfers.createReversal(ref, { amount: 100 + count })).id)
  }
  const watched = { ...PAYOUT, gatewayRef: ref, watched: true } as const
  const found = (await driver.lookup(watched)).outcome
  assert.ok(found.kind === 'success')
  assert.deepEqual(found.returns?.map((one) => one.ref).toSorted(), parts.toSorted())

  const list = stripeCharges(served.stripeUrl, SECRET_KEY)
  const refs: string[] = []
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<typeof list>> = await list(after)
    refs.push(...(page.returns ?? []).map((one) => one.ref))
    after = page.next
  }
  assert.deepEqual(refs.toSorted(), parts.toSorted())
})

test('where the list of what came back of a payout cannot be read, a look tells nothing', async (t) => {
  const { amount, currency } = INTENT
  const transfer = {
    id: 'tr_1',
    object: 'transfer',
    amount,
    currency,
    metadata: { payments_payment_id: '8', payments_key: 'key_2' },
    reversals: { data: [{ id: 'trr_1', amount: 1, currency }], has_more: true },
  }
  const pages: readonly (readonly [object, string])[] = [
    [{ data: [], has_more: 'no' }, 'unreadable_reply'],
    [
      { data: [{ id: 'trr_1', amount: 1, currency, transfer: 'tr_1' }], has_more: true },
      'list_too_long',
    ],
    [
      { data: [{ id: 'trr_1', amount: 1, currency, transfer: 'tr_2' }], has_more: false },
      'reply_mismatch',
    ],
  ]
  for (const [page, reason] of pages) {
    const { url } = await peer(t, (socket, request) => {
      const isList = request.includes('/reversals')
      socket.end(http(200, JSON.stringify(isList ? page : transfer)))
    })
    const watched = { ...PAYOUT, gatewayRef: 'tr_1', watched: true } as const
    const { outcome } = await stripeDriver(t, url).lookup(watched)
    assert.deepEqual(outcome, { kind: 'no_answer', reason })
  }
})
