import { readBreakers, type SharedBreaker } from '../gateways/breaker-store.ts'
import { admissionRefusal, type AdmissionPolicy, type RouteLoad } from '../domain/admission.ts'
import { GATEWAY, OPERATIONS, type Operation } from '../domain/payment.ts'
import { GatewayUnavailable, Overloaded, type Clock, type Db } from '../ports.ts'
import { oldestDueMs, waitingTasks } from '../queue/load-store.ts'
import { eachInTurn, whole } from '../each-shard.ts'

/** Whether new work may be accepted, by what its route could begin now. */
export interface Admission {
  /** Why payments of this operation are refused now; null: they are accepted. */
  refusal(operation: Operation): Overloaded | GatewayUnavailable | null
  /**
   * The shared breaker of an operation as it was last seen; undefined: nobody ever worked on it.
   */
  breaker(operation: Operation): SharedBreaker | undefined
  /** How long ago any worker was alive, in milliseconds; infinite: never. */
  workedMs(): number
  /** Look at the queue and at the breakers now. */
  look(): Promise<void>
}

interface World {
  readonly db: Db
  readonly clock: Clock
  readonly policy: AdmissionPolicy
}

/** How often it is to look, in milliseconds. */
export const ADMISSION_MS = 1_000

/**
 * Watch what waits for each operation, and refuse what could not be begun soon. Stays as it was
 * while the database cannot be asked.
 */
export function admission(world: World): Admission {
  const { db, clock, policy } = world
  const refusals = new Map<Operation, Overloaded | GatewayUnavailable>()
  let breakers: ReadonlyMap<Operation, SharedBreaker> = new Map()
  let lookedMs = 0
  // Since when it has been able to look without a break: older work may just not have been seen.
  let watchingMs: number | null = null

  const look = async (): Promise<void> => {
    breakers = await readBreakers(db.global, GATEWAY)
    lookedMs = clock.elapsedMs()
    const due = await oldestDue(db)
    for (const operation of OPERATIONS) {
      const breaker = breakers.get(operation)
      const isOpen = breaker !== undefined && breaker.trips > 0
      const load: RouteLoad = {
        outageMs: isOpen ? (breaker.outageMs ?? 0) : null,
        closedMs: breaker?.closedMs ?? null,
        oldestDueMs: due.get(operation) ?? 0,
        watchedMs: watchingMs === null ? 0 : clock.elapsedMs() - watchingMs,
        waiting: isOpen ? await waiting(db, operation, policy.outageTasksMax) : 0,
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
async function oldestDue(db: Db): Promise<Map<Operation, number>> {
  const oldest = new Map<Operation, number>()
  for (const { operation, ageMs } of whole(await eachInTurn(db.shards, oldestDueMs)).flat()) {
    oldest.set(operation, Math.max(ageMs, oldest.get(operation) ?? 0))
  }
  return oldest
}

/** Tasks of an operation that are due soon: counted only as far as it matters. */
async function waiting(db: Db, operation: Operation, tasksMax: number): Promise<number> {
  const limit = Math.max(tasksMax, 1)
  let count = 0
  const counts = await eachInTurn(db.shards, async (shard) => {
    if (count < limit) count += await waitingTasks(shard, operation, limit - count)
  })
  whole(counts)
  return count
}
