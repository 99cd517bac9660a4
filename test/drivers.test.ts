import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { loadConfig } from '../src/config/config.ts'
import { DRIVER_SETTINGS } from '../src/config/driver-settings.ts'
import type { GatewayConfig, GatewayOf } from '../src/config/gateways.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { listOf, openDriver, profileOf } from '../src/process/drivers.ts'
import { GatewayUnreadable } from '../src/ports.ts'
import { detailsOf, listed } from './driver-kit.ts'
import { http, peer } from './misbehaving-peer.ts'
import { serveMock } from './mock-server.ts'
import { DEPOSIT as STRIPE_DEPOSIT, PAYOUT as STRIPE_PAYOUT } from './stripe-kit.ts'
import { DEPOSIT, SAVED } from './yookassa-kit.ts'

const [HTTP] = loadConfig({}).gateways
assert(HTTP?.driver === 'http')
const COMMON = HTTP
const OPERATIONS = ['charge', 'payout', 'refund'] as const

/** Gateways as they are configured, once they may be. */
function stripeAt(url: string): GatewayOf<'stripe'> {
  const secrets = { secretKey: 'sk_test_0', noticeSecrets: null, noticeAgeMsMax: 300_000 }
  const limits = { currencies: null, operations: OPERATIONS, pendingMsMax: 1, watchMs: [] }
  const settings = { ...secrets, ...limits, url }
  return { ...COMMON, name: 'stripe', driver: 'stripe', settings }
}

function yookassaAt(url: string, payoutShopId: number | null = 200_600): GatewayOf<'yookassa'> {
  const settings = {
    shopId: 100_500,
    secretKey: 'test_shop',
    payoutShopId,
    payoutSecretKey: payoutShopId === null ? null : 'test_payout_shop',
    returnUrl: null,
    currencies: ['RUB'],
    pendingMsMax: 1,
    watchMs: [],
    url,
  }
  return { ...COMMON, name: 'yookassa', driver: 'yookassa', settings }
}

/** Carry operations out as the service does. */
async function carriedOut(
  t: TestContext,
  gateway: GatewayConfig,
  operations: readonly GatewayOperation[],
): Promise<void> {
  const opening = { clock: systemClock, books: 'USD', connections: 2, mockUrl: () => '' }
  const driver = openDriver(gateway, profileOf(gateway), opening)
  t.after(() => driver.close())
  for (const operation of operations) {
    assert.equal((await driver.execute(operation)).outcome.kind, 'success')
  }
}

test('each driver is opened from its settings, and lists what it executed itself', async (t) => {
  const { url } = await serveMock(t)
  const payout = { ...DEPOSIT, kind: 'payout', key: 'p', paymentId: 8n } as const
  const method = detailsOf(SAVED)
  const gateways = [
    [stripeAt(`${url}/stripe`), [STRIPE_DEPOSIT, STRIPE_PAYOUT]],
    [yookassaAt(`${url}/yookassa/v3/`), [DEPOSIT, { ...payout, details: method }]],
  ] as const
  for (const [gateway, operations] of gateways) {
    await carriedOut(t, gateway, operations)
    const list = listOf(gateway)
    assert(list !== null)
    const charges = await listed(list)
    const told = charges.map(({ paymentId, type }) => [paymentId, type])
    const wanted = [
      [7n, 'deposit'],
      [8n, 'withdraw'],
    ]
    assert.deepEqual(told, wanted, gateway.driver)
  }
  assert.equal(listOf(COMMON), null)
})

test('YooKassa pays out only with credentials for that, and lists no payouts without', async (t) => {
  const { url } = await serveMock(t)
  const operationsOf = (gateway: GatewayConfig) => [...profileOf(gateway).operations].toSorted()
  assert.deepEqual(operationsOf(yookassaAt(url)), [...OPERATIONS])
  const without = yookassaAt(`${url}/yookassa/v3`, null)
  assert.deepEqual(operationsOf(without), ['charge', 'refund'])
  await carriedOut(t, without, [DEPOSIT])
  const list = listOf(without)
  assert(list !== null)
  assert.equal((await listed(list)).length, 1)
})

test('a list that comes back to where it was is refused, however long its round is', async (t) => {
  for (const round of [1, 2, 7]) {
    const { url, requests } = await peer(t, (socket, _, count) => {
      const id = `of-others-${count % round}`
      const objects = { data: [{ id }], has_more: true }
      socket.end(http(200, JSON.stringify({ ...objects, items: [{ id }], next_cursor: id })))
    })
    for (const gateway of [stripeAt(url), yookassaAt(url)]) {
      requests.length = 0
      const list = listOf(gateway)
      assert(list !== null)
      await assert.rejects(listed(list), (error) => {
        assert(error instanceof GatewayUnreadable)
        assert.match(error.message, /'s list of payment\S* does not end \(page \d+\)$/)
        return true
      })
      assert.ok(requests.length <= 4 * round, `${requests.length} requests`)
    }
  }
})

test('each driver has conformance tests, and a chapter that says how it is chosen', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../docs/gateways.md'), 'utf8')
  for (const driver of Object.keys(DRIVER_SETTINGS)) {
    const tests = resolve(import.meta.dirname, `${driver}-conformance.test.ts`)
    assert.ok(existsSync(tests), `${tests} is not there`)
    // Every page but the last chapters is the contract of the driver `http`.
    if (driver === 'http') continue
    const chapter = new RegExp(`\n## .*\n\n[^#]*\`GATEWAYS=${driver}\`\\s+chooses\\s+it`)
    assert.match(page, chapter, driver)
  }
})
