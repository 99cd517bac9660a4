import type { TestContext } from 'node:test'
import type { GatewayOperation } from '../src/domain/gateway.ts'
import { behaving, dressedAs, gatewayConformance, type Conformer } from './gateway-conformance.ts'
import { serveMock } from './mock-server.ts'
import { DETAILS, yookassa } from './yookassa-kit.ts'

/** The suite's operations in roubles, and with a method, which YooKassa needs. */
function dressed(operation: GatewayOperation): GatewayOperation {
  return { ...operation, currency: 'RUB', details: DETAILS }
}

async function conformer(t: TestContext): Promise<Conformer> {
  const { url, mock } = await serveMock(t)
  const { url: deadUrl, close } = await serveMock(t)
  await close()
  return {
    gateway: dressedAs(dressed, yookassa(t, `${url}/yookassa/v3`)),
    dead: dressedAs(dressed, yookassa(t, `${deadUrl}/yookassa/v3`)),
    behave: behaving(mock),
    charged: (paymentId) => mock.yookassa.moved('payment_id', `${paymentId}`).length,
  }
}

gatewayConformance('yookassa against the mock gateway', conformer)
