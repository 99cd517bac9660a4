import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { charge, claim, type ChargeWorld } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { httpCharges } from '../src/gateways/http-charges.ts'
import { httpGateway } from '../src/gateways/http-gateway.ts'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { yookassaCharges } from '../src/gateways/yookassa-list.ts'
import type { Clock, Gateway, ListCharges } from '../src/ports.ts'
import type { Report } from '../src/verify/report.ts'
import { detailsOf } from './driver-kit.ts'
import { dressedAs } from './gateway-conformance.ts'
import { POLICY, testWorld, type TestWorld } from './harness.ts'
import { serveMock, type MockServer } from './mock-server.ts'
import { profileOf } from './profiles.ts'
import { refunded } from './refunds-kit.ts'
import { SECRET_KEY, stripeDriver } from './stripe-kit.ts'
import { verifyWorld } from './verify-history.ts'
import { PAYOUT_SHOP, SAVED, SHOP, yookassa } from './yookassa-kit.ts'

const PROFILE = profileOf({
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'eventual',
})

/** A driver against the mock gateway, and what that lists. */
interface Asked {
  readonly gateway: Gateway
  readonly list: () => ListCharges
}

type Open = (t: TestContext, server: MockServer, clock: Clock) => Asked

const DRIVERS: Readonly<Record<string, Open>> = {
  http(t, { url }, clock) {
    const common = { timeoutMs: 20_000, connections: 8, untold: 'USD', echo: 'required' } as const
    const gateway = httpGateway({ url, clock, profile: PROFILE, ...common })
    t.after(() => gateway.close())
    return { gateway, list: () => httpCharges(url) }
  },
  stripe(t, { url: root }, clock) {
    const url = `${root}/stripe`
    const dress = (operation: GatewayOperation) => ({
      ...operation,
      details: detailsOf(operation.kind === 'payout' ? 'acct_1' : 'pm_card_visa'),
    })
    const driver = stripeDriver(t, url, { profile: PROFILE, clock })
    return { gateway: dressedAs(dress, driver), list: () => stripeCharges(url, SECRET_KEY) }
  },
  yookassa(t, { url: root }, clock) {
    const url = `${root}/yookassa/v3`
    const dress = (operation: GatewayOperation) => ({ ...operation, details: detailsOf(SAVED) })
    const driver = yookassa(t, url, { profile: PROFILE, clock })
    const list = () => yookassaCharges({ url, shop: SHOP, payoutShop: PAYOUT_SHOP })
    return { gateway: dressedAs(dress, driver), list }
  },
}

/** A shop whose payments a driver has carried out: deposits, withdrawals, refunds, a decline. */
async function traded(t: TestContext, open: Open) {
  const own = await testWorld(t)
  const server = await serveMock(t, {}, undefined, own.clock)
  const { gateway, list } = open(t, server, own.clock)
  const world: ChargeWorld = { ...own.world, gateway, policy: { ...POLICY, ...PROFILE } }
  const work = async () => {
    const claims = await claim(world, 1_000)
    await settle(world, await Promise.all(claims.map((claimed) => charge(world, claimed))))
  }
  const userId = await own.user(1_000_000n)
  const accepted = async (type: 'deposit' | 'withdraw') => {
    const [answer] = await own.accept([{ type, userId, amount: 10_000n, idempotencyKey: null }])
    assert(answer?.kind === 'accepted')
    return answer.payment.id
  }
  const pay = async (type: 'deposit' | 'withdraw', count: number) => {
    const ids: bigint[] = []
    while (ids.length < count) ids.push(await accepted(type))
    await work()
    return ids
  }
  const deposits = await pay('deposit', 8)
  const withdrawals = await pay('withdraw', 3)
  const refunds = [
    await refunded(own, deposits[0] ?? 0n, '25.00'),
    await refunded(own, deposits[1] ?? 0n, '100.00'),
  ]
  await work()
  server.mock.setFaults({ decline: 1 })
  await pay('deposit', 1)
  server.mock.setFaults({ decline: 0 })
  // Only what finished before the comparison began must have been charged by then.
  own.clock.advance(1_000)
  const compared = () => verifyWorld(own, { gateways: [{ gateway: 'http', list: list() }] })
  return { ...own, driver: gateway, compared, accepted, deposits, withdrawals, refunds }
}

/** The ids that each rule about the gateway named. */
function named(report: Report) {
  return Object.fromEntries(
    report.rules
      .filter(({ rule, violations }) => rule.startsWith('gateway_') && violations > 0)
      .map(({ rule, examples }) => [rule, examples.map(({ id }) => id).toSorted()]),
  )
}

/** The operation of a payment as it was sent. */
async function operationOf(world: TestWorld, id: bigint): Promise<GatewayOperation> {
  const [row] = await world.sql<{ key: string; userId: bigint; ref: string }>(
    `select gateway_key::text as key, user_id as "userId", gateway_ref as ref
     from payments where id = $1`,
    [id],
  )
  assert(row !== undefined)
  const { key, userId, ref } = row
  const money = { amount: 10_000n, commission: 200n, currency: 'USD', exponent: 2 } as const
  return { kind: 'charge', key, paymentId: id, userId, gatewayRef: ref, ...money }
}

for (const [name, open] of Object.entries(DRIVERS)) {
  void test(`books and the list of ${name} agree, over deposits, withdrawals and refunds`, async (t) => {
    const { compared, deposits, withdrawals, refunds } = await traded(t, open)
    const report = await compared()
    assert.deepEqual(named(report), {})
    const done = deposits.length + withdrawals.length + refunds.length
    assert.equal(report.checked.charge, done)
  })

  void test(`every difference between the books and the list of ${name} is named by its rule`, async (t) => {
    const own = await traded(t, open)
    const { driver, compared, deposits, withdrawals, refunds } = own
    const [, , other, failed, twice, back] = deposits
    const [payout, sum] = withdrawals
    assert(other !== undefined && failed !== undefined && twice !== undefined)
    assert(back !== undefined && payout !== undefined && sum !== undefined)
    const executed = async (operation: GatewayOperation) => {
      assert.equal((await driver.execute(operation)).outcome.kind, 'success')
    }
    const first = await operationOf(own, twice)
    const parent = await operationOf(own, back)
    // Unknown here: a charge, a payout and a refund.
    await executed({ ...first, paymentId: 999_001n, key: 'strange_1' })
    await executed({ ...first, kind: 'payout', paymentId: 999_002n, key: 'strange_2' })
    await executed({
      ...first,
      kind: 'refund',
      paymentId: 999_003n,
      key: 'strange_3',
      amount: 100n,
      parent: { paymentId: back, gatewayRef: parent.gatewayRef ?? null },
    })
    // Charged again, under another key.
    await executed({ ...first, key: 'strange_4' })
    // Other amounts, of a deposit, a payout and a refund.
    const changed = [other, sum, refunds[0] ?? 0n]
    await own.sql('update payments set amount = amount + 1 where id = any($1)', [changed])
    // Done there, and failed here.
    await own.sql("update payments set status = 'failed' where id = any($1)", [[failed, payout]])
    // Done here by somebody's hand, and never sent: a deposit and a refund.
    const unsent = [await own.accepted('deposit'), await refunded(own, back, '1.00')]
    await own.sql(
      `update payments set status = 'success', finished_at = created_at where id = any($1)`,
      [unsent],
    )
    own.clock.advance(1_000)
    const found = named(await compared())
    assert.deepEqual(found, {
      gateway_charged_twice: [twice],
      gateway_missing_here: [failed, payout, twice, 999_001n, 999_002n, 999_003n].toSorted(),
      gateway_missing_there: unsent.toSorted(),
      gateway_amount: changed.toSorted(),
    })
  })
}
