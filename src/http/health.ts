import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsync } from 'fastify'
import { Type } from 'typebox'
import type { ShownBreaker } from '../domain/breaker.ts'
import { OPERATIONS, type Route } from '../domain/payment.ts'
import type { Clock } from '../ports.ts'
import { nullable, oneOf } from './schemas.ts'

/** Whether the database answers, and takes writes; `partly`: some of its servers do. */
export type DatabaseState = 'ok' | 'partly' | 'read_only' | 'unavailable'

/** What is known of the process's health, cheaply. */
export interface Probes {
  /** How the database is; bounded in time by the caller. Never throws. */
  readonly database: () => Promise<DatabaseState>
  /** False from the moment the process was asked to stop. */
  readonly accepting: () => boolean
  /**
   * False when the worker's loop stands still although the database answers; null without a worker.
   */
  readonly worker: () => boolean | null
}

/** The circuit breaker of one operation of a gateway, shared by all workers. */
export type RouteHealth = Route & ShownBreaker

/** What the database knows of gateways and workers, as it was last seen. */
export interface RouteProbes {
  readonly routes: () => readonly RouteHealth[]
  /** How long ago any worker was alive, in milliseconds; infinite: never. */
  readonly workedMs: () => number
}

/** A worker says that it lives every few seconds; this is several times as long. */
const WORKED_MS_MAX = 30_000

/** How long an answer of the database about its health is good for, in milliseconds. */
const CACHE_MS = 1_000

/** Ask the database about its health at most once a second, however often we are asked. */
export function cachedProbe(probe: Probes['database'], clock: Clock): Probes['database'] {
  let asked = Number.NEGATIVE_INFINITY
  let answer: Promise<DatabaseState> = Promise.resolve('unavailable')
  return () => {
    if (clock.elapsedMs() - asked < CACHE_MS) return answer
    asked = clock.elapsedMs()
    answer = probe()
    return answer
  }
}

const RouteBody = Type.Object(
  {
    gateway: Type.String(),
    operation: oneOf(OPERATIONS),
    breaker: oneOf(['closed', 'half_open', 'open']),
    misconfigured: Type.Boolean({
      description: 'The gateway does not talk to us: its address or our credentials are wrong.',
    }),
    reason: nullable('string', { description: 'The code of the last failure.' }),
  },
  { title: 'GatewayHealth' },
)

const HealthBody = Type.Object(
  {
    status: oneOf(['ok', 'degraded']),
    database: oneOf(['ok', 'read_only', 'unavailable']),
    worker: oneOf(['ok', 'stalled', 'none'], {
      description: 'Of this process; without one, whether any worker is alive.',
    }),
    gateway_breaker: Type.String({
      description: 'The worst of all gateways and operations: closed, half_open or open.',
    }),
    gateways: Type.Array(RouteBody),
    servers: oneOf(['all', 'some'], {
      description: 'Some: one of several servers of the database, or the home side, is away.',
    }),
  },
  { title: 'Health' },
)

/** `GET /health`, under the API's prefix: for people and for clients of the original service. */
export function healthRoutes(probes: Probes & RouteProbes): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getHealth',
    summary: 'Health of this process, its database and the gateways',
    description: 'Always 200: what is wrong stands in the answer.',
    response: { 200: HealthBody },
  }
  return async (app) => {
    app.get('/health', { schema }, async () => {
      const database = await probes.database()
      const routes = probes.routes()
      const broken = routes.some(({ breaker }) => breaker !== 'closed')
      const ok = database === 'ok' && probes.worker() !== false && probes.accepting() && !broken
      return {
        status: ok ? ('ok' as const) : ('degraded' as const),
        database: database === 'partly' ? ('ok' as const) : database,
        worker: workerOf(probes),
        gateway_breaker: worst(routes),
        gateways: routes.map((route) => ({ ...route })),
        servers: database === 'partly' ? ('some' as const) : ('all' as const),
      }
    })
  }
}

/** How the worker of this process is; without one, whether any is alive. */
export function workerOf({ worker, workedMs }: Probes & RouteProbes): 'ok' | 'stalled' | 'none' {
  const works = worker()
  if (works !== null) return works ? 'ok' : 'stalled'
  return workedMs() < WORKED_MS_MAX ? 'ok' : 'none'
}

function worst(routes: readonly RouteHealth[]): RouteHealth['breaker'] {
  const states = new Set(routes.map(({ breaker }) => breaker))
  return states.has('open') ? 'open' : states.has('half_open') ? 'half_open' : 'closed'
}

/** What `/readyz` says about each state of the database. */
const READY: Readonly<Record<DatabaseState, string>> = {
  ok: 'ok',
  partly: 'ok',
  read_only: 'database_read_only',
  unavailable: 'no_database',
}

/**
 * `GET /livez` and `GET /readyz`, at the root. Alive asks nobody else: a database outage must not
 * restart every process. Ready wants a database that takes writes, of several servers any, and not
 * to be stopping.
 */
export function probeRoutes(probes: Probes): FastifyPluginAsync {
  return async (app) => {
    app.get('/livez', { schema: { hide: true } }, (_request, reply) => {
      const alive = probes.worker() !== false
      return reply.code(alive ? 200 : 503).send({ status: alive ? 'ok' : 'stalled' })
    })
    app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
      if (!probes.accepting()) return reply.code(503).send({ status: 'stopping' })
      const database = await probes.database()
      return reply.code(READY[database] === 'ok' ? 200 : 503).send({ status: READY[database] })
    })
  }
}

/** `GET /metrics`, at the root: Prometheus text. */
export function prometheusRoute(metrics: {
  readonly contentType: string
  text(): Promise<string>
}): FastifyPluginAsync {
  return async (app) => {
    app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
      reply.header('content-type', metrics.contentType).send(await metrics.text()),
    )
  }
}
