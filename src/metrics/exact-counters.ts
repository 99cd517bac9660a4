import { EXACT_NAMES, type ExactName } from '../domain/counters.ts'
import type { Db, Shard } from '../ports.ts'
import { eachShard, whole } from '../each-shard.ts'
import { readCounters, readCounts } from './store.ts'

/** Reads the counts of every shard. */
export type ReadCounts = (
  shards: readonly Shard[],
) => Promise<Awaited<ReturnType<typeof readCounts>>[]>

const allCounts: ReadCounts = async (shards) => whole(await eachShard(shards, readCounts))

/**
 * The exact counters of all shards. What earlier versions counted roughly, until this one or the
 * last of them stopped, is part of the totals, so that they never fall.
 */
export async function readExact(
  db: Db,
  readAll: ReadCounts = allCounts,
): Promise<Record<ExactName, number>> {
  const [totals, counted] = await Promise.all([readCounters(db.global), readAll(db.shards)])
  for (const { name, value } of counted.flat()) {
    totals[name] = (totals[name] ?? 0) + Number(value)
  }
  // fromEntries forgets the keys' type.
  return Object.fromEntries(EXACT_NAMES.map((name) => [name, totals[name] ?? 0])) as Record<
    ExactName,
    number
  >
}
