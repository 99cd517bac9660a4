import { systemClock } from '../../src/adapters/clock.ts'
import { postgres } from '../../src/adapters/postgres.ts'
import { claim, type ChargeWorld, type Claim, type Settlement } from '../../src/charging/charge.ts'
import { settle } from '../../src/charging/settle.ts'
import type { Database } from '../rig.ts'

const BATCH = 500

/**
 * Claim and settle with no gateway call between: what the database lets through. `lanes` batches at
 * a time. Returns payments per second.
 */
export async function drainLimit(
  database: Database,
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
  // The parts of a worker's world that claiming and settling look at.
  const world = { db, clock: systemClock, leaseMs: 30_000, callMsMax: 1_000 }
  const startMs = performance.now()
  let done = 0
  const lane = async (): Promise<void> => {
    while (performance.now() - startMs < durationMs) {
      const claims = await claim(world as unknown as ChargeWorld, BATCH)
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
