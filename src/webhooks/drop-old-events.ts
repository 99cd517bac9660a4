import { agesOfEvents, dropEvents, lockEvents } from '../events/store.ts'
import type { Shard } from '../ports.ts'
import { dropDeliveries } from './deliveries-store.ts'
import { eventsOnTheirWay, eventsWaitedFor } from './pending-store.ts'

/** Events that one turn looks at, and drops in one transaction. */
const LOOKED_AT_MAX = 1_000

/**
 * Drop events of a shard that are older than they are kept, with their deliveries and attempts, of
 * the next thousand behind position `after`. What is still on its way to an endpoint stays until it
 * has arrived or was given up. Returns the position to go on behind; null: there is nothing older.
 */
export async function dropOldEvents(
  shard: Shard,
  after: bigint,
  days: number,
): Promise<bigint | null> {
  const looked = await agesOfEvents(shard, after, LOOKED_AT_MAX, days)
  const old = looked.filter((event) => event.old).map(({ id }) => id)
  if (old.length > 0) {
    // Asked before anything is locked: what a disabled endpoint has not got is waited for long.
    const waiting = await eventsWaitedFor(shard, old)
    const free = old.filter((id) => !waiting.has(id))
    if (free.length > 0) await dropFree(shard, free)
  }
  const all = looked.length === LOOKED_AT_MAX && old.length === LOOKED_AT_MAX
  return all ? (looked.at(-1)?.position ?? null) : null
}

/** Drop events with their deliveries, but those that are on their way by now. */
async function dropFree(shard: Shard, ids: readonly bigint[]): Promise<void> {
  await shard.transaction(async (tx) => {
    const locked = await lockEvents(tx, ids)
    // A statement of its own: it sees the deliveries of whoever had an event until now.
    const pending = await eventsOnTheirWay(tx, locked)
    const over = locked.filter((id) => !pending.has(id))
    if (over.length === 0) return
    dropDeliveries(tx, over)
    dropEvents(tx, over)
  })
}
