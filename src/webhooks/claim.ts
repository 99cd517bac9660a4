import type { Runner } from '../ports.ts'
import { claimDeliveries, setWaitingAside } from './deliveries-store.ts'
import type { DueDelivery, Room } from './delivery-values.ts'

/**
 * Due deliveries of an ordered endpoint that a claim looks at: what waits for an earlier event is
 * passed over among them, and put aside where there is more of it.
 */
const LOOK = 100

/** How often one turn claims in a shard where what is due only waits. */
const ROUNDS_MAX = 3

/** How long a claim lasts, and how many due deliveries of an ordered endpoint it looks at. */
interface ClaimTerms {
  readonly leaseMs: number
  readonly look?: number
}

/** How many deliveries of an endpoint may be claimed, and whether one waits for another. */
interface OrderedRoom extends Room {
  readonly ordered: boolean
}

/**
 * Claim what is due in a shard. Where an ordered endpoint has less to claim than it has room for,
 * what waits in front is put aside. `more`: it was, and something due may stand behind it.
 */
export async function claimIn(
  { leaseMs, look = LOOK }: ClaimTerms,
  shard: Runner,
  limit: number,
  rooms: readonly OrderedRoom[],
): Promise<{ readonly dues: readonly DueDelivery[]; readonly more: boolean }> {
  for (let round = 1; ; round += 1) {
    const dues = await claimDeliveries(shard, { limit, leaseMs, look }, rooms)
    const claimed = (id: bigint) => dues.filter(({ endpointId }) => endpointId === id).length
    const short = rooms.filter(
      ({ endpointId, free, ordered }) => ordered && claimed(endpointId) < free,
    )
    if (dues.length === limit || short.length === 0) return { dues, more: false }
    const ids = short.map(({ endpointId }) => endpointId)
    const aside = setWaitingAside(shard, ids, look)
    // What is claimed is delivered, whatever becomes of the rest.
    if (dues.length > 0) return { dues, more: (await aside.catch(() => 0)) > 0 }
    const more = (await aside) > 0
    if (!more || round === ROUNDS_MAX) return { dues, more }
  }
}
