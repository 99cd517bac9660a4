import { eachShard } from '../each-shard.ts'
import type { Clock, Db } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import { feedEvents } from './store.ts'

/** How often a process looks for events without a position, in milliseconds. */
const LOOK_MS = 250

/** Events of a shard that get their positions in one statement. */
const FEED_MAX = 1_000

/** Give new events of all shards their positions. Returns how many got one. */
export async function feed(
  db: Db,
  onError: (error: unknown) => void = () => undefined,
): Promise<number> {
  const fed = await eachShard(db.shards, (shard) => feedEvents(shard, FEED_MAX))
  for (const { error } of fed.failed) onError(error)
  return fed.done.reduce((sum, { value }) => sum + value, 0)
}

/** Feed events, in this process as in any other: one at a time has a shard's turn. */
export function startFeed(
  { db, clock }: { readonly db: Db; readonly clock: Clock },
  onError: (error: unknown) => void,
): Background {
  return every(clock, LOOK_MS, async () => (await feed(db, onError)) > 0, onError)
}
