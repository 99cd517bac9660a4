import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { CameBack } from '../src/domain/outcome.ts'
import { testWorld } from './harness.ts'
import { http, peer } from './misbehaving-peer.ts'
import { balanced, done, givenBack } from './refunds-kit.ts'
import { DEPOSIT, stripeDriver } from './stripe-kit.ts'
import { DAY_MS, watching } from './watch-kit.ts'

const PAID = { ...DEPOSIT, amount: 10_000n, gatewayRef: 'pi_1' } as const
const METADATA = { payments_payment_id: '7', payments_key: 'key_1' }
const WHOLE = { amount: 10_000, currency: 'usd', payment_intent: 'pi_1' }
const INTENT = { ...WHOLE, id: 'pi_1', object: 'payment_intent', metadata: METADATA }

/** What Stripe tells of a payment intent with these refunds and disputes. */
async function told(
  t: TestContext,
  refunds: readonly object[],
  disputes: readonly object[],
): Promise<readonly CameBack[]> {
  const { url } = await peer(t, (socket, request) => {
    const data = request.includes('/v1/refunds') ? refunds : disputes
    const list = { object: 'list', data, has_more: false }
    const isIntent = request.includes('/v1/payment_intents')
    const body = isIntent ? { ...INTENT, status: 'succeeded' } : list
    socket.write(http(200, JSON.stringify(body)))
  })
  const driver = stripeDriver(t, url, { connections: 1 })
  const { outcome } = await driver.lookup({ ...PAID, watched: true })
  assert(outcome.kind === 'success', outcome.kind)
  return outcome.returns ?? []
}

test('a deposit that is disputed at Stripe, won and refunded there comes back once, in whatever order', async (t) => {
  for (const [refundedAt, results] of [
    [2_000, ['return', 'return', 'return']],
    [500, ['return']],
  ] as const) {
    const refund = { ...WHOLE, id: 're_1', status: 'succeeded', created: refundedAt }
    const dispute = { ...WHOLE, id: 'dp_1', status: 'won', created: 1_000 }
    const world = await testWorld(t)
    const eyes = watching(world, [DAY_MS])
    const { id } = await done(world)
    eyes.came(id, ...(await told(t, [refund], [dispute])))
    world.clock.advance(DAY_MS)
    assert.deepEqual(await eyes.look(), ['booked'])
    assert.equal((await givenBack(world, id))['returned'], 10_000n)
    const rows = await world.sql<{ type: string }>(
      `select type from payments where type = 'return'`,
      [],
    )
    assert.deepEqual(
      rows.map(({ type }) => type),
      results,
    )
    await balanced(world)
  }
})
