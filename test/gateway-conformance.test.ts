import type { TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { httpGateway } from '../src/gateways/http-gateway.ts'
import type { Promises } from '../src/domain/decision.ts'
import { behaving, gatewayConformance, type Conformer } from './gateway-conformance.ts'
import { serveMock } from './mock-server.ts'
import { profileOf } from './profiles.ts'

async function conformer(t: TestContext, profile: Promises): Promise<Conformer> {
  const { url, mock } = await serveMock(t)
  const { url: deadUrl, close } = await serveMock(t)
  await close()
  const drive = (to: string) => {
    const common = {
      timeoutMs: 20_000,
      connections: 8,
      clock: systemClock,
      profile: profileOf(profile),
      untold: 'USD',
      echo: 'required' as const,
    }
    const gateway = httpGateway({ url: to, ...common })
    t.after(() => gateway.close())
    return gateway
  }
  return {
    gateway: drive(url),
    dead: drive(deadUrl),
    behave: behaving(mock),
    charged(paymentId) {
      const id = Number(paymentId)
      const twice = mock.audit().chargedTwice.find(([first]) => first?.paymentId === id)
      if (twice !== undefined) return twice.length
      const once = mock
        .requests(500, 0)
        .some((seen) => seen.paymentId === id && seen.act === 'executed')
      return once ? 1 : 0
    },
  }
}

gatewayConformance('http against the mock gateway', (t) =>
  conformer(t, { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' }),
)
