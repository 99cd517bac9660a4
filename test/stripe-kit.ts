import type { TestContext } from 'node:test'
import Stripe from 'stripe'
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
    return fetch(url, init)
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
