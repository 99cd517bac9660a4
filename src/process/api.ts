import type { FastifyPluginAsync } from 'fastify'
import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { readShare } from '../adapters/read-share.ts'
import { batcher, type Batcher } from '../queue/batcher.ts'
import type { Config } from '../config/config.ts'
import { deadLetterRoutes } from '../dead-letters/routes.ts'
import type { Answer, Draft } from '../domain/acceptance.ts'
import { operationOf, type Operation } from '../domain/payment.ts'
import { healthRoutes, type Probes } from '../http/health.ts'
import type { FastRoute } from '../http/fast-path.ts'
import { sharedBalance } from '../ledger/balance.ts'
import { ledgerRoutes } from '../ledger/routes.ts'
import { counterRoutes } from '../metrics/routes.ts'
import { acceptor, type Accept } from '../payments/accept.ts'
import { accepting } from '../payments/accepting.ts'
import { batchRoutes } from '../payments/batch-routes.ts'
import { pageOfViews, viewPayments, type PaymentView } from '../payments/read.ts'
import { fastPaymentRoutes } from '../payments/fast-routes.ts'
import { paymentRoutes } from '../payments/routes.ts'
import { timeline } from '../timeline/timeline.ts'
import { timelineRoutes } from '../timeline/routes.ts'
import type { Db, Shard } from '../ports.ts'
import { runRoutes } from '../runs/routes.ts'
import { eachPart, ofEachShard, whole } from '../shards.ts'
import { openUsers } from '../users/open.ts'
import { userRoutes } from '../users/routes.ts'
import { readUsers, type User } from '../users/store.ts'
import type { Closing } from './closing.ts'
import { admitting, openGate, routeProbes, showBreakers, type Accepts } from './admission.ts'
import { gatewayTerms, type Process } from './shared.ts'

/** Let the worker of this process look at once, for one operation or for all. */
type Wake = (operation?: Operation) => void

/** Ask the gateway about a payment in doubt, if its operation may be asked now. */
type Refresh = (id: bigint, mayAsk: (operation: Operation) => boolean) => Promise<void>

/** What the API needs of the other parts of its process. */
interface ApiNeeds {
  readonly probes: Probes
  readonly wake: Wake
  readonly refresh: Refresh
  /** Closes what its requests need, when none is left. */
  readonly stops: Closing
}

export async function apiRoutes(
  own: Process,
  { probes, wake, refresh, stops }: ApiNeeds,
): Promise<{ readonly routes: FastifyPluginAsync[]; readonly fast: FastRoute[] }> {
  const { db, config, metrics, flusher } = own
  const reads = listReads(own)
  const policy = gatewayTerms(config)
  const gate = openGate(own, stops)
  // A worker in this process knows better.
  if (probes.worker() === null) showBreakers(own, gate)
  const balances = sharedBalance({ db, clock: systemClock })
  stops.push(() => balances.stop())
  const accepts = counting(admitting(acceptPayments(own, wake, stops), gate), metrics)
  const users = reader<bigint, User>(own, (ids) => readUsersInOrder(db, ids))
  const views = reader<bigint, PaymentView>(own, (ids) => viewPayments(db, ids))
  const opening = batcher<bigint, User>((amounts) => openUsers(db, amounts), limits(config))
  const mayAsk = (operation: Operation) => (gate.breaker(operation)?.openMs ?? 0) === 0
  const acting = {
    db,
    policy,
    onEnqueued(count: number) {
      countEnqueued(own, count)
      wake()
    },
  }
  const routes = [
    userRoutes({
      open: (balance) => opening.submit(balance),
      read: (id) => users.submit(id),
      db: reads,
    }),
    paymentRoutes({
      accept: accepts.accept,
      read: (id) => views.submit(id),
      refresh: (id) => refresh(id, mayAsk),
      page: (filter, before, limit) => pageOfViews(reads, filter, before, limit),
    }),
    batchRoutes({ accept: accepts.acceptAll }),
    timelineRoutes({ read: (id) => timeline({ db: reads, policy }, id) }),
    deadLetterRoutes({ ...acting, reads }),
    runRoutes(acting),
    ledgerRoutes(balances),
    counterRoutes({ db, flusher }),
    healthRoutes({ ...probes, ...routeProbes(gate) }),
  ]
  return { routes, fast: fastPaymentRoutes(accepts.accept) }
}

/** Reads of lists that may wait for a connection of their share. */
const READS_WAITING_MAX = 200

/** A third of the connections for lists and timelines: the others are left to what moves money. */
function listReads({ db, config }: Process): Db {
  const runningMax = Math.max(1, Math.floor(config.databasePool / 3))
  return readShare(db, { runningMax, waitingMax: READS_WAITING_MAX })
}

/** Count what is asked for, and what is answered a second time. */
function counting({ accept, acceptAll }: Accepts, metrics: Metrics): Accepts {
  const asked = ({ type }: Draft) => metrics.count(`payments_${type}_requests_total`)
  const answered = (answer: Answer) => {
    if (answer.replayed) metrics.count('idempotency_hits_total')
    return answer
  }
  return {
    accept(draft) {
      asked(draft)
      return accept(draft).then(answered)
    },
    acceptAll(drafts) {
      drafts.forEach(asked)
      return acceptAll(drafts).then((answers) => {
        for (const answer of answers) if (!(answer instanceof Error)) answered(answer)
        return answers
      })
    },
  }
}

/** Count tasks put in the queue. */
function countEnqueued({ metrics }: Process, count: number): void {
  metrics.count('payments_task_enqueued_total', count)
}

function limits(config: Config) {
  return { sizeMax: config.acceptBatch, waitingMax: config.acceptQueue }
}

/**
 * Accept payments in a batcher for each shard. A user's payments share a lane, so that they keep
 * their order and batches that run side by side wait for no lock of each other's.
 */
function acceptPayments(own: Process, wake: Wake, stops: Closing): Accepts {
  const { db, config, metrics } = own
  const { acceptLanes: lanes, databaseLockTimeoutMs: lockMsMax } = config
  const fee = { bps: config.feeBps, min: config.feeMin }
  const timed = (shard: Shard): Accept => {
    const accept = acceptor({ shard, fee, onEnqueued: (count) => countEnqueued(own, count) })
    return async (drafts, onDecided, patience) => {
      const startedMs = systemClock.elapsedMs()
      const answers = await accept(drafts, onDecided, patience)
      for (const operation of new Set(drafts.map(({ type }) => operationOf(type)))) wake(operation)
      metrics.acceptBatch(drafts.length, systemClock.elapsedMs() - startedMs)
      return answers
    }
  }
  // A user's number within its shard.
  const laneOf = ({ userId }: Draft) => Number((userId / BigInt(db.shards.length)) % BigInt(lanes))
  const accepts = ofEachShard(db, (shard) =>
    accepting(timed(shard), systemClock, { ...limits(config), lanes, laneOf, lockMsMax }),
  )
  stops.push(async () => {
    await Promise.all(accepts.all.map((each) => each.idle()))
  })
  return {
    accept: (draft) => accepts.of(draft.userId).submit(draft),
    async acceptAll(drafts) {
      const answers: (Answer | Error)[] = []
      const key = (draft: Draft) => db.of(draft.userId).number * lanes + laneOf(draft)
      const sizeMax = Math.min(config.acceptBatch, config.acceptQueue)
      const groups = group(drafts, key, sizeMax).map(async (places) => {
        const each = places.map((place) => drafts[place] as Draft)
        const given = await accepts
          .of((each[0] as Draft).userId)
          .submitAll(each)
          .catch((error: Error) => each.map(() => error))
        const settled = given.map((answer) =>
          answer instanceof Promise ? answer.catch((error: Error) => error) : answer,
        )
        for (const [index, place] of places.entries()) {
          answers[place] = (await settled[index]) as Answer | Error
        }
      })
      await Promise.all(groups)
      return answers
    },
  }
}

/** The places of items by key, in order, in groups of at most `sizeMax`. */
function group<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => number,
  sizeMax: number,
): number[][] {
  const groups: number[][] = []
  const open = new Map<number, number[]>()
  items.forEach((item, place) => {
    const key = keyOf(item)
    const last = open.get(key)
    if (last !== undefined && last.length < sizeMax) return void last.push(place)
    const fresh = [place]
    open.set(key, fresh)
    groups.push(fresh)
  })
  return groups
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

async function readUsersInOrder(db: Db, ids: readonly bigint[]): Promise<(User | null)[]> {
  const users = whole(await eachPart(db, ids, (id) => id, readUsers)).flat()
  const byId = new Map(users.map((user) => [user.id, user]))
  return ids.map((id) => byId.get(id) ?? null)
}
