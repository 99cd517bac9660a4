import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { yookassaCharges } from '../src/gateways/yookassa-list.ts'
import type { GatewayReturn } from '../src/domain/gateway-return.ts'
import type { GatewayCharge, ListCharges } from '../src/ports.ts'
import { manualClock } from './harness.ts'
import { http, peer } from './misbehaving-peer.ts'
import { serveMock } from './mock-server.ts'
import { SECRET_KEY } from './stripe-kit.ts'
import { SHOP } from './yookassa-kit.ts'

/** Whatever a gateway lists, over all its pages. */
async function listed(list: ListCharges) {
  const charges: GatewayCharge[] = []
  const returns: GatewayReturn[] = []
  const names: string[] = []
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    charges.push(...page.charges)
    returns.push(...(page.returns ?? []))
    names.push(...(page.names ?? []))
    after = page.next
  }
  return { charges, returns, names }
}

/** Stripe with these rows in some of its lists, each on one page. */
async function stripe(t: TestContext, rows: Readonly<Record<string, readonly object[]>>) {
  const { url } = await peer(t, (socket, request) => {
    const what = Object.keys(rows).find((name) => request.includes(`/v1/${name}`)) ?? ''
    const list = { object: 'list', data: rows[what] ?? [], has_more: false }
    socket.end(http(200, JSON.stringify(list)))
  })
  return await listed(stripeCharges(url, SECRET_KEY))
}

const AT = new Date(1_000)
const OURS = { paymentId: 7n, key: 'key_1' }

const STRIPE_REFUND = {
  object: 'refund',
  payment_intent: 'pi_1',
  amount: 100,
  currency: 'usd',
  created: 1,
}

test('Stripe’s list has refunds with our names as ours while they are made, and as nothing made once they failed', async (t) => {
  const metadata = { payments_payment_id: '7', payments_key: 'key_1' }
  const states = ['succeeded', 'failed', 'canceled', 'pending']
  const refunds = states.flatMap((status) => [
    { ...STRIPE_REFUND, status, id: `re_${status}` },
    { ...STRIPE_REFUND, status, id: `ours_${status}`, metadata },
  ])
  const { charges, returns } = await stripe(t, { refunds })
  const about = { ...OURS, amount: '1', currency: 'USD', type: 'refund' }
  assert.deepEqual(charges, [{ ...about, ref: 'ours_succeeded', parentRef: 'pi_1' }])
  const money = { amount: '1', currency: 'USD' }
  const of = { paymentId: null, parentRef: 'pi_1', kind: 'refunded_there', ...money, at: AT }
  const undone = (id: string) => {
    return { ...of, ref: `${id}:failed`, kind: 'dispute_won', undoes: id }
  }
  assert.deepEqual(returns, [
    { ...of, ref: 're_succeeded' },
    undone('re_failed'),
    { ...undone('ours_failed'), ours: OURS },
    undone('re_canceled'),
    { ...undone('ours_canceled'), ours: OURS },
  ])
})

test('YooKassa’s list has refunds with our names as ours while they are made, and as nothing made once they were canceled', async (t) => {
  const metadata = { payment_id: '7', payment_key: 'key_1' }
  const whole = {
    payment_id: 'pay-1',
    amount: { value: '1.00', currency: 'RUB' },
    created_at: AT.toISOString(),
  }
  const items = ['succeeded', 'canceled', 'pending'].flatMap((status) => [
    { ...whole, status, id: `ref-${status}` },
    { ...whole, status, id: `ours-${status}`, metadata },
  ])
  const { url } = await peer(t, (socket, request) => {
    const page = { type: 'list', items: request.includes('/refunds') ? items : [] }
    socket.end(http(200, JSON.stringify(page)))
  })
  const { charges, returns } = await listed(yookassaCharges({ url, shop: SHOP, payoutShop: null }))
  const about = { ...OURS, amount: '1.00', currency: 'RUB', type: 'refund' }
  assert.deepEqual(charges, [{ ...about, ref: 'ours-succeeded', parentRef: 'pay-1' }])
  const money = { amount: '1.00', currency: 'RUB' }
  const of = { paymentId: null, parentRef: 'pay-1', kind: 'refunded_there', ...money, at: AT }
  const undone = (id: string) => {
    return { ...of, ref: `${id}:failed`, kind: 'dispute_won', undoes: id }
  }
  assert.deepEqual(returns, [
    { ...of, ref: 'ref-succeeded' },
    undone('ref-canceled'),
    { ...undone('ours-canceled'), ours: OURS },
  ])
})

test('how old something is that came back at Stripe counts from the move of its balance, where that is told', async (t) => {
  const moved = (amount: number, created: number) => ({ amount, created })
  const dispute = { payment_intent: 'pi_1', created: 1, status: 'lost' }
  const refund = { ...STRIPE_REFUND, status: 'succeeded' }
  const { returns } = await stripe(t, {
    refunds: [
      { ...refund, id: 're_1', balance_transaction: moved(-100, 5) },
      { ...refund, id: 're_2', balance_transaction: 'txn_1' },
      { ...refund, id: 're_3', status: 'failed', failure_balance_transaction: moved(100, 9) },
      { ...refund, id: 're_4', status: 'canceled', balance_transaction: moved(-100, 5) },
    ],
    disputes: [
      // A question at first, for which nothing is taken.
      { ...dispute, id: 'dp_1', balance_transactions: [moved(-100, 4)] },
      {
        ...dispute,
        id: 'dp_2',
        status: 'won',
        balance_transactions: [moved(-100, 4), moved(100, 8)],
      },
      // Nothing was taken for it, whatever it says.
      { ...dispute, id: 'dp_3', status: 'won', balance_transactions: [] },
      { ...dispute, id: 'dp_4', status: 'won', created: null },
    ],
  })
  assert.deepEqual(
    returns.map(({ ref, at }) => [ref, at === null ? null : at.getTime() / 1_000]),
    [
      ['re_1', 5],
      ['re_2', 1],
      ['re_3:failed', 9],
      ['re_4:failed', 1],
      ['dp_1', 4],
      ['dp_2:won', 8],
      ['dp_4:won', null],
    ],
  )
})

test('what moves at Stripe besides what is told is there by its name, as a person books it', async (t) => {
  const refund = { ...STRIPE_REFUND, status: 'pending', id: 're_1' }
  const moves = ['txn_1', 'txn_2'].map((id) => ({ id, amount: 50, created: 4 }))
  const dispute = { payment_intent: 'pi_1', created: 1, status: 'lost' }
  const { returns, names } = await stripe(t, {
    refunds: [refund],
    disputes: [{ ...dispute, id: 'dp_1', balance_transactions: moves }],
  })
  assert.deepEqual(returns, [])
  assert.deepEqual(names, ['re_1', 'dp_1', 'txn_1', 'txn_2'])
})

test('the sandbox’s list of disputes tells when money was taken, and when it came back', async (t) => {
  const time = manualClock()
  const server = await serveMock(t, {}, undefined, time)
  const url = `${server.url}/stripe`
  const post = async (path: string, fields: Record<string, string>) => {
    const headers = { authorization: `Bearer ${SECRET_KEY}` }
    const body = new URLSearchParams(fields)
    const answer = await fetch(`${url}/v1/${path}`, { method: 'POST', headers, body })
    // Whatever it answers is read field by field.
    return (await answer.json()) as { id: string }
  }
  const intent = await post('payment_intents', {
    amount: '2050',
    currency: 'usd',
    confirm: 'true',
    off_session: 'true',
    payment_method: 'pm_card_visa',
    'automatic_payment_methods[enabled]': 'true',
    'automatic_payment_methods[allow_redirects]': 'never',
  })
  const dispute = await post(`test_helpers/payment_intents/${intent.id}/dispute`, { amount: '30' })
  const taken = (await listed(stripeCharges(url, SECRET_KEY))).returns
  time.advance(86_400_000)
  await post(`test_helpers/disputes/${dispute.id}/answer`, { answer: 'won' })
  const won = (await listed(stripeCharges(url, SECRET_KEY))).returns
  const [at, later] = [taken[0]?.at, won[0]?.at].map((one) => one?.getTime() ?? NaN)
  assert.deepEqual([taken[0]?.ref, won[0]?.ref], [dispute.id, `${dispute.id}:won`])
  assert.equal((later ?? NaN) - (at ?? NaN), 86_400_000)
})
