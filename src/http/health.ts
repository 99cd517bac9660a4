import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsync } from 'fastify'
import { Type } from 'typebox'
import type { Clock } from '../ports.ts'
import { oneOf } from './schemas.ts'

/** Whether the database answers, and takes writes. */
export type DatabaseState = 'ok' | 'read_only' | 'unavailable'

/** What is known of the process's health, cheaply. */
export interface Probes {
  /** How the database is; bounded in time by the caller. Never throws. */
  readonly database: () => Promise<DatabaseState>
  /** False from the moment the process was asked to stop. */
  readonly accepting: () => boolean
  /** False when the worker's loop stands still although the database answers; null without a worker. */
  readonly worker: () => boolean | null
  /** The circuit breaker's state; null without a worker. */
  readonly breaker: () => string | null
}

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

/** `GET /health`, under the API's prefix: for people and for clients of the original service. */
export function healthRoutes(probes: Probes): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getHealth',
    summary: 'Health of this process and its database',
    response: {
      200: Type.Object(
        {
          status: oneOf(['ok', 'degraded']),
          database: oneOf(['ok', 'read_only', 'unavailable']),
          worker: oneOf(['ok', 'stalled', 'none']),
          gateway_breaker: Type.String({ description: 'closed, half_open, open, or none.' }),
        },
        { title: 'Health' },
      ),
    },
  }
  return async (app) => {
    app.get('/health', { schema }, async () => {
      const database = await probes.database()
      const worker = probes.worker()
      const ok = database === 'ok' && worker !== false && probes.accepting()
      return {
        status: ok ? ('ok' as const) : ('degraded' as const),
        database,
        worker:
          worker === null ? ('none' as const) : worker ? ('ok' as const) : ('stalled' as const),
        gateway_breaker: probes.breaker() ?? 'none',
      }
    })
  }
}

/** What `/readyz` says about each state of the database. */
const READY: Readonly<Record<DatabaseState, string>> = {
  ok: 'ok',
  read_only: 'database_read_only',
  unavailable: 'no_database',
}

/**
 * `GET /livez` and `GET /readyz`, at the root. Alive asks nobody else: a database outage must not
 * restart every process. Ready wants a database that takes writes, and not to be stopping.
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
      return reply.code(database === 'ok' ? 200 : 503).send({ status: READY[database] })
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
