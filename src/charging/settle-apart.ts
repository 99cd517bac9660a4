import { Busy, CommitUnknown, Unavailable, type Shard } from '../ports.ts'
import { settleParts, takenOf, type Settled, type SettleWorld } from './settle.ts'
import type { Settlement } from './charge.ts'

/** What was settled, and everything that is to be tried again. */
interface SettledApart extends Settled {
  readonly left: readonly Settlement[]
}

/**
 * Settle as `settle` does, and keep shards that are ill apart: once a shard takes no settlements,
 * its own are only tried where nobody waits behind them, until it takes some. Throws where no shard
 * takes any, and where it is not the shard's doing. `onIll` is told when a shard turns out to be
 * ill.
 */
export function settleApart(
  world: SettleWorld,
  onIll: (shard: Shard, error: unknown) => void,
): (settlements: readonly Settlement[], patient: boolean) => Promise<SettledApart> {
  const { db } = world
  const ill = new Set<Shard>()
  const shardOf = ({ claim }: Settlement) => db.of(claim.payment.userId)
  const fallIll = (shard: Shard, error: unknown): void => {
    if (!ill.has(shard)) onIll(shard, error)
    ill.add(shard)
  }

  return async (settlements, patient) => {
    // Where all are ill it is the database that is away: then everything waits, in its order.
    const apart = patient && ill.size > 0 && ill.size < db.shards.length
    const asked = apart ? settlements.filter((one) => !ill.has(shardOf(one))) : settlements
    const kept = apart ? settlements.filter((one) => ill.has(shardOf(one))) : []
    const settled = await settleAll(world, asked, patient)
    const failed = new Set(settled.failed.flatMap((part) => part.settlements))
    for (const one of asked) if (!failed.has(one)) ill.delete(shardOf(one))
    for (const part of settled.failed) {
      const [one] = part.settlements
      if (one !== undefined && isIllness(part.error)) fallIll(shardOf(one), part.error)
    }
    const [first] = settled.failed
    const notIll = settled.failed.find((part) => !isIllness(part.error))
    // Told whoever looks for the result at fault, or that the database is away.
    const hopeless = notIll !== undefined || ill.size === db.shards.length
    if (first !== undefined && !takenOf(settled, asked) && hopeless) throw (notIll ?? first).error
    return { ...settled, left: [...kept, ...settled.busy, ...failed] }
  }
}

/**
 * Settle, and what a shard would not take because of one result in halves, so that the others are
 * settled. A single shard leaves that to whoever asks.
 */
async function settleAll(
  world: SettleWorld,
  settlements: readonly Settlement[],
  patient: boolean,
): Promise<Settled> {
  const settled = await settleParts(world, settlements, patient)
  if (world.db.shards.length === 1) return settled
  let all: Settled = { ...settled, failed: settled.failed.filter(isFinal) }
  for (const part of settled.failed.filter((one) => !isFinal(one))) {
    const middle = Math.ceil(part.settlements.length / 2)
    for (const half of [part.settlements.slice(0, middle), part.settlements.slice(middle)]) {
      all = both(all, await settleAll(world, half, patient))
    }
  }
  return all
}

function isFinal({ settlements, error }: Settled['failed'][number]): boolean {
  return settlements.length === 1 || isIllness(error)
}

function both(one: Settled, other: Settled): Settled {
  return {
    settlements: [...one.settlements, ...other.settlements],
    stale: one.stale + other.stale,
    busy: [...one.busy, ...other.busy],
    failed: [...one.failed, ...other.failed],
  }
}

/** Whether nothing is wrong with the settlements, and something with where they go. */
function isIllness(error: unknown): boolean {
  if (error instanceof Busy) return error.why === 'slow'
  return error instanceof Unavailable || error instanceof CommitUnknown
}
