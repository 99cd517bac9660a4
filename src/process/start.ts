import { randomInt } from 'node:crypto'
import { Server as NetServer } from 'node:net'
import { WEBHOOKS } from '../events/webhook-document.ts'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { systemClock } from '../adapters/clock.ts'
import { takeOwnership } from '../adapters/file-owner.ts'
import { closing } from './closing.ts'
import type { Config } from '../config/config.ts'
import { GATEWAY } from '../domain/payment.ts'
import { writeJson } from '../domain/exact-json.ts'
import { hasAddress } from '../config/gateways.ts'
import type { Metrics } from '../adapters/metrics.ts'
import type { PostgresDb } from '../adapters/postgres.ts'
import { admitter, gatewayAdmitter, type Guards } from '../http/auth.ts'
import {
  cachedProbe,
  probeRoutes,
  prometheusRoute,
  type DatabaseState,
  type Probes,
} from '../http/health.ts'
import { addFastPath } from '../http/fast-path.ts'
import { reportFailure } from '../http/failures.ts'
import { fastNotices } from '../charging/fast-notice-routes.ts'
import { CONSOLE, consolePage } from '../http/console-page.ts'
import { buildServer, requestIds } from '../http/server.ts'
import { startPage } from '../http/start-page.ts'
import { mockGatewayRoutes } from '../mock-gateway/routes.ts'
import { openNotices } from '../mock-gateway/notices.ts'
import { mockGateway, type MockGateway } from '../mock-gateway/server.ts'
import { ReadOnly } from '../ports.ts'
import type { Worker } from '../queue/worker.ts'
import { apiRoutes } from './api.ts'
import { connectionOptions, guardsOf } from './guards.ts'
import { listen } from './listen.ts'
import type { Member } from './member.ts'
import {
  startProcess,
  startRuns,
  usesDatabase,
  type Decorators,
  type Process,
  type Roles,
} from './shared.ts'
import { ANSWERS_MS_MAX } from './stop-times.ts'
import { atStart } from './away.ts'
import { API, MOCK_GATEWAY } from '../http/paths.ts'
import { VERSION } from './version.ts'
import { checkGateways } from './routing.ts'
import { openGateway, type OpenGateway } from './gateway.ts'
import { openWebhooks, startEvents } from './webhooks.ts'
import { openWatches } from './watches.ts'
import { openQuestions, openWorker } from './worker.ts'

/** A running process of the service. */
export interface Service {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** Stop in order: no new work, work in flight ends, everything is written, connections close. */
  stop(): Promise<void>
}

/**
 * Start the roles of one process against a migrated database. Resolves when it listens; from then
 * on nothing but `stop` ends it. `port` 0 takes any free one. When it throws, everything that was
 * opened is closed again.
 */
export async function startService(
  config: Config,
  roles: Roles,
  log: Logger,
  at: {
    readonly url: string
    readonly port: number
    readonly journalPath?: string
    readonly decorators?: Decorators
    /** This process, where it shares its port with others. */
    readonly member?: Member | null
  },
): Promise<Service> {
  const stops = closing()
  try {
    const url = await open(await startProcess(config, roles, log, { ...at, stops }), roles, at)
    return { url, stop: () => stops.close() }
  } catch (error) {
    await stops.close().catch((also: unknown) => log.warn({ err: also }, 'closing failed'))
    throw error
  }
}

/** Open the parts of a process in order, each owed to `stops`. Returns where it listens. */
async function open(
  shared: Process,
  roles: Roles,
  at: { readonly port: number; readonly journalPath?: string; readonly member?: Member | null },
): Promise<string> {
  const { config, stops } = shared
  // What requests need is closed when none is left; it is owed before it is made.
  const needed = closing()
  stops.push(() => needed.close())
  const { app, guards, requestId, onAnswer } = await openServer(shared, roles)
  let left: Promise<void> | null = null
  stops.push(() => closeServer(app, left))
  const mock = roles.mockGateway ? openMock(shared, at.journalPath, app) : null
  const gateways = openGateways(shared, roles, () => hereOf(app.listeningOrigin) + MOCK_GATEWAY)
  if (usesDatabase(roles)) await atStart(config, () => checkGateways(shared))
  const worker = roles.worker ? openWorker(shared, gateways) : null
  if (worker !== null) stops.push(() => worker.stop())
  const watches = openWatches(shared, roles, gateways)
  const webhooks = openWebhooks(shared, roles)
  const probes = probesOf(shared, worker, usesDatabase(roles))
  const { routes, fast, desk } =
    webhooks !== null
      ? await apiRoutes(shared, {
          probes,
          wake: (operation, userId) => worker?.wakeAll(operation, userId),
          watch: () => watches.wake(),
          ...openQuestions(shared, gateways, needed),
          webhooks,
          gateways,
          guards,
          mockGateway: roles.mockGateway,
          stops: needed,
        })
      : { routes: [], fast: [], desk: null }
  const { elapsedMs } = systemClock
  addFastPath(app, {
    routes: fast,
    admit: admitter(guards),
    others: noticesIn(shared, { desk, guards, requestId, onAnswer }),
    requestId,
    open: () => !shared.refusing,
    elapsedMs,
    onAnswer,
  })
  for (const plugin of routes) void app.register(plugin, { prefix: API })
  void app.register(probeRoutes(probes))
  if (roles.api) void app.register(startPage(frontOf(config, roles)))
  if (roles.api && config.console === 'on') void app.register(consolePage(config.appName))
  const { metrics } = shared
  void app.register(prometheusRoute(at.member?.metricsOfAll(metrics) ?? metrics))
  if (mock !== null) void app.register(mockGatewayRoutes(mock), { prefix: MOCK_GATEWAY })
  const url = await listen(app, { host: config.host, port: at.port }, roles)
  // What works by itself begins when it is certain that this process can serve.
  shared.serving = true
  worker?.wake()
  watches.wake()
  if (usesDatabase(roles)) {
    startRuns(shared)
    startEvents(shared)
  }
  stops.push(() => {
    shared.stopping = true
    if (at.member?.isReplaced() === true) left = leave(app)
    else shared.refusing = true
  })
  return hereOf(url)
}

/** A URL of this process, for itself: one that listens everywhere also listens here. */
function hereOf(url: string): string {
  return url.replace('0.0.0.0', '127.0.0.1').replace('[::]', '127.0.0.1')
}

/** What answers plain notices before the framework. */
function noticesIn(
  { log }: Process,
  {
    desk,
    guards,
    ...needs
  }: Omit<Fast, 'desk' | 'admit' | 'elapsedMs' | 'failed' | 'log'> & {
    readonly desk: Fast['desk'] | null
    readonly guards: Guards
  },
): ReturnType<typeof fastNotices> {
  if (desk === null) return () => false
  return fastNotices({
    ...needs,
    desk,
    admit: gatewayAdmitter(guards),
    elapsedMs: systemClock.elapsedMs,
    log,
    failed: (error, reqId) => reportFailure(error, log.child({ reqId })),
  })
}

type Fast = Parameters<typeof fastNotices>[0]

/** The server without routes, and what its fast path needs of it. */
async function openServer(shared: Process, roles: Roles) {
  const { config, log, metrics } = shared
  const guards = guardsOf(shared, roles)
  const requestId = requestIds()
  const onAnswer: Metrics['httpRequest'] = (method, route, status, ms) =>
    metrics.httpRequest(method, route, status, ms)
  const app = await buildServer({
    logger: log,
    bodyBytesMax: config.bodyLimitKb * 1_024,
    version: VERSION,
    title: config.appName,
    documented: roles.api,
    webhooks: WEBHOOKS,
    guards,
    connections: connectionOptions(shared),
    requestId,
    onAnswer,
  })
  metrics.connections(() => app.front.connections.counts())
  refuseWhenStopping(app, shared)
  return { app, guards, requestId, onAnswer }
}

/**
 * The gateways of a process: those that are configured, and where a worker's `http` has no address
 * the built-in mock gateway at `ownUrl`, which is known when the process listens.
 */
function openGateways(shared: Process, roles: Roles, ownUrl: () => string): OpenGateway[] {
  if (!usesDatabase(roles)) return []
  // The API alone charges nobody; it asks about payments in doubt when it is told to.
  const known = shared.config.gateways.filter((gateway) => roles.worker || hasAddress(gateway))
  const gateways = known.map((gateway) => openGateway(shared, gateway, ownUrl))
  for (const { gateway } of gateways) shared.stops.push(() => gateway.close())
  return gateways
}

function probesOf(shared: Process, worker: Worker | null, hasDatabase: boolean): Probes {
  const stalledMs = Math.max(30_000, shared.config.workerPollIntervalMs * 10)
  return {
    // The mock gateway alone has no database to wait for.
    database: cachedProbe(async () => (hasDatabase ? stateOf(shared.db) : 'ok'), systemClock),
    accepting: () => !shared.refusing,
    worker: () =>
      worker === null ? null : systemClock.elapsedMs() - worker.turnedMs() < stalledMs,
  }
}

async function stateOf(db: PostgresDb): Promise<DatabaseState> {
  try {
    return (await db.probe()) === 'all' ? 'ok' : 'partly'
  } catch (error) {
    return error instanceof ReadOnly ? 'read_only' : 'unavailable'
  }
}

/** What the start page tells of this process. */
function frontOf(config: Config, roles: Roles) {
  return {
    title: config.appName,
    version: VERSION,
    api: API,
    console: config.console === 'on' ? CONSOLE : null,
    mockGateway: roles.mockGateway ? MOCK_GATEWAY : null,
  }
}

/** Refuse new work while stopping; the mock gateway still answers calls that are in flight. */
export function refuseWhenStopping(
  app: FastifyInstance,
  shared: { readonly refusing: boolean },
): void {
  app.addHook('onRequest', ({ routeOptions: { url: route = '' } }, _reply, done) => {
    const ours = route.startsWith(`${API}/`) && !route.startsWith(`${MOCK_GATEWAY}/`)
    if (!shared.refusing || !ours) return done()
    done(Object.assign(new Error('stopping'), { refusal: 'shutting_down' }))
  })
}

/** Open the mock gateway, on a journal that nobody else has. */
function openMock(
  shared: Process,
  journalPath: string | undefined,
  app: FastifyInstance,
): MockGateway {
  const { config, log, stops } = shared
  const seed = config.mockGatewaySeed
  if (journalPath !== undefined) {
    const owner = takeOwnership(journalPath)
    stops.push(() => owner.release())
  }
  log.debug({ seed, journal: journalPath ?? 'memory' }, 'the mock gateway is open')
  const notices = openNotices({
    clock: systemClock,
    send: (notice) => sendNotice(app, notice),
    onGivenUp: ({ paymentId: payment }, err) =>
      log.debug({ err, payment }, 'the mock gateway could not send a notice'),
  })
  stops.push(() => notices.stop())
  const mock = mockGateway({
    clock: systemClock,
    seed: seed ?? randomInt(1, 2 ** 32 - 1),
    ...(journalPath === undefined ? {} : { journalPath }),
    url: () => hereOf(app.listeningOrigin) + MOCK_GATEWAY,
    onDecided: notices.tell,
  })
  stops.push(() => mock.close())
  return mock
}

/** Where there is an API beside the mock gateway, that is who it tells. */
async function sendNotice(
  app: FastifyInstance,
  { paymentId, type }: Parameters<ReturnType<typeof openNotices>['tell']>[0],
) {
  const payload = writeJson({ payment_id: paymentId, type })
  const headers = { 'content-type': 'application/json' }
  const url = `${API}/gateways/${GATEWAY}/notices`
  const { statusCode: status, headers: said } = await app.inject({
    method: 'POST',
    url,
    headers,
    payload,
  })
  const seconds = Number(said['retry-after'] ?? NaN)
  return { status, retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : null }
}

/**
 * Let nobody new in, and whoever keeps a connection know with the next answer. Resolves when the
 * last one has gone. The close of HTTP would cut those whose next request is on its way.
 */
function leave(app: FastifyInstance): Promise<void> {
  app.front.connections.leave()
  return new Promise((gone) => NetServer.prototype.close.call(app.server, () => gone()))
}

/** How long those who keep a connection have to ask once more, in milliseconds. */
const KEPT_MS = 1_000

/** Close the server, once those who are still in have their answers. `left`: see `leave`. */
async function closeServer(app: FastifyInstance, left: Promise<void> | null): Promise<void> {
  if (left !== null) await Promise.race([left, systemClock.sleep(KEPT_MS)])
  const cut = setTimeout(() => app.server.closeAllConnections(), ANSWERS_MS_MAX)
  await app.close()
  await left
  clearTimeout(cut)
}
