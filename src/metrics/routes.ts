import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Db } from '../ports.ts'
import { totals, type ProcessCounters } from './flush.ts'

/** `GET /metrics`: the flat JSON map of counters, summed over all processes. */
export function counterRoutes(options: {
  readonly db: Db
  readonly counters: ProcessCounters
  readonly names: readonly string[]
}): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getCounters',
    summary: 'Counters over all processes, since the database was made',
    description: 'Prometheus metrics of this process are at `/metrics`, without the prefix.',
    response: { 200: Type.Record(Type.String(), Type.Integer(), { title: 'Counters' }) },
  }
  return async (app) => {
    app.get('/metrics', { schema }, () => totals(options.db, options.counters, options.names))
  }
}
