import type { TestContext } from 'node:test'
import Stripe from 'stripe'
import { systemClock } from '../src/adapters/clock.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { stripeGateway, type StripeOptions } from '../src/gateways/stripe.ts'
import type { Gateway } from '../src/ports.ts'
import { detailsOf } from './driver-kit.ts'
import { profileOf } from './profiles.ts'
import { serveMock, type MockServer } from './mock-server.ts'
import type { Faults } from '../src/mock-gateway/faults.ts'

/** A key as the face takes it, and one that it does not know. */
export const SECRET_KEY = 'sk_test_0'
export const WRONG_KEY = 'sk_live_0'

/** A mock gateway, and where its Stripe face is. */
export interface StripeServer extends MockServer {
  readonly stripeUrl: string
}

export async function serveStripe(
  t: TestContext,
  faults: Partial<Faults> = {},
): Promise<StripeServer> {
  const served = await serveMock(t, faults)
  return { ...served, stripeUrl: `${served.url}/stripe` }
}

/** Stripe's own client of that face. It does not retry. */
export function officialClient({ stripeUrl }: StripeServer, key = SECRET_KEY): Stripe {
  const { hostname, port, pathname } = new URL(stripeUrl)
  // It knows no base path, so the one that it asks for is put behind ours.
  const prefixed: typeof fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    url.pathname = `${pathname}${url.pathname}`
    const headers = new Headers(init?.headers)
    // It is counted anew: two versions of fetch disagree whether it may be given.
    headers.delete('content-length')
    return fetch(url, { ...init, headers })
  }
  return new Stripe(key, {
    host: hostname,
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
    httpClient: Stripe.createFetchHttpClient(prefixed),
  })
}

/** The driver under test, closed when the test ends. */
export function stripeDriver(
  t: TestContext,
  url: string,
  options: Partial<Omit<StripeOptions, 'url'>> = {},
): Gateway {
  const made = stripeGateway({
    url,
    secretKey: SECRET_KEY,
    noticeSecrets: [],
    noticeAgeMsMax: 300_000,
    timeoutMs: 20_000,
    connections: 8,
    profile: profileOf(STRIPE_PROMISES),
    clock: systemClock,
    ...options,
  })
  t.after(() => made.close())
  return made
}

const STRIPE_PROMISES = {
  repeats: 'first_answer',
  keyLifeMs: 86_400_000,
  lookup: 'eventual',
} as const

/** A charge, a payout and a refund as the driver is told them. */
export const DEPOSIT: GatewayOperation = {
  kind: 'charge',
  key: 'key_1',
  paymentId: 7n,
  userId: 3n,
  amount: 20_050n,
  commission: 401n,
  currency: 'USD',
  exponent: 2,
  details: detailsOf('pm_card_visa'),
}

export const PAYOUT: GatewayOperation = {
  ...DEPOSIT,
  kind: 'payout',
  key: 'key_2',
  paymentId: 8n,
  details: detailsOf('acct_1'),
}

export const REFUND: GatewayOperation = {
  ...DEPOSIT,
  kind: 'refund',
  key: 'key_3',
  paymentId: 9n,
  amount: 50n,
  commission: 0n,
  parent: { paymentId: 7n, gatewayRef: 'pi_1' },
}
