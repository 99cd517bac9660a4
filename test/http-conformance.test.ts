import type { TestContext } from 'node:test'
import { httpGateway } from '../src/gateways/http-gateway.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { chargeKind, lookupKind } from '../src/domain/reply-outcome.ts'
import { vocabularyOf } from './conformance-table.ts'
import type { Conformer } from './conformer.ts'
import { behaving, gatewayConformance, REQUEST } from './gateway-conformance.ts'
import { manualClock } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { profileOf } from './profiles.ts'
import { SHAPES } from './reply-table.ts'

/** What names our payment. */
function echo({ paymentId, key }: GatewayOperation) {
  return { payment_id: Number(paymentId), idempotency_key: key }
}

const VOCABULARY = vocabularyOf({
  shapes: SHAPES,
  words: { success: 'success', declined: 'declined', pending: 'pending' },
  refusal: 'rejected',
  charge: chargeKind,
  lookup: lookupKind,
  body: {
    success: (operation) => ({ status: 'success', ...echo(operation) }),
    declined: (operation) => ({ status: 'failed', code: 'card_expired', ...echo(operation) }),
    pending: (operation) => ({ status: 'pending', ...echo(operation) }),
    rejected: (operation) => ({ status: 'rejected', code: 'not_found', ...echo(operation) }),
    json: () => ({ error: 'Bad Gateway' }),
    page: () => '<html>',
    empty: () => '',
    another: (operation) => ({ status: 'success', ...echo(operation), payment_id: 99 }),
  },
})

async function conformer(t: TestContext): Promise<Conformer> {
  const clock = manualClock()
  const { url, mock } = await serveMock(t, {}, undefined, clock)
  const { url: deadUrl, close } = await serveMock(t)
  await close()
  const at = (to: string) => {
    const common = {
      timeoutMs: 20_000,
      connections: 8,
      clock,
      profile: profileOf({
        repeats: 'first_answer',
        keyLifeMs: 3_600_000,
        lookup: 'consistent',
      }),
      untold: 'USD',
      echo: 'required' as const,
    }
    const gateway = httpGateway({ url: to, ...common })
    t.after(() => gateway.close())
    return gateway
  }
  return {
    gateway: at(url),
    dead: at(deadUrl),
    at,
    clock,
    vocabulary: VOCABULARY,
    charge: REQUEST,
    ref: 'ref-1',
    behave: behaving(mock),
    charged: (paymentId) =>
      mock.executed(0, 1_000).filter((made) => BigInt(made.paymentId) === paymentId).length,
    async comesBack(_ref, amount) {
      mock.comeBack('refunded_there', Number(REQUEST.paymentId), amount)
    },
  }
}

gatewayConformance('http against the mock gateway', conformer)
