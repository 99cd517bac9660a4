import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { API, MOCK_GATEWAY } from './paths.ts'

/** The ETag of these bytes: the same bytes have the same one, in every process. */
export function etagOf(bytes: Buffer | string): string {
  return `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`
}

/** Whether the caller has this already: `If-None-Match`, compared weakly (RFC 9110, 13.1.2). */
export function isKnown(request: FastifyRequest, etag: string): boolean {
  const given = request.headers['if-none-match']
  if (given === undefined) return false
  const tags = given.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(etag)
}

/**
 * Let whoever polls say what they have: an answer to a GET of the API has an ETag, and one that is
 * the same as before is 304 and no more. Gateways' own routes do not poll.
 */
export function tagAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    const { url: route = '' } = request.routeOptions
    const isPolled = request.method === 'GET' && route.startsWith(`${API}/`)
    if (!isPolled || route.startsWith(MOCK_GATEWAY) || reply.statusCode !== 200) return done()
    if (typeof payload !== 'string') return done()
    const etag = etagOf(payload)
    void reply.header('etag', etag)
    if (!isKnown(request, etag)) return done()
    void reply.code(304).removeHeader('content-type')
    done(null, '')
  })
}
