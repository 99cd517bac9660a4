import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Global } from '../ports.ts'
import { refusals, refuse } from '../http/problem.ts'
import { NO_QUERY } from '../http/page.ts'
import { KeyBody, keyBody, shortId, ShortId } from './bodies.ts'
import { listKeys, revokeKey } from './store.ts'

const LIST = {
  tags: ['Keys'],
  operationId: 'listKeys',
  summary: 'List API keys, newest first',
  description: 'Never their secrets. Keys are made with `payments keys create`, and nowhere else.',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(KeyBody) }, { title: 'ApiKeys' }),
    ...refusals(400, 503),
  },
}

const REVOKE = {
  tags: ['Keys'],
  operationId: 'revokeKey',
  summary: 'Revoke an API key for good',
  description: 'Every process refuses it, and the sessions that it began, within 5 seconds.',
  params: Type.Object({ key: ShortId }),
  response: { 200: KeyBody, ...refusals(404, 503) },
}

/** `GET /keys`, `DELETE /keys/{key}`. */
export function keyRoutes(db: Global): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/keys', { schema: LIST }, async (_request, reply) => {
      const keys = await listKeys(db)
      return reply.send({ data: keys.map(keyBody) })
    })
    app.delete('/keys/:key', { schema: REVOKE }, async (request, reply) => {
      const id = shortId(request.params.key)
      const key = id === null ? null : await revokeKey(db, id)
      if (key === null) return refuse(reply, { code: 'key_not_found' })
      request.log.info({ key: key.id, by: request.keyId }, 'an API key was revoked')
      return reply.send(keyBody(key))
    })
  }
}
