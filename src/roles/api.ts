import type { FastifyPluginAsync } from 'fastify'
import { systemClock } from '../adapters/clock.ts'
import { COUNTERS } from '../adapters/metrics.ts'
import { batcher, type Batcher } from '../batcher.ts'
import type { Config } from '../config.ts'
import { deadLetterRoutes } from '../dead-letters/routes.ts'
import type { Answer, Draft } from '../domain/acceptance.ts'
import type { PaymentType } from '../domain/payment.ts'
import { shardOf } from '../domain/shard.ts'
import { healthRoutes, type Probes } from '../http/health.ts'
import { ledgerRoutes } from '../ledger/routes.ts'
import { counterRoutes } from '../metrics/routes.ts'
import { acceptor } from '../payments/accept.ts'
import { batchRoutes } from '../payments/batch-routes.ts'
import { pageOfViews, viewPayments, type PaymentView } from '../payments/read.ts'
import { paymentRoutes } from '../payments/routes.ts'
import { timeline } from '../payments/timeline.ts'
import { timelineRoutes } from '../payments/timeline-routes.ts'
import { Overloaded } from '../ports.ts'
import { startAdmission } from '../queue/admission.ts'
import { openUsers } from '../users/open.ts'
import { userRoutes } from '../users/routes.ts'
import { readUsers, type User } from '../users/store.ts'
import type { Process } from './process.ts'

export async function apiRoutes(
  own: Process,
  probes: Probes,
  wake: () => void,
  refresh: (id: bigint) => Promise<void>,
): Promise<FastifyPluginAsync[]> {
  const { db, config, metrics } = own
  const { shards } = config
  const world = { db, clock: systemClock, shards }
  const admission = startAdmission({ ...world, ageMsMax: config.queueAgeLimitMs })
  own.stops.push(() => admission.stop())
  const accepting = acceptLanes(own, wake)
  const users = reader<bigint, User>(own, (ids) => readUsersInOrder(own, ids))
  const views = reader<bigint, PaymentView>(own, (ids) => viewPayments(world, ids))
  const opening = batcher<bigint, User>((balances) => openUsers(world, balances), limits(config))
  const accept = (draft: Draft) =>
    admission.open() ? accepting(draft) : Promise.reject(new Overloaded())
  const counted = {
    onRequest: (type: PaymentType) => metrics.count(`payments_${type}_requests_total`),
    onReplay: () => metrics.count('idempotency_hits_total'),
  }
  return [
    batchRoutes({ accept, ...counted }),
    userRoutes({
      open: (balance) => opening.submit(balance),
      read: (id) => users.submit(id),
      db,
      shards,
    }),
    paymentRoutes({
      accept,
      read: (id) => views.submit(id),
      refresh,
      page: (filter, before, limit) => pageOfViews(world, filter, before, limit),
      ...counted,
    }),
    timelineRoutes({ read: (id) => timeline(world, id) }),
    deadLetterRoutes({ ...world, onEnqueued: enqueued(own, wake) }),
    ledgerRoutes({ db, shards }),
    counterRoutes({ db, counters: metrics, names: COUNTERS }),
    healthRoutes(probes),
  ]
}

/** Count tasks put in the queue, and let the worker of this process look at once. */
function enqueued({ metrics }: Process, wake: () => void): (count: number) => void {
  return (count) => {
    metrics.count('payments_task_enqueued_total', count)
    wake()
  }
}

function limits(config: Config) {
  return { sizeMax: config.acceptBatch, waitingMax: config.acceptQueue }
}

/**
 * Accept payments in lanes: one batch at a time in each, so that a user's payments keep their order
 * and meet no lock of their own, while other users' proceed beside them.
 */
function acceptLanes(own: Process, wake: () => void): (draft: Draft) => Promise<Answer> {
  const { db, config, metrics } = own
  const accept = acceptor({
    db,
    clock: systemClock,
    shards: config.shards,
    fee: { bps: config.feeBps, min: config.feeMin },
    onEnqueued: enqueued(own, wake),
  })
  const timed = async (drafts: Draft[]): Promise<Answer[]> => {
    const startedMs = systemClock.elapsedMs()
    const answers = await accept(drafts)
    metrics.acceptBatch(drafts.length, systemClock.elapsedMs() - startedMs)
    return answers
  }
  // A multiple of the shards, so that each lane's batches are one transaction.
  const lanes = Array.from({ length: config.shards * config.acceptLanes }, () =>
    batcher(timed, limits(config)),
  )
  own.stops.push(async () => {
    await Promise.all(lanes.map((lane) => lane.idle()))
  })
  return (draft) => {
    const lane = lanes[shardOf(draft.userId, lanes.length)] as Batcher<Draft, Answer>
    return lane.submit(draft)
  }
}

/** Join concurrent reads of the same kind into one query, each id asked for once. */
function reader<Id, Row>(
  { config }: Process,
  read: (ids: readonly Id[]) => Promise<(Row | null)[]>,
): Batcher<Id, Row | null> {
  return batcher(async (ids: Id[]) => {
    const distinct = [...new Set(ids)]
    const rows = await read(distinct)
    const byId = new Map(distinct.map((id, index) => [id, rows[index] ?? null]))
    return ids.map((id) => byId.get(id) ?? null)
  }, limits(config))
}

async function readUsersInOrder(own: Process, ids: readonly bigint[]): Promise<(User | null)[]> {
  const { db, config } = own
  const byId = new Map<bigint, User>()
  for (let shard = 0; shard < config.shards; shard += 1) {
    const inShard = ids.filter((id) => shardOf(id, config.shards) === shard)
    for (const user of await readUsers(db, shard, inShard)) byId.set(user.id, user)
  }
  return ids.map((id) => byId.get(id) ?? null)
}
