import { eachShard, whole } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { listDeliveries, type DeliveryView } from './views-store.ts'

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
