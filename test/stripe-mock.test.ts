import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { stripeCharges } from '../src/gateways/stripe-list.ts'
import { detailsOf } from './driver-kit.ts'
import { DEPOSIT, PAYOUT, REFUND, SECRET_KEY, stripeDriver } from './stripe-kit.ts'

/** Stripe's own server, which checks every request against its published API, and keeps nothing. */
const skip =
  spawnSync('stripe-mock', ['-version']).status === 0
    ? false
    : 'stripe-mock is not installed: go install github.com/stripe/stripe-mock@latest'

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // It listens on TCP.
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Start it, and wait until it says that it listens. */
async function stripeMock(t: TestContext): Promise<string> {
  const port = await freePort()
  const child = spawn('stripe-mock', ['-http-addr', `127.0.0.1:${port}`])
  t.after(() => child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    let told = ''
    const hear = (chunk: Buffer) => {
      told += chunk.toString()
      if (told.includes('Listening for HTTP')) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.on('exit', () => reject(new Error(told)))
  })
  return `http://127.0.0.1:${port}`
}

const METHODS = [
  ['a saved card', detailsOf('pm_card_visa')],
  ['a card of a customer', detailsOf('cus_1/pm_card_visa')],
  ['a payer who comes back', detailsOf('pm_card_visa', 'https://shop.example/back')],
] as const

test('stripe-mock accepts every request of the driver', { skip }, async (t) => {
  const url = await stripeMock(t)
  const driver = stripeDriver(t, url)
  const operations: GatewayOperation[] = [
    ...METHODS.map(([, details]) => ({ ...DEPOSIT, details })),
    { ...DEPOSIT, currency: 'JPY', exponent: 0 },
    { ...DEPOSIT, currency: 'KWD', exponent: 3 },
    { ...DEPOSIT, gatewayRef: 'pi_1' },
    PAYOUT,
    { ...PAYOUT, gatewayRef: 'tr_1' },
    REFUND,
    { ...REFUND, gatewayRef: 're_1' },
  ]
  for (const operation of operations) {
    const { httpStatus, outcome } = await driver.execute(operation)
    assert.equal(httpStatus, 200, `${operation.kind}: ${JSON.stringify(outcome)}`)
    const found = await driver.lookup(operation)
    assert.equal(found.httpStatus, 200, `lookup of ${operation.kind}`)
  }
  // It answers with objects of its own, about nobody's payment: none is believed.
  assert.equal((await driver.execute(DEPOSIT)).outcome.kind, 'in_doubt')
})

test(
  'stripe-mock accepts the requests that end and list, and refuses others',
  { skip },
  async (t) => {
    const url = await stripeMock(t)
    const list = stripeCharges(url, SECRET_KEY)
    let pages = 0
    for (let after: number | null = 0; after !== null && pages < 5; pages += 1) {
      const page: Awaited<ReturnType<typeof list>> = await list(after)
      assert.deepEqual(page.charges, [])
      after = page.next
    }
    // Charges, refunds, transfers and disputes.
    assert.equal(pages, 4)
    const canceled = await fetch(`${url}/v1/payment_intents/pi_1/cancel`, {
      method: 'POST',
      headers: { authorization: `Bearer ${SECRET_KEY}` },
      body: new URLSearchParams({ cancellation_reason: 'abandoned' }),
    })
    assert.equal(canceled.status, 200)
    // It does check: without a key, and with a field that Stripe does not have.
    const driver = stripeDriver(t, url, { secretKey: 'nobody' })
    assert.equal((await driver.execute(DEPOSIT)).outcome.kind, 'misconfigured')
    const stray = await fetch(`${url}/v1/refunds`, {
      method: 'POST',
      headers: { authorization: `Bearer ${SECRET_KEY}` },
      body: new URLSearchParams({ color: 'red' }),
    })
    assert.equal(stray.status, 400)
  },
)
