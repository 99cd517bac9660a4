import { eachShard, whole } from '../each-shard.ts'
import type { Db, Shard } from '../ports.ts'
import { lookAtEvents, type StoredEvent } from './store.ts'

/** A page of events, and the position behind which each shard goes on. */
interface EventPage {
  readonly events: readonly StoredEvent[]
  readonly next: readonly bigint[]
  /** Whether events behind these positions are gone for their age. */
  readonly dropped: boolean
}

/**
 * Up to `limit` events behind a position of each shard, about in the order in which they happened.
 * Those of one payment are always in order. Throws where a shard cannot be read: a page that leaves
 * one out would look like the end.
 */
export async function pageOfEvents(
  db: Db,
  after: readonly bigint[],
  types: readonly string[] | null,
  limit: number,
): Promise<EventPage> {
  const looks = whole(
    await eachShard(db.shards, async (shard) => {
      return { shard, ...(await lookAtEvents(shard, after[shard.number] ?? 0n, types, limit)) }
    }),
  )
  const all = looks.flatMap(({ shard, events }) => events.map((event) => ({ shard, event })))
  // Stable: those of one shard stay in order, as their times are taken before their positions.
  const taken = inOrder(all).slice(0, limit)
  const next = looks.map(({ shard, from, events, upTo }) => {
    const here = taken.filter((one) => one.shard === shard)
    if (here.length === events.length) return upTo
    return here.at(-1)?.event.position ?? from
  })
  const dropped = looks.some((look) => look.dropped)
  return { events: taken.map(({ event }) => event), next, dropped }
}

interface Placed {
  readonly shard: Shard
  readonly event: StoredEvent
}

/** Merge by time, and never take an event before one of its shard with a lower position. */
function inOrder(all: readonly Placed[]): Placed[] {
  const newest = new Map<Shard, number>()
  const timed = all.map((placed) => {
    const at = Math.max(placed.event.createdAt.getTime(), newest.get(placed.shard) ?? 0)
    newest.set(placed.shard, at)
    return { placed, at }
  })
  return timed.sort((one, other) => one.at - other.at).map(({ placed }) => placed)
}
