import type { FastifyPluginAsync } from 'fastify'
import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { readShare } from '../adapters/read-share.ts'
import { batcher } from '../queue/batcher.ts'
import { reader } from '../queue/reader.ts'
import type { Config } from '../config/config.ts'
import { editPayment, editUser } from '../operators/edit-texts.ts'
import { eraseUnderKey } from '../operators/erase-user.ts'
import { cancelRoutes } from '../operators/cancel-routes.ts'
import { deadLetterRoutes } from '../dead-letters/routes.ts'
import type { PaymentDraft, Gateways } from '../domain/acceptance.ts'
import { exponentIn } from '../domain/currency.ts'
import { feePolicies } from '../domain/fee.ts'
import type { UserDraft } from '../domain/opening.ts'
import { GATEWAY, operationOf, type Operation, type Route } from '../domain/payment.ts'
import { eventRoutes } from '../events/routes.ts'
import type { Guards } from '../http/auth.ts'
import { healthRoutes, type Probes } from '../http/health.ts'
import type { FastRoute } from '../http/fast-path.ts'
import { sharedBalance } from '../ledger/balance.ts'
import { ledgerRoutes } from '../ledger/routes.ts'
import { counterRoutes } from '../metrics/routes.ts'
import { accepting, type Accepts } from '../payments/accepting.ts'
import { batchRoutes } from '../payments/batch-routes.ts'
import { findPayment, pageOfViews, viewPayments, type PaymentView } from '../payments/read.ts'
import { editRoutes, type EditRoutes } from '../payments/edit-routes.ts'
import { fastPaymentRoutes } from '../payments/fast-routes.ts'
import { startMinutes } from '../payments/time-index.ts'
import { waiting } from '../payments/waiting.ts'
import { paymentRoutes } from '../payments/routes.ts'
import { timeline } from '../timeline/timeline.ts'
import { timelineRoutes } from '../timeline/routes.ts'
import { tracedActs } from '../http/traced.ts'
import { onceStored } from '../each-shard.ts'
import type { BatchSpan, Db } from '../ports.ts'
import type { RefundAnswer, RefundDraft } from '../domain/refund.ts'
import { acceptRefunds } from '../refunds/refund.ts'
import { refundRoutes } from '../refunds/routes.ts'
import { missedUntilEnabled } from '../runs/events.ts'
import { replayRoutes } from '../runs/replay-routes.ts'
import { runRoutes } from '../runs/routes.ts'
import { userListRoutes } from '../users/list-routes.ts'
import { openUsers, type OpenAnswer } from '../users/open.ts'
import { userRoutes } from '../users/routes.ts'
import { pageOfUsers, viewUsers } from '../users/read.ts'
import { userTextRoutes } from '../users/text-routes.ts'
import { deliveryRoutes } from '../webhooks/delivery-routes.ts'
import { webhookRoutes } from '../webhooks/routes.ts'
import type { Closing } from './closing.ts'
import { consoleRoutes } from './console.ts'
import { noticeDesk, type NoticeDesk } from '../charging/notice-desk-routes.ts'
import { noticeRoutes } from '../charging/notice-routes.ts'
import type { NoticeEnd } from '../charging/notices.ts'
import type { OpenGateway } from './gateway.ts'
import {
  admitting,
  closedFor,
  gatewaysOf,
  openGate,
  routeProbes,
  showBreakers,
} from './load-gate.ts'
import { gatewayRoutes } from '../charging/gateway-routes.ts'
import { knownGateways, profilesOf, routingOf, termsOf } from './routing.ts'
import { countEnqueued, type Process } from './shared.ts'
import { batchSpans, tracePlaces, requestSpans } from './tracing.ts'
import type { Question } from './worker.ts'

/**
 * Let the worker of this process look at once, for one operation or for all, and for payments of
 * one user's shard or of anybody.
 */
type Wake = (operation?: Operation, userId?: bigint) => void

/** What the API needs of the other parts of its process. */
interface ApiNeeds {
  readonly probes: Probes
  readonly wake: Wake
  /** Look at final payments now. */
  readonly watch: () => void
  /** Ask the gateway about a payment in doubt, and to end one that it has in hand. */
  readonly refresh: Question
  readonly end: Question
  readonly webhooks: Omit<Parameters<typeof webhookRoutes>[0], 'findMissed'>
  readonly gateways: readonly OpenGateway[]
  readonly guards: Guards
  /** Whether the mock gateway is in this process. */
  readonly mockGateway: boolean
  /** Closes what its requests need, when none is left. */
  readonly stops: Closing
}

/** What answers requests: the framework's routes, and what plain ones are answered by before. */
interface ApiParts {
  readonly routes: FastifyPluginAsync[]
  readonly fast: FastRoute[]
  readonly desk: NoticeDesk
}

export async function apiRoutes(shared: Process, needs: ApiNeeds): Promise<ApiParts> {
  const { probes, wake, refresh, end, webhooks, stops } = needs
  const { db, config, metrics, flusher, tracer } = shared
  const tracing = requestSpans(tracer)
  const reads = listReads(shared)
  const [terms, routing] = [termsOf(config), routingOf(config)]
  const gate = openGate(shared, stops)
  // A worker in this process knows better.
  if (probes.worker() === null) showBreakers(shared, gate)
  const balances = sharedBalance({ db, clock: systemClock })
  stops.push(() => balances.stop())
  const accepts = counting(
    admitting(acceptPayments(shared, wake, gatewaysOf(routing, gate), stops), gate, routing),
    metrics,
  )
  const views = reader<bigint, PaymentView>(limits(config), (ids) => viewPayments(db, ids))
  const exists = async (id: bigint) => (await views.submit(id)) !== null
  const waits = openWaits(shared, stops)
  const mayAsk = (route: Route) => gate.breaker(route).breaker !== 'open'
  const books = exponentIn(null, db.currency)
  const health = { ...probes, ...routeProbes([...profilesOf(config).keys()], gate) }
  const acting = {
    db,
    terms,
    ...feePolicies(config),
    onEnqueued(count: number) {
      countEnqueued(metrics, count)
      wake()
    },
    ...batchSpans(tracer),
  }
  const desk = noticeDesk(noticesOf(shared, needs))
  const routes = [
    ...routesOfUsers(shared, reads),
    paymentRoutes({
      ...tracing,
      books,
      accept: accepts.accept,
      read: (id) => views.submit(id),
      refresh: (id, place) => refresh(id, mayAsk, place),
      final: (id, waitMs) => waits.final(id, waitMs),
      page: (filter, before, limit) => pageOfViews(reads, filter, before, limit),
    }),
    editRoutes(editing(db, views.submit)),
    batchRoutes({ ...tracing, books, accept: accepts.acceptAll }),
    timelineRoutes({ read: (id) => timeline({ db: reads, terms }, id) }),
    eventRoutes({ db: reads, exists }),
    webhookRoutes({ ...webhooks, findMissed: (...of) => missedUntilEnabled(db, ...of) }),
    deliveryRoutes({ db, exists }),
    replayRoutes({ db }),
    refundRoutes({
      db,
      ...feePolicies(config),
      refund: refunding(shared, acting, gate, stops),
    }),
    cancelRoutes({ db, end: (id, place) => end(id, mayAsk, place) }),
    deadLetterRoutes({ ...acting, reads }),
    runRoutes(acting),
    ledgerRoutes(balances, db.currency),
    counterRoutes({ db, flusher }),
    ...consoleRoutes(shared, { reads, health, ...needs }),
    healthRoutes(health),
    noticeRoutes(desk),
    gatewayRoutes(gatewaysShown(shared, needs)),
  ]
  const fast = fastPaymentRoutes(accepts.accept, books, tracing.trace)
  return { routes: tracedActs(tracing, routes), fast, desk }
}

/** The gateways as they are shown, and those that can be asked. */
function gatewaysShown({ db, config }: Process, { gateways }: ApiNeeds) {
  const open = new Map(gateways.map(({ config: { name }, driver }) => [name, driver]))
  return { db, clock: systemClock, known: knownGateways(config), open }
}

/** What gateways send by themselves, and whom that wakes. */
function noticesOf({ db, log, metrics }: Process, { gateways, guards, wake, watch }: ApiNeeds) {
  return {
    db,
    clock: systemClock,
    gateways: new Map(gateways.map(({ config, gateway }) => [config.name, gateway])),
    callerOf: guards.callerOf,
    onHurried: ({ operation }: Route) => wake(operation),
    onWatched: watch,
    onNotice(gateway: string, what: NoticeEnd) {
      metrics.notice(gateway, what)
      log.debug({ gateway, what }, 'a notice')
    },
  }
}

/** Accept refunds in batches, while their route is open. */
function refunding(
  { db, config, metrics }: Process,
  acting: Parameters<typeof acceptRefunds>[0] & { readonly batchSpan?: BatchSpan },
  gate: ReturnType<typeof openGate>,
  stops: Closing,
): (draft: RefundDraft) => Promise<RefundAnswer> {
  const profiles = profilesOf(config)
  const refundsAt = (name: string) => profiles.get(name)?.operations.has('refund') ?? false
  const batches = batcher<RefundDraft, RefundAnswer>(async (drafts) => {
    const ended = acting.batchSpan?.('accept refunds', tracePlaces(drafts))
    const answers = await acceptRefunds({ ...acting, refundsAt }, drafts)
    ended?.()
    return answers
  }, limits(config))
  stops.push(() => batches.idle())
  const [only, ...others] = config.gateways.map(({ name }) => name)
  // A refund goes where its deposit was; only where there are several that has to be looked up.
  const gatewayOf = async ({ parentId }: RefundDraft): Promise<string> => {
    if (only !== undefined && others.length === 0) return only
    return (await findPayment(db, parentId))?.gateway ?? GATEWAY
  }
  return async (draft) => {
    metrics.count('payments_refund_requests_total')
    const refused = closedFor(gate, { gateway: await gatewayOf(draft), operation: 'refund' })
    if (refused !== null) throw refused
    const answer = await batches.submit(draft)
    if (answer.replayed) metrics.count('idempotency_hits_total')
    return answer
  }
}

/** Users are opened and read in batches; a shard that fails fails its own users alone. */
function routesOfUsers({ db, config, metrics }: Process, reads: Db): FastifyPluginAsync[] {
  const opening = batcher<UserDraft, OpenAnswer>((drafts) => openUsers(db, drafts), limits(config))
  const reading = batcher((ids: readonly bigint[]) => viewUsers(db, ids), limits(config))
  const read = async (id: bigint) => {
    const user = await reading.submit(id)
    if (user !== null && 'error' in user) throw user.error
    return user
  }
  return [
    userRoutes({
      async open(draft) {
        const answer = await opening.submit(draft)
        if (answer.kind === 'failed') throw answer.error
        if (answer.kind === 'opened' && answer.replayed) metrics.count('idempotency_hits_total')
        return answer
      },
      read,
      db: reads,
    }),
    userListRoutes({ page: (filter, before, limit) => pageOfUsers(reads, filter, before, limit) }),
    userTextRoutes({
      read: (id) => onceStored(() => read(id)),
      edit: (...edit) => editUser(db, ...edit),
      erase: (id, by, key) => eraseUnderKey(db, { id, key }, by),
    }),
  ]
}

/** How payments are changed, and read once they have changed. */
function editing(db: Db, read: EditRoutes['read']): EditRoutes {
  return {
    edit: (...edit) => editPayment(db, ...edit),
    read: (id) => onceStored(() => read(id)),
  }
}

/** Let callers wait for payments, until this process stops. */
function openWaits(shared: Process, stops: Closing) {
  const waits = waiting({ db: shared.db, clock: systemClock, open: () => !shared.stopping })
  stops.push(() => waits.stop())
  return waits
}

/** Reads of lists that may wait for a connection of their share. */
const READS_WAITING_MAX = 200

/** A third of the connections for lists and timelines: the others are left to what moves money. */
function listReads({ db, config }: Process): Db {
  const runningMax = Math.max(1, Math.floor(config.databasePool / 3))
  // A list asks every shard, and counts as one.
  return readShare(db, { runningMax, waitingMax: READS_WAITING_MAX * db.shards.length })
}

/** Count what is asked for. */
function counting({ accept, acceptAll }: Accepts, metrics: Metrics): Accepts {
  const asked = ({ type }: PaymentDraft) => metrics.count(`payments_${type}_requests_total`)
  return {
    accept(draft) {
      asked(draft)
      return accept(draft)
    },
    acceptAll(drafts) {
      drafts.forEach(asked)
      return acceptAll(drafts)
    },
  }
}

function limits(config: Config) {
  return { sizeMax: config.acceptBatch, waitingMax: config.acceptQueue }
}

/** Accept payments as this process is set up to, and let it know of each batch. */
function acceptPayments(shared: Process, wake: Wake, gateways: Gateways, stops: Closing): Accepts {
  const { db, config, metrics, tracer } = shared
  const minutes = startMinutes({ db, clock: systemClock })
  stops.push(() => minutes.stop())
  const all = accepting({
    db,
    fees: config.fees,
    gateways,
    clock: systemClock,
    limits: {
      ...limits(config),
      sideBySide: config.acceptLanes,
      lockMsMax: config.databaseLockTimeoutMs,
    },
    onEnqueued: (count) => countEnqueued(metrics, count),
    onWritten: minutes.accepted,
    traced: tracer !== null,
    onBatch(drafts, answers, tookMs) {
      // They are all of one shard.
      const userId = drafts[0]?.userId
      for (const operation of new Set(drafts.map(({ type }) => operationOf(type)))) {
        wake(operation, userId)
      }
      const replays = answers.filter(({ replayed }) => replayed).length
      if (replays > 0) metrics.count('idempotency_hits_total', replays)
      metrics.acceptBatch(drafts.length, tookMs)
      tracer?.batch('accept', tracePlaces(drafts), tookMs)
    },
  })
  stops.push(() => all.idle())
  return all
}
