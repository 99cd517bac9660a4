import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { writeJson } from '../domain/exact-json.ts'
import { refusalAnswer, type HttpAnswer } from './answer.ts'
import { trusted } from './connections.ts'
import { reportFailure } from './failures.ts'
import { SAFE_HEADERS } from './headers.ts'
import { readJson } from './strict-json.ts'
import { violationOf } from './preconditions.ts'

/**
 * The framework costs as much per request as everything that is done about a payment. So the
 * requests that make up nearly all of the load, small JSON documents without anything unusual about
 * them, are answered on Node's own server. Whatever is not plain in any respect, and every mistake,
 * is handed to the framework as if nobody had looked at it: it alone knows how to say no.
 */
export interface FastRoute {
  /** The whole path; the method is POST. */
  readonly path: string
  /**
   * Answer a request by its parsed body. Null: it is not plain, and nothing was done about it. What
   * is thrown or rejected with is answered like the failure of any route.
   */
  readonly answer: (
    body: unknown,
    request: FastRequest,
    requestId: string,
  ) => Promise<HttpAnswer> | null
}

/** What a route may know of a request beside its body. */
type FastRequest = Pick<IncomingMessage, 'headers' | 'rawHeaders'>

export interface FastPathOptions {
  readonly routes: readonly FastRoute[]
  /** Whether the caller may; false: let the framework say why not. */
  readonly admit: (request: IncomingMessage) => boolean
  /** Answers what is for none of the routes; false: it is nothing of its own. */
  readonly others?: (request: IncomingMessage, response: ServerResponse) => boolean
  readonly requestId: (request: IncomingMessage) => string
  /** False while the process stops. */
  readonly open: () => boolean
  /** Milliseconds that never run backwards. */
  readonly elapsedMs: () => number
  /** Told of every answer, in milliseconds, as the server tells of its own. */
  readonly onAnswer: (method: string, route: string, status: number, ms: number) => void
}

/** Bytes of a plain body: many times what a payment takes. */
const BODY_BYTES_MAX = 1_024
const TYPES = new Set(['application/json', 'application/json; charset=utf-8'])

/** Answer plain requests in front of the framework. */
export function addFastPath(app: FastifyInstance, options: FastPathOptions): void {
  const routes = new Map(options.routes.map((route) => [route.path, route]))
  // Bodies that were read here and turned out not to be plain.
  const bodies = new WeakMap<IncomingMessage, Buffer>()
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const body = bodies.get(request.raw)
    done(null, body === undefined ? payload : Readable.from([body]))
  })

  const { handle: full } = app.front
  app.front.handle = (request, response) => {
    const route = routes.get(request.url ?? '')
    if (!options.open()) return full(request, response)
    if (route === undefined && options.others?.(request, response) === true) return
    if (route === undefined || !isPlain(request)) return full(request, response)
    const startedMs = options.elapsedMs()
    const handOver = (body: Buffer) => {
      bodies.set(request, body)
      full(request, response)
    }
    const respond = (body: Buffer): void => {
      const requestId = options.requestId(request)
      const answered = (given: HttpAnswer) => {
        sendPlain(response, given, requestId)
        const tookMs = options.elapsedMs() - startedMs
        options.onAnswer('POST', route.path, given.status, tookMs)
        logAnswer(app.log, requestId, { route: route.path, status: given.status, tookMs })
      }
      const fail = (error: unknown) => {
        const refusal = reportFailure(error, app.log.child({ reqId: requestId }))
        answered(refusalAnswer(refusal, requestId))
      }
      // A promise fewer than `then(answered).catch(fail)`, for each request.
      const done = (given: HttpAnswer) => {
        try {
          answered(given)
        } catch (error) {
          fail(error)
        }
      }
      try {
        const json = readJson(body)
        const answer = json.ok ? route.answer(json.value, request, requestId) : null
        if (answer === null) handOver(body)
        else answer.then(done, fail)
      } catch (error) {
        fail(error)
      }
    }
    readPlain(request, (body) => {
      if (!options.admit(request)) return handOver(body)
      trusted(request.socket)
      respond(body)
    })
  }
}

/** What the framework's own requests leave in the log. */
export function logAnswer(
  log: FastifyBaseLogger,
  reqId: string,
  { route, status, tookMs }: { route: string; status: number; tookMs: number },
): void {
  log.debug({ reqId, method: 'POST', route, status, took_ms: Math.round(tookMs) }, 'answered')
}

/** Nothing that needs a second look: one small JSON body. */
function isPlain(request: IncomingMessage): boolean {
  return TYPES.has(request.headers['content-type'] ?? '') && isPlainPost(request, BODY_BYTES_MAX)
}

/** One body of a known length up to `bytesMax`, over HTTP/1.1, whatever it is. */
export function isPlainPost(request: IncomingMessage, bytesMax: number): boolean {
  const { method, httpVersion, headers } = request
  const length = Number(headers['content-length'])
  return (
    method === 'POST' &&
    httpVersion === '1.1' &&
    length > 0 &&
    length <= bytesMax &&
    headers['transfer-encoding'] === undefined &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined &&
    headers.upgrade === undefined &&
    violationOf(request) === null
  )
}

/** Node ends the message after as many bytes as its Content-Length says. */
export function readPlain(request: IncomingMessage, onBody: (body: Buffer) => void): void {
  let body: Buffer = Buffer.alloc(0)
  request.on('data', (chunk: Buffer) => {
    body = body.length === 0 ? chunk : Buffer.concat([body, chunk])
  })
  request.once('end', () => onBody(body))
}

/** Write an answer as the framework would. */
export function sendPlain(response: ServerResponse, answer: HttpAnswer, requestId: string): void {
  const text = writeJson(answer.body)
  response.writeHead(answer.status, [
    ...answer.headers,
    'content-length',
    String(Buffer.byteLength(text)),
    'x-request-id',
    requestId,
    ...SAFE_HEADERS,
  ])
  response.end(text)
}
