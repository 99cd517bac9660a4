import { systemClock } from '../../src/adapters/clock.ts'
import { postgres } from '../../src/adapters/postgres.ts'
import { claim, type Claim, type Settlement } from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import type { GatewayProfile } from '../../src/domain/gateway-profile.ts'
import { OPERATIONS } from '../../src/domain/payment.ts'
import type { Database } from '../rig.ts'

const BATCH = 500

/** The gateway of the backlog, as its worker would know it. */
const PROFILE: GatewayProfile = {
  name: 'http',
  operations: new Set(OPERATIONS),
  currencies: 'any',
  repeats: 'executes_once',
  keyLifeMs: 86_400_000,
  lookup: 'consistent',
  lookupBy: 'key',
  details: false,
  pendingMsMax: 259_200_000,
  watchMs: [],
}

/**
 * Claim and settle with no gateway call between: what the database lets through. `lanes` batches at
 * a time. Returns payments per second.
 */
export async function drainLimit(
  database: Pick<Database, 'url'>,
  lanes: number,
  durationMs: number,
): Promise<number> {
  const db = postgres({
    url: database.url,
    currency: 'USD',
    shards: 1,
    poolMax: 8,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    lockTimeoutMs: 5_000,
    idleTransactionTimeoutMs: 10_000,
    name: 'bench limit',
  })
  const gateway = { profile: PROFILE }
  const times = { clock: systemClock, leaseMs: 30_000, callMsMax: 1_000 }
  const world = { db, gateway, random: Math.random, ...times }
  const startMs = performance.now()
  let done = 0
  const lane = async (): Promise<void> => {
    while (performance.now() - startMs < durationMs) {
      const claims = await claim(world, BATCH)
      if (claims.length === 0) return
      await settle(world, claims.map(succeeded))
      done += claims.length
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  const perSecond = done / ((performance.now() - startMs) / 1_000)
  await db.close()
  return perSecond
}

function succeeded(claimed: Claim): Settlement {
  const outcome = { kind: 'success', gatewayRef: null } as const
  const call = { kind: 'charge', outcome, sent: true, httpStatus: 200, tookMs: 1 } as const
  const calls = [{ ...call, startedMs: performance.now() }]
  return { claim: claimed, calls, decision: { step: 'succeed', gatewayRef: null, twice: false } }
}
