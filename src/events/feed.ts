import { eachInTurn, eachShard } from '../each-shard.ts'
import type { Clock, Db, Shard } from '../ports.ts'
import { every, type Background } from '../queue/every.ts'
import type { Sideline } from '../queue/pressure.ts'
import { shardTurns, type ShardTurns } from '../queue/shard-turns.ts'
import { feedEvents, newestPosition, shardsWithFresh } from './store.ts'

/** How often a process looks for events without a position, in milliseconds. */
const LOOK_MS = 250

/** Events of a shard that get their positions in one statement. */
const FEED_MAX = 1_000

/**
 * Give new events of all shards their positions; where `max` is less than one statement may give,
 * so many of all shards together. Returns how many got one.
 */
export async function feed(
  db: Db,
  onError: (error: unknown) => void = () => undefined,
  turns?: ShardTurns,
  max = FEED_MAX,
): Promise<number> {
  const shards = (await turns?.next()) ?? db.shards
  const fed = await (max < FEED_MAX ? feedSome(shards, max) : feedAll(shards))
  for (const { shard, error } of fed.failed) {
    turns?.failed(shard, error)
    onError(error)
  }
  let count = 0
  for (const { shard, value } of fed.done) {
    if (value === null) continue
    turns?.asked(shard, value > 0)
    count += value
  }
  return count
}

function feedAll(shards: readonly Shard[]) {
  return eachShard<number | null>(shards, (shard) => feedEvents(shard, FEED_MAX))
}

/** One shard after the other, until `max` have positions; null: it was not asked. */
function feedSome(shards: readonly Shard[], max: number) {
  let left = max
  return eachInTurn(shards, async (shard) => {
    if (left === 0) return null
    const count = await feedEvents(shard, left)
    left -= count
    return count
  })
}

/** Feed events, in this process as in any other: one at a time has a shard's turn. */
export function startFeed(
  world: {
    readonly db: Db
    readonly clock: Clock
    readonly random: () => number
    readonly sideline: Sideline
  },
  onError: (error: unknown) => void,
): Background {
  const { db, clock, sideline } = world
  const { shards, servers } = db
  const looks = { look: newestPosition, lookForWork: shardsWithFresh }
  const turns = shardTurns({ ...world, shards, servers, pauseMs: LOOK_MS, ...looks })
  const turn = async () => {
    const max = sideline.admitted(FEED_MAX)
    const count = max > 0 ? await feed(db, onError, turns, max) : 0
    sideline.began(count)
    if (max < FEED_MAX) return LOOK_MS
    return count > 0 || Math.max(LOOK_MS, turns.restMs())
  }
  return every(clock, LOOK_MS, turn, onError)
}
