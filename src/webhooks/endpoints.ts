import { writeJson } from '../domain/json.ts'
import type { Clock, Db } from '../ports.ts'
import { messageOf, type Send } from './deliver.ts'
import { newSecret, seal } from './secrets.ts'
import {
  calledEndpoints,
  changeEndpoint,
  ENDPOINTS_MAX,
  insertEndpoint,
  listEndpoints,
  removeEndpoint,
  rotateEndpoint,
  type Endpoint,
  type EndpointChange,
  type NewEndpoint,
} from './store.ts'
import { tellShards } from './sync.ts'

/** An endpoint with its new secret, which is shown this once; null: it is not called. */
interface WithSecret {
  readonly endpoint: Endpoint
  readonly secret: string | null
}

/**
 * Make an endpoint. When it returns, every shard writes the events that it wants. Where a shard
 * cannot be told it throws, and there is no endpoint. Null: there are as many as there may be.
 */
export async function addEndpoint(
  db: Db,
  draft: NewEndpoint,
  by: string,
  key: Buffer,
): Promise<WithSecret | null> {
  if ((await listEndpoints(db.global)).length >= ENDPOINTS_MAX) return null
  const secret = draft.url === null ? null : newSecret()
  const sealed = secret === null ? null : seal(secret, key)
  const endpoint = await insertEndpoint(db.global, draft, by, sealed)
  try {
    await tellShards(db)
  } catch (error) {
    // Whoever asked hears that it failed. What this cannot take back, they see in the list.
    await removeEndpoint(db.global, endpoint.id).catch(() => undefined)
    throw error
  }
  return { endpoint, secret }
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

/**
 * Give an endpoint a new secret. For `overlapMs` deliveries are signed with the one before as well,
 * so a receiver that has only one of them verifies all. Null: there is none that is called.
 */
export async function rotateSecret(
  db: Db,
  id: bigint,
  overlapMs: number,
  key: Buffer,
): Promise<WithSecret | null> {
  const secret = newSecret()
  const endpoint = await rotateEndpoint(db.global, id, seal(secret, key), overlapMs)
  return endpoint === null ? null : { endpoint, secret }
}

/** What a test needs to call an endpoint. */
export interface TestWorld {
  readonly db: Db
  readonly clock: Clock
  readonly send: Send
  readonly key: Buffer
  readonly agent: string
}

/** Call an endpoint once with a test message; null: there is none that is called. */
export async function testEndpoint(
  world: TestWorld,
  id: bigint,
  messageId: string,
): Promise<Awaited<ReturnType<Send>> | null> {
  const [endpoint] = await calledEndpoints(world.db.global, id)
  if (endpoint === undefined) return null
  const timestamp = world.clock.now().toISOString()
  const body = writeJson({
    type: 'webhook_endpoint.test',
    timestamp,
    data: { endpoint_id: Number(id) },
  })
  return world.send(messageOf(world, endpoint, { id: messageId, body }))
}
