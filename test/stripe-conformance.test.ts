import type { TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway.ts'
import type { Gateway } from '../src/ports.ts'
import { gatewayConformance, type Conformer } from './gateway-conformance.ts'
import { FAULTS_NONE } from './mock-server.ts'
import { detailsOf, serveStripe, stripeDriver } from './stripe-kit.ts'

const BEHAVIOURS = {
  accept: {},
  decline: { decline: 1 },
  lose_reply: { reset_after: 1 },
  fail: { error_before: 1 },
  refuse: { rejected: 1 },
  disown: { wrong_credential: 1 },
  take: { pending: 1, late_ms: 60_000 },
} as const

/** The suite's operations with a method, which Stripe needs. */
function dressed(operation: GatewayOperation): GatewayOperation {
  const method = operation.kind === 'payout' ? 'acct_1' : 'pm_card_visa'
  return { ...operation, details: detailsOf(method) }
}

function withMethods(gateway: Gateway): Gateway {
  return {
    ...gateway,
    execute: (operation, signal) => gateway.execute(dressed(operation), signal),
    lookup: (operation, signal) => gateway.lookup(dressed(operation), signal),
  }
}

async function conformer(t: TestContext): Promise<Conformer> {
  const { stripeUrl, mock } = await serveStripe(t)
  const dead = await serveStripe(t)
  await dead.close()
  return {
    gateway: withMethods(stripeDriver(t, stripeUrl)),
    dead: withMethods(stripeDriver(t, dead.stripeUrl)),
    behave: (how) => void mock.setFaults({ ...FAULTS_NONE, ...BEHAVIOURS[how] }),
    // Between what Stripe charges at least and at most.
    amounts: [50n, 99n, 100n, 20_050n, 99_999_999n],
    charged: (paymentId) => mock.stripe.moved('payments_payment_id', `${paymentId}`).length,
  }
}

gatewayConformance('stripe against the mock gateway', conformer)
