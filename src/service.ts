import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import { systemClock } from './adapters/clock.ts'
import { guardedGateway, type CallSeen, type GuardedGateway } from './adapters/guarded-gateway.ts'
import { httpGateway } from './adapters/http-gateway.ts'
import { COUNTERS, createMetrics, type Metrics } from './adapters/metrics.ts'
import { postgres, type PostgresDb } from './adapters/postgres.ts'
import { batcher, type Batcher } from './batcher.ts'
import type { Config } from './config.ts'
import { agree, ping } from './database/store.ts'
import { deadLetterRoutes } from './dead-letters/routes.ts'
import type { Answer, Draft } from './domain/acceptance.ts'
import { shardOf } from './domain/shard.ts'
import {
  cachedProbe,
  healthRoutes,
  probeRoutes,
  prometheusRoute,
  type Probes,
} from './http/health.ts'
import { buildServer } from './http/server.ts'
import { ledgerRoutes } from './ledger/routes.ts'
import { startFlusher } from './metrics/flush.ts'
import { databaseGauges } from './metrics/gauges.ts'
import { counterRoutes } from './metrics/routes.ts'
import { mockGatewayRoutes } from './mock-gateway/routes.ts'
import { mockGateway, type MockGateway } from './mock-gateway/server.ts'
import { acceptor } from './payments/accept.ts'
import { charge, claim, type ChargeWorld, type Claim, type Settlement } from './payments/charge.ts'
import { pageOfViews, viewPayments, type PaymentView } from './payments/read.ts'
import { paymentRoutes } from './payments/routes.ts'
import { settle, type Settled } from './payments/settle.ts'
import { Overloaded } from './ports.ts'
import { startAdmission } from './queue/admission.ts'
import { startWorker, type Worker } from './queue/worker.ts'
import { openUsers } from './users/open.ts'
import { userRoutes } from './users/routes.ts'
import { readUsers, type User } from './users/store.ts'

/** Where the HTTP API lives. */
export const API = '/api/v1'
export const MOCK_GATEWAY = `${API}/mock-gateway`

/** What one process does. */
export interface Roles {
  readonly api: boolean
  readonly worker: boolean
  readonly mockGateway: boolean
}

/** A running process of the service. */
export interface Service {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** Stop in order: no new work, work in flight ends, everything is written, connections close. */
  stop(): Promise<void>
}

/** What the parts of a process share. */
interface Process {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly db: PostgresDb
  /** Stops in reverse order of what was started. */
  readonly stops: (() => Promise<void> | void)[]
  stopping: boolean
}

const VERSION = '0.1.0'

/**
 * Start the roles of one process against a migrated database. Resolves when it listens; from then on
 * nothing but `stop` ends it. `port` 0 takes any free one.
 */
export async function startService(
  config: Config,
  roles: Roles,
  log: Logger,
  at: { readonly url: string; readonly port: number; readonly journalPath?: string },
): Promise<Service> {
  const own = await startProcess(config, roles, log, at.url)
  const running: { worker?: Worker; gateway?: GuardedGateway } = {}
  const probes = probesOf(own, running, roles.api || roles.worker)
  const app = await buildServer({
    logger: log,
    bodyBytesMax: config.bodyLimitKb * 1_024,
    version: VERSION,
    title: config.appName,
    documented: roles.api,
    onAnswer: (method, route, status, ms) => own.metrics.httpRequest(method, route, status, ms),
  })
  refuseWhenStopping(app, own)
  const wake = () => running.worker?.wake()
  const plugins: FastifyPluginAsync[] = roles.api ? await apiRoutes(own, probes, wake) : []
  for (const plugin of plugins) void app.register(plugin, { prefix: API })
  void app.register(probeRoutes(probes))
  void app.register(prometheusRoute(own.metrics))
  const mock = roles.mockGateway ? openMock(own, at.journalPath) : null
  if (mock !== null) void app.register(mockGatewayRoutes(mock), { prefix: MOCK_GATEWAY })

  const url = await app.listen({ host: config.host, port: at.port })
  const local = url.replace('0.0.0.0', '127.0.0.1').replace('[::]', '127.0.0.1')
  if (roles.worker) {
    running.gateway = openGateway(own, config.gatewayUrl ?? local + MOCK_GATEWAY)
    running.worker = openWorker(own, running.gateway)
  }
  return { url: local, stop: () => stopProcess(own, app, running, mock) }
}

async function startProcess(
  config: Config,
  roles: Roles,
  log: Logger,
  url: string,
): Promise<Process> {
  const role = roles.api ? (roles.worker ? 'all' : 'api') : roles.worker ? 'worker' : 'mock-gateway'
  const metrics = createMetrics({
    role,
    version: VERSION,
    elapsedMs: systemClock.elapsedMs,
    ...(config.statsdUrl === null ? {} : { statsdUrl: config.statsdUrl }),
  })
  const db = postgres({
    url,
    poolMax: config.databasePool,
    connectTimeoutMs: config.databaseConnectTimeoutMs,
    statementTimeoutMs: config.databaseStatementTimeoutMs,
    lockTimeoutMs: config.databaseLockTimeoutMs,
    idleTransactionTimeoutMs: config.databaseIdleTransactionTimeoutMs,
    name: `payments ${role}`,
    onError: (error) => log.warn({ err: error }, 'a database connection was lost'),
  })
  const own: Process = { config, log, metrics, db, stops: [], stopping: false }
  if (roles.api || roles.worker) {
    await checkShards(own)
    const flusher = startFlusher({ db, clock: systemClock }, metrics)
    own.stops.push(() => flusher.stop())
    metrics.database(() => databaseGauges({ db, shards: config.shards, clock: systemClock }))
    metrics.pool(() => db.pool())
  }
  return own
}

/** The number of shards is part of every id: a process with another number would break the books. */
async function checkShards({ db, config }: Process): Promise<void> {
  const agreed = await agree(db, 'shards', String(config.shards))
  if (agreed !== String(config.shards)) {
    await db.close()
    throw new Error(
      `This database was made with SHARDS=${agreed} and cannot be used with SHARDS=${config.shards}.`,
    )
  }
}

function probesOf(
  own: Process,
  running: { worker?: Worker; gateway?: GuardedGateway },
  usesDatabase: boolean,
): Probes {
  const stalledMs = Math.max(30_000, own.config.workerPollIntervalMs * 10)
  return {
    // The mock gateway alone has no database to wait for.
    database: cachedProbe(() => (usesDatabase ? ping(own.db) : Promise.resolve(true)), systemClock),
    accepting: () => !own.stopping,
    worker: () => {
      const { worker } = running
      return worker === undefined ? null : systemClock.elapsedMs() - worker.turnedMs() < stalledMs
    },
    breaker: () => running.gateway?.breaker() ?? null,
  }
}

/** Refuse new work while stopping; the mock gateway still answers calls that are in flight. */
function refuseWhenStopping(app: FastifyInstance, own: Process): void {
  app.addHook('onRequest', async (request) => {
    const { url } = request
    if (!own.stopping || url.startsWith(MOCK_GATEWAY) || !url.startsWith(API)) return
    throw Object.assign(new Error('stopping'), { refusal: 'shutting_down' })
  })
}

async function apiRoutes(
  own: Process,
  probes: Probes,
  wake: () => void,
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
  return [
    userRoutes({
      open: (balance) => opening.submit(balance),
      read: (id) => users.submit(id),
      db,
      shards,
    }),
    paymentRoutes({
      accept: (draft) => (admission.open() ? accepting(draft) : Promise.reject(new Overloaded())),
      read: (id) => views.submit(id),
      page: (filter, before, limit) => pageOfViews(world, filter, before, limit),
      onRequest: (type) => metrics.count(`payments_${type}_requests_total`),
      onReplay: () => metrics.count('idempotency_hits_total'),
    }),
    deadLetterRoutes({ db, shards }),
    ledgerRoutes({ db, shards }),
    counterRoutes({ db, counters: metrics, names: COUNTERS }),
    healthRoutes(probes),
  ]
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
    onEnqueued: (count) => {
      metrics.count('payments_task_enqueued_total', count)
      wake()
    },
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

function openMock({ config, log }: Process, journalPath: string | undefined): MockGateway {
  const seed = config.mockGatewaySeed
  log.debug({ seed, journal: journalPath ?? 'memory' }, 'the mock gateway is open')
  return mockGateway({
    clock: systemClock,
    ...(seed === null ? {} : { seed }),
    ...(journalPath === undefined ? {} : { journalPath }),
  })
}

function openGateway(own: Process, url: string): GuardedGateway {
  const { config, metrics } = own
  const driver = httpGateway({
    url,
    timeoutMs: config.gatewayTimeoutMs,
    connections: config.workerConcurrency,
    profile: { idempotentPost: config.gatewayIdempotent, lookup: config.gatewayLookup },
    clock: systemClock,
  })
  const gateway = guardedGateway(driver, systemClock, (seen) => countCall(metrics, seen))
  metrics.breaker(() => gateway.breaker())
  return gateway
}

function openWorker(own: Process, gateway: GuardedGateway): Worker {
  const { config, metrics, log, db } = own
  const world: ChargeWorld = {
    db,
    clock: systemClock,
    gateway,
    shards: config.shards,
    policy: {
      attemptsMax: config.gatewayAttemptsMax,
      backoffBaseMs: config.gatewayBackoffBaseMs,
      backoffMaxMs: config.gatewayBackoffMaxMs,
      jitterMs: config.gatewayBackoffJitterMs,
      notFoundGraceMs: config.gatewayNotFoundGraceMs,
      ...gateway.profile,
    },
    leaseMs: config.leaseMs,
    callMsMax: config.gatewayTimeoutMs,
    random: Math.random,
  }
  return startWorker<Claim, Settlement>({
    async claim(limit) {
      const claims = await claim(world, limit)
      metrics.count('payments_processing_started_total', claims.length)
      return claims
    },
    handle: (claimed, signal) => charge(world, claimed, signal),
    async settle(done) {
      countSettled(metrics, await settle(world, done))
    },
    admitted: (wanted, running) => gateway.admitted(wanted, running),
    clock: systemClock,
    concurrency: config.workerConcurrency,
    batchMax: config.workerBatch,
    pollMs: config.workerPollIntervalMs,
    settleMsMax: config.leaseMs,
    onError: (error, what) => log.error({ err: error }, `the worker could not ${what}`),
  })
}

function countCall(metrics: Metrics, seen: CallSeen): void {
  metrics.gatewayCall(seen.call, seen.outcome, seen.ms)
  if (seen.call === 'lookup') return
  if (seen.outcome === 'success') metrics.count('gateway_success_total')
  else if (seen.outcome === 'declined') metrics.count('gateway_non_retryable_errors_total')
  else if (seen.reason === 'timeout') metrics.count('gateway_timeouts_total')
  else metrics.count('gateway_errors_total')
}

function countSettled(metrics: Metrics, settled: Settled): void {
  metrics.settleBatch(settled.settlements.length)
  const nowMs = systemClock.now().getTime()
  for (const { claim: claimed, decision } of settled.settlements) {
    const { payment } = claimed
    if (decision.step === 'retry') metrics.count('payments_retried_total')
    if (decision.step === 'succeed') metrics.count('payments_success_total')
    if (decision.step === 'fail') metrics.count('payments_failed_total')
    const fresh = decision.step === 'doubt' && payment.status === 'new'
    if (decision.step === 'fail' || fresh) metrics.count('dlq_written_total')
    if (decision.step === 'succeed' || decision.step === 'fail') {
      metrics.paymentCompleted(nowMs - payment.createdAt.getTime())
    }
  }
}

/** How long answers may still take to leave before their connections are cut, in milliseconds. */
const CLOSE_MS_MAX = 2_000

async function stopProcess(
  own: Process,
  app: FastifyInstance,
  running: { worker?: Worker; gateway?: GuardedGateway },
  mock: MockGateway | null,
): Promise<void> {
  own.stopping = true
  await running.worker?.stop()
  // Our own connections first: a mock gateway in this process waits for them to close.
  await running.gateway?.close()
  mock?.close()
  const cut = setTimeout(() => app.server.closeAllConnections(), CLOSE_MS_MAX)
  await app.close()
  clearTimeout(cut)
  for (const stop of own.stops.reverse()) await stop()
  await own.metrics.close()
  await own.db.close()
}
