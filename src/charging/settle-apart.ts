import { Busy, CommitUnknown, Unavailable, type Shard } from '../ports.ts'
import { settle, type Settled, type SettleWorld } from './settle.ts'
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
  const shardOf = ({ claim }: Settlement) => db.of(claim.payment.id)
  const fallIll = (shard: Shard, error: unknown): void => {
    if (!ill.has(shard)) onIll(shard, error)
    ill.add(shard)
  }

  return async (settlements, patient) => {
    // Where all are ill it is the database that is away: then everything waits, in its order.
    const apart = patient && ill.size > 0 && ill.size < db.shards.length
    const asked = apart ? settlements.filter((one) => !ill.has(shardOf(one))) : settlements
    const kept = apart ? settlements.filter((one) => ill.has(shardOf(one))) : []
    const settled = await settle(world, asked, patient).catch((error: unknown) => {
      if (db.shards.length === 1 || !isIllness(error)) throw error
      for (const shard of new Set(asked.map(shardOf))) fallIll(shard, error)
      if (ill.size === db.shards.length) throw error
      const none = { settlements: [], stale: 0, busy: [] }
      return { ...none, failed: [{ settlements: asked, error }] }
    })
    const failed = new Set(settled.failed.flatMap((part) => part.settlements))
    for (const part of settled.failed) {
      const [one] = part.settlements
      if (one !== undefined && isIllness(part.error)) fallIll(shardOf(one), part.error)
    }
    for (const one of asked) if (!failed.has(one)) ill.delete(shardOf(one))
    return { ...settled, left: [...kept, ...settled.busy, ...failed] }
  }
}

/** Whether nothing is wrong with the settlements, and something with where they go. */
function isIllness(error: unknown): boolean {
  return [Unavailable, CommitUnknown, Busy].some((kind) => error instanceof kind)
}
