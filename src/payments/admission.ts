import { readBreakers, type SharedBreaker } from '../gateways/breaker-store.ts'
import { admissionRefusal, type AdmissionPolicy, type RouteLoad } from '../domain/admission.ts'
import { GATEWAY, OPERATIONS, type Operation } from '../domain/payment.ts'
import { GatewayUnavailable, Overloaded, type Clock, type Runner } from '../ports.ts'
import { oldestDueMs, waitingTasks } from '../queue/load-store.ts'

/** Whether new work may be accepted, by what its route could begin now. */
export interface Admission {
  /** Why payments of this operation are refused now; null: they are accepted. */
  refusal(operation: Operation): Overloaded | GatewayUnavailable | null
  /** The shared breaker of an operation as it was last seen; undefined: nobody ever worked on it. */
  breaker(operation: Operation): SharedBreaker | undefined
  /** How long ago any worker was alive, in milliseconds; infinite: never. */
  workedMs(): number
  /** Look at the queue and at the breakers now. */
  look(): Promise<void>
}

interface World {
  readonly db: Runner
  readonly clock: Clock
  readonly shards: number
  readonly policy: AdmissionPolicy
}

/** How often it is to look, in milliseconds. */
export const ADMISSION_MS = 1_000

/**
 * Watch what waits for each operation, and refuse what could not be begun soon. Stays as it was while
 * the database cannot be asked.
 */
export function admission(world: World): Admission {
  const { db, clock, policy } = world
  const refusals = new Map<Operation, Overloaded | GatewayUnavailable>()
  let breakers: ReadonlyMap<Operation, SharedBreaker> = new Map()
  let lookedMs = 0
  // Since when it has been able to look without a break: older work may just not have been seen.
  let watchingMs: number | null = null

  const look = async (): Promise<void> => {
    const at = clock.database()
    breakers = await readBreakers(db, GATEWAY, at)
    lookedMs = clock.elapsedMs()
    const due = await oldestDue(world, at)
    for (const operation of OPERATIONS) {
      const breaker = breakers.get(operation)
      const isOpen = breaker !== undefined && breaker.trips > 0
      const load: RouteLoad = {
        outageMs: isOpen ? (breaker.outageMs ?? 0) : null,
        closedMs: breaker?.closedMs ?? null,
        oldestDueMs: due.get(operation) ?? 0,
        watchedMs: watchingMs === null ? 0 : clock.elapsedMs() - watchingMs,
        waiting: isOpen ? await waiting(world, operation, at) : 0,
      }
      const refusal = admissionRefusal(load, policy)
      if (refusal === null) refusals.delete(operation)
      else refusals.set(operation, errorOf(refusal))
    }
    watchingMs ??= clock.elapsedMs()
  }

  return {
    refusal: (operation) => refusals.get(operation) ?? null,
    breaker: (operation) => breakers.get(operation),
    workedMs() {
      const ages = [...breakers.values()].map(({ workedMs }) => workedMs ?? Infinity)
      return Math.min(...ages) + clock.elapsedMs() - lookedMs
    },
    look: () =>
      look().catch(() => {
        watchingMs = null
      }),
  }
}

function errorOf(refusal: 'overloaded' | 'gateway_unavailable'): Overloaded | GatewayUnavailable {
  return refusal === 'overloaded' ? new Overloaded() : new GatewayUnavailable()
}

/** The age of the oldest due task of each operation that has one, over all shards. */
async function oldestDue({ db, shards }: World, at: Date | null): Promise<Map<Operation, number>> {
  const oldest = new Map<Operation, number>()
  for (let shard = 0; shard < shards; shard += 1) {
    for (const { operation, ageMs } of await oldestDueMs(db, shard, at)) {
      oldest.set(operation, Math.max(ageMs, oldest.get(operation) ?? 0))
    }
  }
  return oldest
}

/** Tasks of an operation that are due soon: counted only as far as it matters. */
async function waiting(world: World, operation: Operation, at: Date | null): Promise<number> {
  const limit = Math.max(world.policy.outageTasksMax, 1)
  let count = 0
  for (let shard = 0; shard < world.shards && count < limit; shard += 1) {
    count += await waitingTasks(world.db, shard, operation, { limit: limit - count, at })
  }
  return count
}
