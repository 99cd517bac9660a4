import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Db } from '../ports.ts'
import { totals, type Flusher } from './flush.ts'

/** `GET /metrics`: the flat JSON map of counters, summed over all processes. */
export function counterRoutes(options: {
  readonly db: Db
  readonly flusher: Flusher
}): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getCounters',
    summary: 'Counters over all processes, since the database was made',
    description:
      'What became of payments is counted in the transactions that do it, and exact; requests ' +
      'and calls of the gateway are added once a second. Prometheus metrics are at `/metrics`, ' +
      'without the prefix.',
    response: { 200: Type.Record(Type.String(), Type.Integer(), { title: 'Counters' }) },
  }
  return async (app) => {
    app.get('/metrics', { schema }, () => totals(options))
  }
}
