import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { BREAKER_POLICY } from '../src/domain/breaker.ts'
import { OPERATIONS, type PaymentType } from '../src/domain/payment.ts'
import { guardedGateway } from '../src/gateways/guarded.ts'
import { sharedBreakers, type Alert } from '../src/gateways/shared-breaker.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import type { Gateway } from '../src/ports.ts'
import { testWorld, type TestWorld } from './harness.ts'

export interface Shop extends TestWorld {
  readonly alerts: Alert[]
  /** The payments that were charged, in order, whatever came of it. */
  readonly asked: bigint[]
  /** What is wrong with the gateway, for one payment or for all; null: it does its work. */
  wrong: (request: GatewayOperation) => number | 'away' | 'silent' | null
  pay(type: PaymentType): Promise<bigint>
  /** A second of a worker: look at the breakers, claim what they admit, charge, settle. */
  second(): Promise<void>
  statuses(): Promise<Record<string, number>>
}

/**
 * A worker with breakers, and a gateway that may be wrong about us: the scripted one by default.
 */
export async function shop(t: TestContext, remote?: Gateway): Promise<Shop> {
  const world = await testWorld(t)
  const { db, clock } = world
  const user = await world.user(1_000_000n)
  const asked: bigint[] = []
  const others = remote ?? world.gateway
  const honest = {
    ...others,
    execute(request: GatewayOperation) {
      asked.push(request.paymentId)
      const status = own.wrong(request)
      if (status === null) return others.execute(request)
      if (status === 'away') {
        const outcome = { kind: 'not_executed', reason: 'connection_refused' } as const
        return Promise.resolve({ outcome, sent: false, httpStatus: null })
      }
      if (status === 'silent') {
        const outcome = { kind: 'in_doubt', reason: 'timeout' } as const
        return Promise.resolve({ outcome, sent: true, httpStatus: null })
      }
      const outcome = { kind: 'misconfigured', reason: `http_${status}` } as const
      return Promise.resolve({ outcome, sent: true, httpStatus: status })
    },
  }
  const gateway = guardedGateway(honest, clock, () => undefined)
  const alerts: Alert[] = []
  const { look, admitted, answeredSince } = sharedBreakers({
    gateway: 'http',
    db: db.global,
    clock,
    policy: BREAKER_POLICY,
    local: gateway.route,
    onAlert: (alert) => void alerts.push(alert),
  })
  const policy = { ...world.world.policy, ...others.profile, giveUpMs: 900_000 }
  const working = { ...world.world, gateway, answeredSince, policy }
  const own: Shop = {
    ...world,
    alerts,
    asked,
    wrong: () => null,
    async pay(type) {
      const draft = { type, userId: user, amount: 100n, idempotencyKey: null }
      const [answer] = await world.accept([draft])
      assert.equal(answer?.kind, 'accepted')
      return answer.payment.id
    },
    async second() {
      await look()
      for (const operation of OPERATIONS) {
        const limit = admitted(operation, 50, 0)
        const claims = limit > 0 ? await claim(working, limit, [operation]) : []
        await settle(working, await Promise.all(claims.map((each) => charge(working, each))))
      }
      clock.advance(1_000)
    },
    async statuses() {
      const rows = await world.sql<{ key: string; count: number }>(
        `select type || ' ' || status as key, count(*)::int as count from payments group by 1`,
      )
      return Object.fromEntries(rows.map(({ key, count }) => [key, count]))
    },
  }
  return own
}
