import { readBreakersOf, type SharedBreaker } from '../gateways/breaker-store.ts'
import {
  admissionRefusal,
  type AdmissionPolicy,
  type AdmissionRefusal,
  type RouteLoad,
} from '../domain/admission.ts'
import { shownBreaker, type ShownBreaker } from '../domain/breaker.ts'
import { OPERATIONS, type Operation, type Route } from '../domain/payment.ts'
import type { Clock, Db, Shard } from '../ports.ts'
import { countWaiting, oldestOfEach } from '../queue/load.ts'
import { oldestDueMs, shardsWithDue } from '../queue/load-store.ts'
import { eachInTurn, partly, withWork, type LookForWork } from '../each-shard.ts'

/** Whether new work may be accepted, by what its route could begin now. */
export interface Admission {
  /** Why payments of this route are refused now; null: they are accepted. */
  refusal(route: Route): AdmissionRefusal | null
  /** The shared breaker of a route as it was last seen. */
  breaker(route: Route): ShownBreaker
  /** How long ago any worker was alive, in milliseconds; infinite: never. */
  workedMs(): number
  /** Look at the queue and at the breakers now. */
  look(): Promise<void>
  /** Look if somebody has asked since the last look, or that is some seconds ago. */
  turn(): Promise<void>
}

interface World {
  readonly db: Db
  /** The gateways that are configured. */
  readonly gateways: readonly string[]
  readonly clock: Clock
  readonly policy: AdmissionPolicy
}

/** The shared breakers of a gateway. */
type Breakers = ReadonlyMap<Operation, SharedBreaker>

/** How often it is to look, in milliseconds. */
export const ADMISSION_MS = 1_000
/** How often it looks while nobody asks, in milliseconds. */
const UNASKED_MS = 5_000

/**
 * Watch what waits for each operation of each gateway, and refuse what could not be begun soon.
 * Stays as it was while the database cannot be asked. What is in a shard that cannot be asked
 * counts as nothing.
 */
export function admission(world: World): Admission {
  const { db, clock, gateways, policy } = world
  // One that waits is known even where their number does not matter.
  const countedMax = Math.max(policy.outageTasksMax, 1)
  const refusals = new Map<string, AdmissionRefusal>()
  const breakers = new Map<string, Breakers>()
  let lookedMs = 0
  let triedMs = Number.NEGATIVE_INFINITY
  let asked = true
  // Since when it has been able to look at a shard without a break: older work of it may just not
  // have been seen.
  const watching = new Map<number, number>()

  const lookAt = async (gateway: string, known: Breakers, look: LookForWork): Promise<void> => {
    breakers.set(gateway, known)
    const due = await oldestDue(world, { gateway, look }, watching)
    for (const operation of OPERATIONS) {
      const route = { gateway, operation }
      const breaker = known.get(operation)
      const isOpen = shownBreaker(breaker).breaker !== 'closed'
      const load: RouteLoad = {
        outageMs: isOpen ? (breaker?.outageMs ?? 0) : null,
        closedMs: breaker?.closedMs ?? null,
        oldestDueMs: due.get(operation) ?? 0,
        waiting: isOpen ? (await countWaiting(db, route, countedMax)).count : 0,
      }
      const refusal = admissionRefusal(load, policy)
      if (refusal === null) refusals.delete(keyOf(route))
      else refusals.set(keyOf(route), refusal)
    }
  }

  const look = async (): Promise<void> => {
    const known = await readBreakersOf(db.global, gateways)
    const lookFor = looksOf(gateways)
    for (const [index, gateway] of gateways.entries()) {
      await lookAt(gateway, known[index] ?? new Map(), lookFor(gateway))
    }
    lookedMs = clock.elapsedMs()
  }

  const lookAgain = async (): Promise<void> => {
    asked = false
    triedMs = clock.elapsedMs()
    await look().catch(() => {
      watching.clear()
    })
  }

  return {
    refusal(route) {
      asked = true
      return refusals.get(keyOf(route)) ?? null
    },
    breaker({ gateway, operation }) {
      asked = true
      return shownBreaker(breakers.get(gateway)?.get(operation))
    },
    workedMs() {
      asked = true
      const all = [...breakers.values()].flatMap((known) => [...known.values()])
      const ages = all.map(({ workedMs }) => workedMs ?? Infinity)
      return Math.min(...ages) + clock.elapsedMs() - lookedMs
    },
    look: lookAgain,
    async turn() {
      if (asked || clock.elapsedMs() - triedMs >= UNASKED_MS) await lookAgain()
    },
  }
}

function keyOf({ gateway, operation }: Route): string {
  return `${gateway} ${operation}`
}

/** Looks at servers for work of a gateway: the first one looks for that of all. */
function looksOf(gateways: readonly string[]): (gateway: string) => LookForWork {
  const looks = new Map<number, ReturnType<typeof shardsWithDue>>()
  return (gateway) => async (session, server) => {
    const found = looks.get(server.first) ?? shardsWithDue(session, server, gateways)
    looks.set(server.first, found)
    return (await found).filter((one) => one.gateway === gateway).map(({ number }) => number)
  }
}

/**
 * The age of the oldest due task of each operation that has one, over all shards; of a shard that
 * could not be seen before, no more than the time since.
 */
async function oldestDue(
  { db, clock }: World,
  { gateway, look }: { readonly gateway: string; readonly look: LookForWork },
  watching: Map<number, number>,
): Promise<Map<Operation, number>> {
  const nowMs = clock.elapsedMs()
  const { asked, without } = await withWork(db, db.shards, look)
  const watchedMsOf = ({ number }: Shard): number => {
    const sinceMs = watching.get(number)
    if (sinceMs === undefined) watching.set(number, nowMs)
    return nowMs - (sinceMs ?? nowMs)
  }
  without.forEach(watchedMsOf)
  const looks = await eachInTurn(asked, async (shard) => {
    const due = await oldestDueMs(shard, gateway)
    const watchedMs = watchedMsOf(shard)
    return due.map(({ operation, ageMs }) => ({ operation, ageMs: Math.min(ageMs, watchedMs) }))
  })
  // A shard that is known to have none could be asked, too.
  const none = without.slice(0, 1).map((shard) => ({ shard, value: [] }))
  const { known, missing } = partly({ ...looks, done: [...looks.done, ...none] })
  for (const number of missing) watching.delete(number)
  return oldestOfEach(known)
}
