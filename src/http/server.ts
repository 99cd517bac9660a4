import { randomBytes } from 'node:crypto'
import fastify, { LogController, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { FastifyBaseLogger } from 'fastify'
import { writeJson } from '../domain/exact-json.ts'
import { guard, type Guards } from './auth.ts'
import { refuseCardNumbers } from './card-numbers.ts'
import type { ConnectionOptions } from './connections.ts'
import { tagAnswers } from './etag.ts'
import { SAFE_HEADERS } from './headers.ts'
import { failed } from './failures.ts'
import { unroutable } from './unroutable.ts'
import { readJson } from './strict-json.ts'
import { openFront } from './listener.ts'
import { document } from './openapi.ts'
import { demandHttp } from './preconditions.ts'
import { documentRefusals, Problem } from './problem.ts'
import { SHOWN } from './schemas.ts'

/** A limit on every part of a request; times in milliseconds. */
const HEADER_BYTES_MAX = 16_384
const PARAM_LENGTH_MAX = 100
const ARRIVAL = { headersMsMax: 10_000, requestMsMax: 15_000 }
/** How often the times are looked at: by default a slow client could stay half a minute longer. */
const TIMES_CHECKED_MS = 1_000

interface ServerOptions {
  readonly logger: FastifyBaseLogger
  readonly bodyBytesMax: number
  readonly version: string
  readonly title: string
  readonly documented: boolean
  /** What of its own the document says that the service sends. */
  readonly webhooks?: object
  readonly guards: Guards
  /** Makes the ids of requests; `requestIds` by default. */
  readonly requestId?: ReturnType<typeof requestIds>
  /** How long the headers, and the whole request, may take to arrive, in milliseconds. */
  readonly arrival?: { readonly headersMsMax: number; readonly requestMsMax: number }
  /** Bounds of what connections may hold; the clock that their deadlines go by. */
  readonly connections: ConnectionOptions
  /** Told of every answer, in milliseconds: the route's template, never the path. */
  readonly onAnswer: (method: string, route: string, status: number, ms: number) => void
}

/**
 * Build the HTTP server without features: strict reading of bodies, problem documents for whatever
 * goes wrong, request ids, OpenAPI and Swagger UI. Routes are handed to it with `register`.
 */
export async function buildServer(options: ServerOptions): Promise<FastifyInstance> {
  const { headersMsMax, requestMsMax } = options.arrival ?? ARRIVAL
  const { front, serverFactory } = openFront(options.connections)
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.bodyBytesMax,
    requestTimeout: requestMsMax,
    serverFactory,
    genReqId: options.requestId ?? requestIds(),
    // Each server has its own.
    clientErrorHandler: () => undefined,
    frameworkErrors: failed,
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: headersMsMax,
      connectionsCheckingInterval: Math.min(TIMES_CHECKED_MS, headersMsMax),
      // Ours is the refusal of a request without Host: Node's has no body.
      requireHostHeader: false,
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAM_LENGTH_MAX },
    forceCloseConnections: 'idle',
    // What comes while we close is refused by our own hook, with a problem document.
    return503OnClosing: false,
    // Values are checked as they were sent: nothing is converted, filled in or dropped.
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        allowUnionTypes: true,
        // For the documentation alone.
        keywords: [SHOWN],
      },
    },
  })
  writeExactly(app)
  app.decorate('front', front)
  app.addHook('onClose', () => front.connections.close())
  readStrictly(app)
  app.addSchema(Problem)
  documentRefusals(app)
  app.setErrorHandler(failed)
  unroutable(app)
  tagAnswers(app)
  observe(app, options)
  demandHttp(app)
  guard(app, options.guards)
  refuseCardNumbers(app)
  if (options.documented) {
    const { webhooks = {}, guards } = options
    await document(app, { ...options, webhooks, keys: guards.keys !== null })
  }
  return app
}

/** Ids for requests: the caller's own if it is harmless in a log, otherwise short and unique. */
export function requestIds(): (request: {
  headers: Record<string, string | string[] | undefined>
}) => string {
  const prefix = randomBytes(6).toString('hex')
  let count = 0
  return (request) => {
    const given = request.headers['x-request-id']
    if (typeof given === 'string' && /^[\w-]{1,64}$/.test(given)) return given
    count += 1
    return `${prefix}-${count.toString(36)}`
  }
}

/**
 * One writer for every answer. The serializers that the framework makes of the schemas turn numbers
 * into floats, which lose the cents of large totals; the schemas describe the answers and no more.
 */
function writeExactly(app: FastifyInstance): void {
  app.setSerializerCompiler(() => writeJson)
  app.setReplySerializer(writeJson)
}

/** One media type, read by our own strict reader. */
function readStrictly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    (request: FastifyRequest, body: Buffer, done) => {
      if (!isUtf8(request)) return done(refusal('media_type_unsupported'))
      if (body.length === 0)
        return done(demandsBody(request) ? refusal('body_unreadable', 'empty') : null)
      const json = readJson(body)
      if (!json.ok) return done(refusal(json.code, json.why))
      done(null, json.value)
    },
  )
}

const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]*)/gi

function isUtf8(request: FastifyRequest): boolean {
  const { 'content-encoding': encoding, 'content-type': type = '' } = request.headers
  if (encoding !== undefined && encoding !== 'identity') return false
  if (type === 'application/json') return true
  // Every one that is named: of two charsets another reader may believe the other.
  const charsets = type.matchAll(CHARSET)
  return [...charsets].every(([, charset = '']) => /^utf-?8$/i.test(charset))
}

/** Many clients name a type with every request: what asks for no body is not the worse for it. */
function demandsBody({ routeOptions }: FastifyRequest): boolean {
  const body = routeOptions.schema?.body
  // A body that may be left out has a default.
  return typeof body === 'object' && body !== null && !('default' in body)
}

function refusal(code: string, why?: string): Error {
  return Object.assign(new Error(code), { refusal: code, why })
}

function observe(app: FastifyInstance, options: ServerOptions): void {
  // Hooks with a callback: a promise for each would cost a tenth of a small request.
  app.addHook('onSend', (request, reply, _payload, done) => {
    void reply.header('x-request-id', request.id)
    // The documentation brings its own policy, and files their own lifetime.
    for (let index = 0; index < SAFE_HEADERS.length; index += 2) {
      const name = SAFE_HEADERS[index] ?? ''
      if (!reply.hasHeader(name)) void reply.header(name, SAFE_HEADERS[index + 1])
    }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none'
    options.onAnswer(request.method, route, reply.statusCode, reply.elapsedTime)
    request.log.debug(
      {
        method: request.method,
        route,
        status: reply.statusCode,
        took_ms: Math.round(reply.elapsedTime),
      },
      'answered',
    )
    done()
  })
}
