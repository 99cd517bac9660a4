import type { Db } from '../ports.ts'
import {
  changeEndpoint,
  ENDPOINTS_MAX,
  insertEndpoint,
  listEndpoints,
  removeEndpoint,
  type Endpoint,
  type EndpointChange,
  type NewEndpoint,
} from './store.ts'
import { tellShards } from './sync.ts'

/**
 * Make an endpoint. When it returns, every shard writes the events that it wants. Where a shard
 * cannot be told it throws, and there is no endpoint. Null: there are as many as there may be.
 */
export async function addEndpoint(
  db: Db,
  draft: NewEndpoint,
  by: string,
): Promise<Endpoint | null> {
  if ((await listEndpoints(db.global)).length >= ENDPOINTS_MAX) return null
  const endpoint = await insertEndpoint(db.global, draft, by)
  try {
    await tellShards(db)
  } catch (error) {
    // Whoever asked hears that it failed. What this cannot take back, they see in the list.
    await removeEndpoint(db.global, endpoint.id).catch(() => undefined)
    throw error
  }
  return endpoint
}

/**
 * Change an endpoint; null: there is none. When it returns, every shard knows. Where it throws, the
 * change is stored, and the shards that do not know yet are told within seconds.
 */
export async function editEndpoint(
  db: Db,
  id: bigint,
  change: EndpointChange,
): Promise<Endpoint | null> {
  const endpoint = await changeEndpoint(db.global, id, change)
  if (endpoint !== null) await tellShards(db)
  return endpoint
}

/** Remove an endpoint. Its events stay. False: there is none. */
export async function dropEndpoint(db: Db, id: bigint): Promise<boolean> {
  const endpoint = await removeEndpoint(db.global, id)
  if (endpoint !== null) await tellShards(db)
  return endpoint !== null
}
