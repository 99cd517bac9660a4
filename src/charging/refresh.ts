import type { Decision } from '../domain/charge-decision.ts'
import { shardWith } from '../each-shard.ts'
import { operationOf } from '../domain/payment.ts'
import { claimAhead, type ClaimedAhead } from '../queue/claims-store.ts'
import { charge, watched, withParents, type ChargeWorld, type Settlement } from './charge.ts'
import { settle, type Settled } from './settle.ts'
import { detailsOf } from '../payments/details-store.ts'
import { readPayments } from '../payments/store.ts'

/**
 * A gateway is not asked about one payment more often than this, whoever asks and in any process.
 */
const REFRESH_MS_MIN = 2_000

/**
 * Ask the gateway now about a payment in doubt, rather than when its next lookup is due: one lookup
 * under a claim of its own, settled like any other. Only the gateway's word changes the payment.
 * Without one it is due when it would have been, nothing is counted and no evidence is kept, so
 * that curious clients neither use up its schedule nor fill its timeline. Null: there was nothing
 * to ask, or no need.
 *
 * What the gateway said is not lost when it cannot be written now: it goes to `keep`. With
 * `traceparent` the calls belong to the trace of the request that asks.
 */
export function refresh(
  world: ChargeWorld,
  id: bigint,
  keep: (settlement: Settlement) => void = () => undefined,
  traceparent?: string,
): Promise<Settled | null> {
  return ask(world, id, { intervalMs: REFRESH_MS_MIN, traceparent }, keep)
}

/**
 * Ask the gateway now to end what it has in hand: a lookup, and if it still has it, a cancelation,
 * under a claim of its own. Only the gateway's word changes the payment; ended so, it leaves no
 * letter. Where it gave none, it is soon asked what became of it. Null: somebody else has it.
 */
export function endPending(
  world: ChargeWorld,
  id: bigint,
  keep: (settlement: Settlement) => void = () => undefined,
  traceparent?: string,
): Promise<Settled | null> {
  return ask(world, id, { intervalMs: END_MS_MIN, ending: true, traceparent }, keep)
}

/** Whoever wants a payment ended does not wait for what notices have it asked, seconds ahead. */
const END_MS_MIN = -60_000

/** How soon after other questions it is asked, and whether it is to end the payment. */
interface Question {
  readonly intervalMs: number
  readonly ending?: true
  /** The place in a trace of the request that asks; undefined: it is not traced. */
  readonly traceparent: string | undefined
}

async function ask(
  world: ChargeWorld,
  id: bigint,
  { intervalMs, ending, traceparent }: Question,
  keep: (settlement: Settlement) => void,
): Promise<Settled | null> {
  if (world.gateway.profile.lookup === 'none') return null
  const shard = await shardWith(world.db, 'payment', id)
  // Taken before the claim, so our own deadline is never later than the lease.
  const claimedMs = world.clock.elapsedMs()
  const callsUntilMs = claimedMs + world.leaseMs - world.callMsMax
  const task = await claimAhead(shard, id, { leaseMs: world.leaseMs, intervalMs })
  if (task === null) return null
  const readMs = world.clock.elapsedMs()
  const [payment] = await readPayments(shard, [id])
  if (payment === undefined) return null

  const said = world.gateway.profile.details ? (await detailsOf(shard, [id])).get(id) : undefined
  const later = watched(world.gateway.profile, operationOf(payment.type))
  const times = { claimedMs, readMs, callsUntilMs }
  const asked = { task, payment, ...times, lookupOnly: true, ...later } as const
  const about = ending ? { ...asked, ending } : asked
  const placed = traceparent === undefined ? about : { ...about, traceparent }
  const told = said === undefined ? placed : { ...placed, details: said }
  const [claimed] = payment.type === 'refund' ? await withParents(shard, [told]) : [told]
  if (claimed === undefined) return null
  const made = await charge(world, claimed)
  const settlement = { ...made, decision: inTurn(made.decision, task) }
  try {
    const settled = await settle(world, [settlement])
    settled.busy.forEach(keep)
    return settled
  } catch (error) {
    keep(settlement)
    throw error
  }
}

/** What is to stay as it was is due when it would have been; so is what was never asked. */
function inTurn(decision: Decision, task: ClaimedAhead): Decision {
  const kept = decision.step === 'leave' || decision.step === 'release'
  return kept ? { step: 'leave', delayMs: Math.ceil(task.dueInMs) } : decision
}
