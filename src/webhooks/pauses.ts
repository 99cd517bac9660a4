import { eachShard } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import type { Endpoint } from './store.ts'
import { readPauses } from './subscriptions-store.ts'

/** Until when endpoints are not called, because they asked for it; others are left out. */
export type Pauses = ReadonlyMap<bigint, Date>

/**
 * The pauses of endpoints: each shard keeps its own, and the longest counts. One that cannot be
 * asked calls nobody either, and is left out.
 */
export async function pausesOf(db: Db): Promise<Pauses> {
  const { done } = await eachShard(db.shards, readPauses)
  const pauses = new Map<bigint, Date>()
  for (const { endpointId, pausedUntil } of done.flatMap(({ value }) => value)) {
    const known = pauses.get(endpointId)
    if (known === undefined || known < pausedUntil) pauses.set(endpointId, pausedUntil)
  }
  return pauses
}

/** Until when an endpoint is not called; null: it is, or it is disabled. */
export function pauseIn(pauses: Pauses, { id, state }: Endpoint): Date | null {
  return state === 'enabled' ? (pauses.get(id) ?? null) : null
}
