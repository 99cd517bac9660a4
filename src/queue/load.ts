import type { Operation, Route } from '../domain/payment.ts'
import { eachInTurn, partly } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { waitingTasks, type OldestDue } from './load-store.ts'

/** The age of the oldest due task of each operation that has one, by what each shard said. */
export function oldestOfEach(looks: readonly (readonly OldestDue[])[]): Map<Operation, number> {
  const oldest = new Map<Operation, number>()
  for (const { operation, ageMs } of looks.flat()) {
    oldest.set(operation, Math.max(ageMs, oldest.get(operation) ?? 0))
  }
  return oldest
}

/**
 * Tasks of a route that are due within a minute, counted over all shards up to `limit`; `missing`
 * are shards that could not be asked.
 */
export async function countWaiting(
  { shards }: Pick<Db, 'shards'>,
  route: Route,
  limit: number,
): Promise<{ readonly count: number; readonly missing: readonly number[] }> {
  let count = 0
  const counts = await eachInTurn(shards, async (shard) => {
    if (count < limit) count += await waitingTasks(shard, route, limit - count)
  })
  return { count, missing: partly(counts).missing }
}
