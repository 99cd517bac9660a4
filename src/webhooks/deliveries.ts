import type { Refusal } from '../domain/refusal.ts'
import { eachShard, shardWith, whole } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { retryDelivery } from './deliveries-store.ts'
import { readEndpoint } from './store.ts'
import { listAttempts, listDeliveries, type AttemptView, type DeliveryView } from './views-store.ts'

/** The newest deliveries of an endpoint in all shards, newest first. */
export async function newestDeliveries(
  db: Db,
  endpointId: bigint,
  state: DeliveryView['state'] | null,
  limit: number,
): Promise<DeliveryView[]> {
  const found = whole(
    await eachShard(db.shards, (shard) => listDeliveries(shard, endpointId, state, limit)),
  )
  return found
    .flat()
    .sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
    .slice(0, limit)
}

/** A delivery as it is asked for; null: what was said is the id of nothing. */
interface Asked {
  readonly endpointId: bigint | null
  readonly eventId: bigint | null
}

interface Refused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

/** The calls of a delivery, newest first. */
export async function deliveryAttempts(
  db: Db,
  { endpointId, eventId }: Asked,
): Promise<{ readonly kind: 'calls'; readonly calls: readonly AttemptView[] } | Refused> {
  const endpoint = endpointId === null ? null : await readEndpoint(db.global, endpointId)
  if (endpoint === null) return refused('endpoint_not_found')
  if (eventId === null) return refused('delivery_not_found')
  const calls = await listAttempts(await shardWith(db, 'event', eventId), eventId, endpoint.id)
  return calls === null ? refused('delivery_not_found') : { kind: 'calls', calls }
}

/** Send an event to an endpoint again, whether it has arrived or not: to nobody who is disabled. */
export async function deliverAgain(
  db: Db,
  { endpointId, eventId }: Asked,
): Promise<{ readonly kind: 'due' } | Refused> {
  const endpoint = endpointId === null ? null : await readEndpoint(db.global, endpointId)
  if (endpoint === null) return refused('endpoint_not_found')
  if (endpoint.state === 'disabled') return refused('endpoint_disabled')
  if (eventId === null) return refused('not_deliverable')
  const shard = await shardWith(db, 'event', eventId)
  const again = await retryDelivery(shard, eventId, endpoint.id)
  return again ? { kind: 'due' } : refused('not_deliverable')
}

function refused(code: Refusal['code']): Refused {
  return { kind: 'refused', refusal: { code } }
}
