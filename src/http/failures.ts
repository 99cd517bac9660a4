import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type {
  FastifyBaseLogger,
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
} from 'fastify'
import { writeJson } from '../domain/json.ts'
import { REFUSALS, type Refusal, type RefusalCode } from '../domain/refusal.ts'
import { Busy, CommitUnknown, GatewayUnavailable, Overloaded, Unavailable } from '../ports.ts'
import { afterAnswers } from './connections.ts'
import { problem } from './answer.ts'
import { refuse } from './problem.ts'
import { putOffLog } from './put-off.ts'

/** What the framework itself refuses, by its code. */
const FRAMEWORK: Readonly<Record<string, RefusalCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body_unreadable',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'body_unreadable',
  FST_ERR_CTP_INVALID_JSON_BODY: 'body_unreadable',
  FST_ERR_BAD_URL: 'route_not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
}

/** What Node's parser refuses before there is a request, by its code. */
const SOCKET: Readonly<Record<string, RefusalCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/**
 * Answer whatever was thrown: a refusal if it is one, otherwise a 500 that says nothing but its id.
 */
export async function failed(
  error: FastifyError & { refusal?: RefusalCode; why?: string },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  // A client that hangs up in the middle of its body is no bug, and nobody reads the answer.
  const gone = request.raw.readableAborted
  const refusal = gone ? ({ code: 'body_unreadable' } as const) : refusalOf(error)
  report(refusal, error, request.log)
  if (refusal.code === 'body_too_large') await drained(request.raw)
  return refuse(reply, refusal)
}

/** What a failure of our own work is answered with; logged where somebody should look at it. */
export function reportFailure(error: unknown, log: FastifyBaseLogger): Refusal {
  const refusal = problemOf(error) ?? { code: 'internal_error' }
  report(refusal, error, log)
  return refusal
}

/** One log for the whole process: it is the process that is overloaded. */
const putOff = putOffLog()

function report({ code }: Refusal, error: unknown, log: FastifyBaseLogger): void {
  if (code === 'internal_error') log.error({ err: error }, 'unexpected failure')
  else if (REFUSALS[code][0] === 503) putOff(code, error, log)
}

/** How long a refused body is read before it is answered, in milliseconds. */
const DRAIN_MS_MAX = 500

/**
 * Read a refused body on for a while and forget it: a client that still writes when the connection
 * closes never sees the answer. One that has stopped writing, or never stops, is answered all the
 * same.
 */
async function drained(raw: IncomingMessage): Promise<void> {
  if (raw.readableEnded || raw.destroyed) return
  let limit: NodeJS.Timeout | undefined
  await new Promise<void>((resolve) => {
    limit = setTimeout(resolve, DRAIN_MS_MAX)
    raw.once('end', resolve).once('close', resolve).once('error', resolve).resume()
  })
  clearTimeout(limit)
}

function refusalOf(error: FastifyError & { refusal?: RefusalCode; why?: string }): Refusal {
  if (error.refusal !== undefined) {
    const errors = error.why === undefined ? {} : { errors: [{ pointer: '', code: error.why }] }
    return { code: error.refusal, ...errors }
  }
  if (error.validation !== undefined) return invalid(error)
  return problemOf(error) ?? { code: FRAMEWORK[error.code] ?? 'internal_error' }
}

/** The refusal that a fault of the world amounts to, or null: then it is a bug. */
export function problemOf(error: unknown): Refusal | null {
  if (error instanceof Unavailable) return { code: 'database_unavailable' }
  if (error instanceof Busy) return { code: 'busy' }
  if (error instanceof CommitUnknown) return { code: 'outcome_unknown' }
  if (error instanceof Overloaded) return { code: 'overloaded' }
  if (error instanceof GatewayUnavailable) return { code: 'gateway_unavailable' }
  return null
}

/** The first thing wrong with a body or query, by pointer; never the value itself. */
function invalid(error: FastifyError): Refusal {
  const [first] = error.validation ?? []
  const missing = first?.params['missingProperty'] ?? first?.params['additionalProperty']
  const pointer = (first?.instancePath ?? '') + (missing === undefined ? '' : `/${String(missing)}`)
  const code = error.validationContext === 'body' ? 'body_invalid' : 'query_invalid'
  return {
    code,
    errors: [{ pointer: pointer.slice(0, 200), code: wording(first?.keyword ?? 'invalid') }],
  }
}

function wording(keyword: string): string {
  const words: Readonly<Record<string, string>> = {
    required: 'missing',
    additionalProperties: 'unknown',
    type: 'wrong_type',
    enum: 'not_one_of',
    minimum: 'too_small',
    maximum: 'too_large',
    pattern: 'malformed',
    maxLength: 'too_long',
    minItems: 'too_few',
    maxItems: 'too_many',
  }
  return words[keyword] ?? keyword
}

/**
 * Answer requests that no route takes: 404, or 405 with Allow where the path exists with another
 * method (RFC 9110 section 15.5.6); OPTIONS gets the same list with a 204. A path that is written
 * out, such as /payments/deposit, is not one of those with a part to fill in, such as
 * /payments/:id.
 */
export function unroutable(app: FastifyInstance): void {
  const paths = knownPaths(app)
  const answer = (request: FastifyRequest, reply: FastifyReply) => {
    const methods = paths.methodsOf(pathOf(request))
    // A route that takes the method and found nothing, such as a file of the documentation.
    const nothing = methods.size === 0 || methods.has(request.method)
    if (nothing) return refuse(reply, { code: 'route_not_found' })
    const allowed = [...methods, 'OPTIONS'].sort().join(', ')
    void reply.header('allow', allowed)
    if (request.method === 'OPTIONS') return reply.code(204).send()
    return refuse(reply, { code: 'method_not_allowed' })
  }
  app.setNotFoundHandler(answer)
  // Before a body is asked for: where nothing is, nothing is wrong with it.
  app.addHook('preParsing', (request, reply, payload, done) => {
    const misread = request.routeOptions.url?.includes(':') && paths.isWritten(pathOf(request))
    if (request.is404 || misread) void answer(request, reply)
    else done(null, payload)
  })
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? ''
}

/** The paths of the routes, and the methods that each takes. */
function knownPaths(app: FastifyInstance) {
  const written = new Map<string, Set<string>>()
  const patterns = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>()
  app.addHook('onRoute', ({ method, url }) => {
    const given = [method].flat()
    if (!/[:*]/.test(url)) {
      const path = bare(url)
      written.set(path, new Set([...(written.get(path) ?? []), ...given]))
      return
    }
    const source = url.replace(/:[^/]+/g, '[^/]+').replace(/\*/g, '.*')
    const { pattern, methods } = patterns.get(source) ?? {
      pattern: new RegExp(`^${source}/?$`),
      methods: new Set<string>(),
    }
    patterns.set(source, { pattern, methods: new Set([...methods, ...given]) })
  })
  return {
    isWritten: (path: string) => written.has(bare(path)),
    methodsOf(path: string): ReadonlySet<string> {
      const fits = [...patterns.values()].filter(({ pattern }) => pattern.test(path))
      return written.get(bare(path)) ?? new Set(fits.flatMap(({ methods }) => [...methods]))
    },
  }
}

/** A path without the slash at its end, which is optional. */
function bare(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/**
 * Answer bytes that are no HTTP request, on the bare socket, and close it: after the answers to the
 * requests in front of them.
 */
export function unreadableSocket(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET') return void socket.destroy()
  const code = SOCKET[error.code ?? ''] ?? 'request_unreadable'
  afterAnswers(socket, () => refuseSocket(socket, code))
}

/** How long a refused client may take to read why, in milliseconds. */
const PARTING_MS = 1_000

/**
 * Answer on the bare socket and close it. What the client still sends is read for a moment, because
 * a connection that is closed with unread bytes in it takes the answer with it; then the socket is
 * given up, whether the client has closed its side or not. A 405 allows nothing: there is no path
 * to allow it for.
 */
export function refuseSocket(socket: Duplex, code: RefusalCode): void {
  if (!socket.writable) return void socket.destroy()
  const over = setTimeout(() => socket.destroy(), PARTING_MS)
  socket.once('close', () => clearTimeout(over))
  const [status] = REFUSALS[code]
  const body = writeJson(problem({ code }, 'none'))
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n${status === 405 ? 'allow: \r\n' : ''}` +
      `connection: close\r\n\r\n${body}`,
  )
}
