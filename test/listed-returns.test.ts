import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { yookassaCharges } from '../src/gateways/yookassa-list.ts'
import type { GatewayCharge, GatewayReturn, ListCharges } from '../src/ports.ts'
import { http, peer } from './misbehaving-peer.ts'
import { SECRET_KEY } from './stripe-kit.ts'
import { SHOP } from './yookassa-kit.ts'

/** Whatever a gateway lists, over all its pages. */
async function listed(list: ListCharges) {
  const charges: GatewayCharge[] = []
  const returns: GatewayReturn[] = []
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<ListCharges>> = await list(after)
    charges.push(...page.charges)
    returns.push(...(page.returns ?? []))
    after = page.next
  }
  return { charges, returns }
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
  const of = { paymentId: null, parentRef: 'pi_1', at: AT }
  const undone = (id: string) => ({ ...of, ref: `${id}:failed`, undoes: id })
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
  const of = { paymentId: null, parentRef: 'pay-1', at: AT }
  const undone = (id: string) => ({ ...of, ref: `${id}:failed`, undoes: id })
  assert.deepEqual(returns, [
    { ...of, ref: 'ref-succeeded' },
    undone('ref-canceled'),
    { ...undone('ours-canceled'), ours: OURS },
  ])
})
