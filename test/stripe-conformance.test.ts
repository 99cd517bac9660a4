import type { TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway.ts'
import { behaving, dressedAs, gatewayConformance, type Conformer } from './gateway-conformance.ts'
import { detailsOf } from './driver-kit.ts'
import { serveStripe, stripeDriver } from './stripe-kit.ts'

/** The suite's operations with a method, which Stripe needs. */
function dressed(operation: GatewayOperation): GatewayOperation {
  const method = operation.kind === 'payout' ? 'acct_1' : 'pm_card_visa'
  return { ...operation, details: detailsOf(method) }
}

async function conformer(t: TestContext): Promise<Conformer> {
  const { stripeUrl, mock } = await serveStripe(t)
  const dead = await serveStripe(t)
  await dead.close()
  return {
    gateway: dressedAs(dressed, stripeDriver(t, stripeUrl)),
    dead: dressedAs(dressed, stripeDriver(t, dead.stripeUrl)),
    behave: behaving(mock),
    // Between what Stripe charges at least and at most.
    amounts: [50n, 99n, 100n, 20_050n, 99_999_999n],
    charged: (paymentId) => mock.stripe.moved('payments_payment_id', `${paymentId}`).length,
  }
}

gatewayConformance('stripe against the mock gateway', conformer)
