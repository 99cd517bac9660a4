import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { RefusalCode } from '../domain/refusal.ts'

/** More header lines than any client sends; Node would drop those above 2,000 without a word. */
const HEADERS_MAX = 100
const VERSIONS = new Set(['1.0', '1.1'])

/** What is wrong with a request before its route is looked at, and which part of it. */
interface Violation {
  readonly refusal: RefusalCode
  readonly why: string
}

/**
 * Refuse what HTTP forbids and Node lets through, or answers without a body: no Host or two (RFC
 * 9112 section 3.2), two Content-Types, of which a proxy may believe the other, HTTP/0.9, unknown
 * expectations (RFC 9110 section 10.1.1), hundreds of headers, and CONNECT.
 */
export function demandHttp(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const violation = violationOf(request.raw)
    if (violation === null) return done()
    // Whoever sent this and whoever passed it on may disagree on where the next request begins.
    void reply.header('connection', 'close')
    done(Object.assign(new Error(violation.why), violation))
  })
}

/** What is wrong with a request as such, or null. */
export function violationOf({
  httpVersion,
  rawHeaders,
  headers,
}: IncomingMessage): Violation | null {
  if (!VERSIONS.has(httpVersion)) return { refusal: 'request_unreadable', why: 'http_version' }
  if (rawHeaders.length > 2 * HEADERS_MAX) return { refusal: 'headers_too_large', why: 'too_many' }
  const hosts = timesSent(rawHeaders, 'host')
  if (hosts > 1) return { refusal: 'request_unreadable', why: 'host_twice' }
  if (hosts === 0 && httpVersion !== '1.0') return { refusal: 'request_unreadable', why: 'no_host' }
  if (timesSent(rawHeaders, 'content-type') > 1) {
    return { refusal: 'media_type_unsupported', why: 'content_type_twice' }
  }
  const { expect } = headers
  if (expect !== undefined && !/^100-continue$/i.test(expect)) {
    return { refusal: 'expectation_failed', why: 'expect' }
  }
  return null
}

/** Node keeps the first of a repeated header and forgets the others: only the raw list tells. */
function timesSent(rawHeaders: readonly string[], wanted: string): number {
  let times = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === wanted.length && name.toLowerCase() === wanted) times += 1
  }
  return times
}
