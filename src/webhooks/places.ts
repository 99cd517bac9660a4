import { openSettler, type Settler } from '../queue/settler.ts'
import {
  AT_ONCE,
  settleDelivered,
  type Delivered,
  type Delivery,
  type SettledWorld,
} from './deliver.ts'

/**
 * The places of endpoints in this process: `atOnce` for each. A place is free when its call has
 * ended. Where the endpoint asked not to be called, or is gone, it is free when that is written:
 * until then the database does not know of it and would give out more of its deliveries.
 * `onHalf` is told when half of the places of an endpoint are free, which makes claims as large as
 * they are useful.
 */
export function deliveryPlaces(onHalf: () => void, atOnce = AT_ONCE) {
  const taken = new Map<bigint, number>()
  const free = (id: bigint) => {
    const left = (taken.get(id) ?? 0) - 1
    taken.set(id, left)
    if (left === atOnce / 2) onHalf()
  }
  return {
    taken: (id: bigint): number => taken.get(id) ?? 0,
    take(claimed: readonly Delivery[]): void {
      for (const { endpoint } of claimed) taken.set(endpoint.id, (taken.get(endpoint.id) ?? 0) + 1)
    },
    /** A delivery that has a place, while it is made. */
    async during(delivery: Delivery, made: Promise<Delivered>): Promise<Delivered> {
      let held = false
      try {
        const delivered = await made
        held = holds(delivered)
        return delivered
      } finally {
        if (!held) free(delivery.endpoint.id)
      }
    },
    /** All of these are written but those left. Returns those left. */
    written(all: readonly Delivered[], left: readonly Delivered[]): readonly Delivered[] {
      const later = new Set(left)
      for (const one of all) if (holds(one) && !later.has(one)) free(one.delivery.endpoint.id)
      return left
    },
  }
}

/** Whether an endpoint said that it is not to be called. */
function holds({ verdict }: Delivered): boolean {
  return verdict !== null && (verdict.pauseMs > 0 || verdict.gone)
}

type SettlerOptions = Parameters<typeof openSettler<Delivered>>[0]

/**
 * Write what deliveries came to. What is given up is made again when its lease ends, so its place
 * is free as well.
 */
export function deliverySettler(
  world: SettledWorld,
  { written }: Pick<ReturnType<typeof deliveryPlaces>, 'written'>,
  options: Omit<SettlerOptions, 'settle' | 'keyOf'>,
): Settler<Delivered> {
  return openSettler<Delivered>({
    ...options,
    settle: async (done) => written(done, await settleDelivered(world, done)),
    keyOf: ({ result }) => result.eventId,
    onGivenUp(done, error) {
      written(done, [])
      options.onGivenUp(done, error)
    },
  })
}
