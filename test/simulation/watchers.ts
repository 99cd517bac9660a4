import {
  claimWatched,
  endWatched,
  watch,
  type WatchClaim,
  type WatchWorld,
} from '../../src/charging/watch.ts'
import type { ChargeWorld } from '../../src/charging/charge.ts'
import { openSettler } from '../../src/queue/settler.ts'
import type { WatchEnd } from '../../src/queue/watches-store.ts'
import { startWorker, type Worker } from '../../src/queue/worker.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import { expected } from './asking.ts'
import { tellingBack } from './came-back.ts'
import { LEASE_MS } from './limits.ts'
import type { Plants, World } from './world-types.ts'

/** What looking at final payments takes in a process. */
function watchWorld(world: World, plants: Plants, { db, gateway }: ChargeWorld): WatchWorld {
  const telling = tellingBack(gateway, world.back)
  return {
    db,
    gateway: plants.told?.(telling) ?? telling,
    ...feePolicies(world.plan),
    leaseMs: LEASE_MS,
    onWatched: ({ what }) => world.count(`watched_${what}`),
  }
}

/** The real loop around the real looks. */
export function watchLoop(
  world: World,
  plants: Plants,
  charging: ChargeWorld,
  limits: { readonly batchMax: number; readonly pollMs: number },
): Worker {
  const own = watchWorld(world, plants, charging)
  const look = plants.watch?.(watch) ?? watch
  const onError = (error: unknown) => expected(error) || world.fail(error)
  return startWorker<WatchClaim, WatchEnd>({
    claim: (limit) => claimWatched(own, limit),
    handle: (claimed, signal) => look(own, claimed, signal),
    settler: openSettler<WatchEnd>({
      settle: (ends) => endWatched(own, ends),
      clock: charging.clock,
      batchMax: limits.batchMax,
      keyOf: ({ paymentId }) => paymentId,
      faultyMsMax: LEASE_MS,
      onError,
      onGivenUp: (_, error) => world.fail(error),
    }),
    admitted: (wanted) => wanted,
    clock: charging.clock,
    concurrency: () => 2,
    ...limits,
    stopMsMax: 60_000,
    onError,
  })
}

/** Look at everything until nothing is left to be looked at, one after the other. */
export async function watchAll(
  world: World,
  plants: Plants,
  charging: (gateway: string) => ChargeWorld,
  until: (atMs: number) => Promise<void>,
): Promise<void> {
  const { watches, payments } = world.tables
  const look = plants.watch?.(watch) ?? watch
  // One that is unknown for good is never looked at.
  const left = () =>
    [...watches.rows.values()].filter(({ paymentId }) => {
      const status = payments.get(paymentId)?.status
      return status === 'success' || status === 'failed'
    })
  for (let rows = left(); rows.length > 0; rows = left()) {
    await until(Math.min(...rows.map(({ runAt }) => runAt)))
    for (const name of new Set(rows.map(({ gateway }) => gateway))) {
      const own = watchWorld(world, plants, charging(name))
      const claims = await claimWatched(own, 100)
      const ends = await Promise.all(claims.map((claimed) => look(own, claimed)))
      if (ends.length > 0) await endWatched(own, ends)
    }
  }
}
