import { feed } from '../../src/events/feed.ts'
import { step } from '../../src/runs/run.ts'
import type { Clock, Db } from '../../src/ports.ts'
import { openSettler } from '../../src/queue/settler.ts'
import { startWorker, type Worker } from '../../src/queue/worker.ts'
import {
  claimDue,
  deliver,
  settleDelivered,
  type Delivered,
  type Delivery,
  type DeliveryWorld,
} from '../../src/webhooks/deliver.ts'
import { deliveryPlaces } from '../../src/webhooks/places.ts'
import { tellShards } from '../../src/webhooks/sync.ts'
import { expected } from './asking.ts'
import { callsAtOnce } from './calls-at-once.ts'
import { knownKey, waitsForEarlier } from './delivery-statements.ts'
import { AHEAD, AT_ONCE, LEASE_MS } from './limits.ts'
import { must } from './promises.ts'
import type { Process } from './scheduler.ts'
import { actWorld } from './act-world.ts'
import type { Plants, World } from './world-types.ts'

/** What deliveries are made of. */
export const TELLING = { claimDue, deliver, settleDelivered, deliveryPlaces }

/** Seals the secrets of endpoints. */
export const SECRETS_KEY = Buffer.alloc(32, 's')

interface Deliverer {
  readonly process: Process
  readonly db: Db
  readonly clock: Clock
}

/** What delivering takes in a process. */
function deliveryWorld(world: World, { process, db, clock }: Deliverer): DeliveryWorld {
  const { receivers, deliveries } = world
  return {
    db,
    clock,
    send: receivers.connect(process, deliveries.arrived),
    key: SECRETS_KEY,
    agent: 'payments/simulated',
    random: world.random,
    leaseMs: LEASE_MS,
    look: 2,
    atOnce: AT_ONCE,
    onDisabled: (_, why) => world.count(`disabled_${why}`),
  }
}

/** Place events, let shards know what is wanted, and carry runs on, as every process does. */
async function keepUp(world: World, db: Db, share: number): Promise<void> {
  await feed(db)
  if (world.random() < share) await tellShards(db)
  if (world.random() < share) await step(actWorld(world, { db }), null)
}

/** Write what calls came to, and hold what was told of endpoints against them. */
async function settleJudged(
  world: World,
  plants: Plants,
  own: DeliveryWorld,
  done: readonly Delivered[],
): Promise<readonly Delivered[]> {
  const { settleDelivered: settle } = plants.telling?.(TELLING) ?? TELLING
  const beganMs = world.steps.nowMs()
  const { endpoints } = world.tables
  const enabledAt = new Map([...endpoints.rows.values()].map((row) => [row.id, row.enabledAt]))
  const left = await settle(own, done)
  for (const one of done) {
    const { endpointId: id } = one.result
    if (left.includes(one) || one.verdict === null) continue
    const { pauseMs } = one.verdict
    const row = endpoints.get(id)
    // Somebody may have changed it meanwhile.
    if (row === undefined || row.enabledAt !== enabledAt.get(id)) continue
    must(one.result.status !== 410 || row.state !== 'enabled', 'who is gone is disabled', row)
    // A change that a shard hears of late ends a pause there.
    const known = [...world.tables.subscriptions.rows.values()].filter(
      ({ endpointId }) => endpointId === id,
    )
    const late = known.some(({ version }) => version < row.version)
    const same = row.version === one.delivery.endpoint.version
    if (pauseMs > 0 && same && row.changedAt < beganMs && !late)
      world.deliveries.paused(id, beganMs + pauseMs)
  }
  return left
}

/** The real loop around the real deliveries, beside those that charge. */
export function deliveryLoop(
  world: World,
  plants: Plants,
  process: Deliverer,
  limits: { readonly batchMax: number; readonly pollMs: number },
): Worker {
  const own = deliveryWorld(world, process)
  const { claimDue: claim, deliver: make, ...telling } = plants.telling?.(TELLING) ?? TELLING
  const places = telling.deliveryPlaces({
    clock: own.clock,
    onHalf: () => worker.wake(),
    atOnce: AT_ONCE,
    ahead: AHEAD,
  })
  const calls = callsAtOnce()
  const onError = (error: unknown) => expected(error) || world.fail(error)
  const worker = startWorker<Delivery, Delivered>({
    async claim(limit) {
      await keepUp(world, own.db, 0.3)
      places.tidy()
      const claimed = await claim(own, limit, places.taken)
      places.take(claimed)
      return claimed
    },
    handle: (delivery, signal) =>
      places.during(delivery, signal, () =>
        calls.during(delivery, () => make(own, delivery, signal)),
      ),
    settler: openSettler<Delivered>({
      async settle(done) {
        const left = await settleJudged(world, plants, own, done)
        calls.written(done, left)
        return places.written(done, left)
      },
      clock: own.clock,
      batchMax: limits.batchMax,
      keyOf: ({ result }) => result.eventId,
      faultyMsMax: LEASE_MS,
      onError,
      onGivenUp: (_, error) => world.fail(error),
    }),
    admitted: (wanted) => wanted,
    clock: own.clock,
    concurrency: () => 6,
    ...limits,
    stopMsMax: 60_000,
    onError,
  })
  return worker
}

/** Deliveries that are due within so many milliseconds are made together at rest. */
const TOGETHER_MS = 60_000

/** When something is due next; null: nothing is on its way to anybody who is called. */
function dueMs({ tables }: World): number | null {
  let soonest: number | null = null
  const at = (ms: number) => (soonest = Math.min(soonest ?? ms, ms))
  for (const row of tables.deliveries.rows.values()) {
    const known = tables.subscriptions.get(knownKey(row.shard, row.endpointId))
    if (row.state !== 'pending' || known === undefined || !known.deliver) continue
    if (known.ordered && waitsForEarlier(tables, row)) continue
    at(Math.max(row.runAt, known.pausedUntil ?? 0))
  }
  for (const { state, nextAt, endpointId } of tables.runs.rows.values()) {
    // One whose endpoint is disabled waits until that is enabled.
    if (tables.endpoints.get(endpointId)?.state === 'disabled') continue
    if (state === 'running') at(nextAt)
  }
  for (const { position } of tables.events.rows.values()) if (position === null) at(0)
  return soonest
}

/** Deliver everything there is, without faults; within so many turns. */
export async function deliverAll(
  world: World,
  plants: Plants,
  process: Deliverer,
  turnsMax: number,
): Promise<void> {
  const own = deliveryWorld(world, process)
  const { claimDue: claim, deliver: make } = plants.telling?.(TELLING) ?? TELLING
  const signal = new AbortController().signal
  for (let turn = 0; ; turn += 1) {
    await feed(own.db)
    await tellShards(own.db)
    const atMs = dueMs(world)
    if (atMs === null) return
    must(turn < turnsMax, 'every delivery ends within a bound')
    // What is due a little later comes along.
    const { nowMs } = world.steps
    const patience = atMs > nowMs() + TOGETHER_MS ? TOGETHER_MS : 0
    await world.steps.step(process.process, 'waits for a delivery', { atMs: atMs + patience })
    await step(actWorld(world, own), null)
    const claimed = await claim(own, 200, () => 0)
    const done = await Promise.all(claimed.map((one) => make(own, one, signal)))
    if (done.length > 0) await settleJudged(world, plants, own, done)
  }
}
