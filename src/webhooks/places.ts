import { abortWatch } from '../domain/abort-watch.ts'
import type { Clock } from '../ports.ts'
import { openSettler, type Settler } from '../queue/settler.ts'
import {
  AT_ONCE,
  settleDelivered,
  unmade,
  type Delivered,
  type Delivery,
  type SettledWorld,
} from './deliver.ts'

/** Deliveries that wait in a process for a place of an endpoint that answers at once. */
export const AHEAD = 80

/** How long a call of such an endpoint takes at most, in milliseconds. */
const QUICK_MS = 50

/** How long after the look at its endpoint a delivery waits for a place, in milliseconds. */
const WAIT_MS_MAX = 500

interface Waiting {
  readonly lookedMs: number
  /** Tell whether there is a place, or none will be waited for. */
  readonly go: (placed: boolean) => void
}

interface PlacesOptions {
  readonly clock: Pick<Clock, 'elapsedMs'>
  /** Told when half of its places, or of what may be claimed, are free: so claims are large. */
  readonly onHalf: () => void
  readonly atOnce?: number
  /** Deliveries that may wait for a place where an endpoint answers at once. */
  readonly ahead?: number
}

/** The places of one endpoint, and what waits for one. */
function placesOfOne(options: PlacesOptions) {
  const { clock, onHalf, atOnce = AT_ONCE, ahead = AHEAD } = options
  let claimed = 0
  let calling = 0
  /** Whether its last call was over at once. */
  let quick = false
  const line: Waiting[] = []
  const more = () => (quick ? ahead : 0)

  const giveBack = (): void => {
    quick = false
    for (const { go } of line.splice(0)) go(false)
  }
  const fill = (): void => {
    // Whoever is first was looked up first.
    const [first] = line
    if (first !== undefined && clock.elapsedMs() - first.lookedMs > WAIT_MS_MAX) giveBack()
    for (const { go } of line.splice(0, Math.max(0, atOnce - calling))) {
      calling += 1
      go(true)
    }
  }
  const over = (): void => {
    claimed -= 1
    if (claimed === atOnce / 2 || claimed === (atOnce + more()) / 2) onHalf()
  }
  return {
    taken: () => claimed - more(),
    claim: () => (claimed += 1),
    giveBack,
    fill,
    over,
    free(): void {
      calling -= 1
      fill()
      over()
    },
    was: (soon: boolean) => (quick = soon),
    /** Wait for a place; false: there is none for it. */
    placed(
      { lookedMs }: Delivery,
      signal: AbortSignal,
      watch: ReturnType<typeof abortWatch>,
    ): Promise<boolean> | boolean {
      if (signal.aborted) return false
      if (calling < atOnce) {
        calling += 1
        return true
      }
      return new Promise((resolve) => {
        // One function each: the watch of one ends with it.
        const unwatch = watch(signal, () => giveBack())
        const go = (found: boolean) => {
          unwatch()
          resolve(found)
        }
        line.push({ lookedMs, go })
      })
    },
  }
}

/**
 * The places of endpoints in this process: `atOnce` for each. A place is free when its call has
 * ended. Where the endpoint asked not to be called, or is gone, it is free when that is written:
 * until then the database does not know of it and would give out more of its deliveries.
 *
 * For an endpoint that answers at once more is claimed than it has places. What waits for one is
 * given back when it has waited for `WAIT_MS_MAX`, when the endpoint is not to be called, and at
 * the end of the process: `deliver` calls nobody who was looked up longer ago than a second.
 */
export function deliveryPlaces(options: PlacesOptions) {
  const all = new Map<bigint, ReturnType<typeof placesOfOne>>()
  const watch = abortWatch()
  const of = ({ endpoint: { id } }: Delivery) => {
    const known = all.get(id) ?? placesOfOne(options)
    all.set(id, known)
    return known
  }
  return {
    /** How many fewer than its places may be claimed for an endpoint; below 0 where more may be. */
    taken: (id: bigint): number => all.get(id)?.taken() ?? 0,
    take(claimed: readonly Delivery[]): void {
      for (const one of claimed) of(one).claim()
    },
    /** Give back what has waited for too long. */
    tidy(): void {
      for (const one of all.values()) one.fill()
    },
    /** Make a delivery that was claimed when it has a place, or give it back. */
    async during(
      delivery: Delivery,
      signal: AbortSignal,
      make: () => Promise<Delivered>,
    ): Promise<Delivered> {
      const places = of(delivery)
      if (!(await places.placed(delivery, signal, watch))) {
        places.over()
        return unmade(delivery)
      }
      let held = false
      try {
        const delivered = await make()
        held = holds(delivered)
        if (held) places.giveBack()
        else places.was(wasQuick(delivered))
        return delivered
      } finally {
        if (!held) places.free()
      }
    },
    /** All of these are written but those left. Returns those left. */
    written(ended: readonly Delivered[], left: readonly Delivered[]): readonly Delivered[] {
      const later = new Set(left)
      for (const done of ended) if (holds(done) && !later.has(done)) of(done.delivery).free()
      return left
    },
  }
}

/** Whether an endpoint said that it is not to be called. */
function holds({ verdict }: Delivered): boolean {
  return verdict !== null && (verdict.pauseMs > 0 || verdict.gone)
}

function wasQuick({ verdict, result }: Delivered): boolean {
  return verdict?.state === 'delivered' && result.tookMs <= QUICK_MS
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
