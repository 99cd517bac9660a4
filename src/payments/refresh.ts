import type { Decision } from '../domain/retry.ts'
import { shardOf } from '../domain/shard.ts'
import { claimAhead, type ClaimedAhead } from '../queue/acts/store.ts'
import { charge, type ChargeWorld, type Settlement } from './charge.ts'
import { settle, type Settled } from './settle.ts'
import { readPayments } from './store.ts'

/** A gateway is not asked about one payment more often than this, whoever asks and in any process. */
export const REFRESH_MS_MIN = 2_000

/**
 * Ask the gateway now about a payment in doubt, rather than when its next lookup is due: one lookup
 * under a claim of its own, settled like any other. Only the gateway's word changes the payment.
 * Without one, it is due when it would have been, and no attempt or lookup is counted, so that
 * curious clients do not use up its schedule. Null: there was nothing to ask, or no need.
 */
export async function refresh(world: ChargeWorld, id: bigint): Promise<Settled | null> {
  if (world.gateway.profile.lookup === 'none') return null
  const shard = shardOf(id, world.shards)
  // Taken before the claim, so our own deadline is never later than the lease.
  const callsUntilMs = world.clock.elapsedMs() + world.leaseMs - world.callMsMax
  const limits = { leaseMs: world.leaseMs, intervalMs: REFRESH_MS_MIN }
  const task = await claimAhead(world.db, shard, id, limits, world.clock.database())
  if (task === null) return null
  const [payment] = await readPayments(world.db, shard, [id])
  if (payment === undefined) return null

  const settlement = await charge(lookupOnly(world), { shard, task, payment, callsUntilMs })
  return settle(world, [{ ...settlement, decision: decide(settlement, task) }])
}

/** Under a policy without attempts a claim in doubt makes one lookup, and no charge. */
function lookupOnly(world: ChargeWorld): ChargeWorld {
  return { ...world, policy: { ...world.policy, attemptsMax: -1 } }
}

function decide({ calls, decision }: Settlement, task: ClaimedAhead): Decision {
  if (decision.step === 'succeed') return decision
  const last = calls.at(-1)?.outcome
  // "Not found" finishes a payment only where attempts have run out: before, it is sent again.
  if (decision.step === 'fail' && (last?.kind === 'declined' || task.lookups > 0)) return decision
  const reason = last === undefined ? 'interrupted' : 'reason' in last ? last.reason : last.kind
  return { step: 'retry', delayMs: Math.ceil(task.dueInMs), reason, doubt: false }
}
