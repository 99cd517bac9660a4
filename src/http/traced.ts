import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { HttpAnswer } from './answer.ts'
import { API } from './paths.ts'
import type { Span } from '../ports.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Its place in its trace; not there: it is not traced. */
    traceparent?: string
  }
}

/**
 * Begins the span of a request, which its method and route name; `parent` is its `traceparent`,
 * whatever that is. Null: its trace is not kept.
 */
export type TraceRequest = (method: string, route: string, parent: unknown) => Span | null

/** Requests besides those for payments after which a gateway is called. */
const ACTS: ReadonlySet<string> = new Set([
  'GET /payments/:id',
  'POST /payments/:id/refunds',
  'POST /payments/:id/cancel',
  'POST /dlq/:id/redrive',
  'POST /dlq/redrive',
])

/**
 * Put a span around each request after which a gateway is called, and tell its route its place in
 * its trace. Without `trace` nothing is changed.
 */
export function tracedActs(
  { trace }: { readonly trace?: TraceRequest },
  routes: FastifyPluginAsync[],
): FastifyPluginAsync[] {
  return trace === undefined ? routes : routes.map((one) => tracedRoutes(trace, one))
}

function tracedRoutes(trace: TraceRequest, routes: FastifyPluginAsync): FastifyPluginAsync {
  return async (app, options) => {
    const spans = new WeakMap<FastifyRequest, Span>()
    app.addHook('preHandler', (request, _reply, done) => {
      const { method, routeOptions, headers } = request
      const route = (routeOptions.url ?? '').slice(API.length)
      if (ACTS.has(`${method} ${route}`) && (method !== 'GET' || asks(request.query))) {
        const template = route.replace(/:(\w+)/g, '{$1}')
        const span = trace(method, template, headers.traceparent)
        if (span !== null) {
          spans.set(request, span)
          request.traceparent = span.traceparent
        }
      }
      done()
    })
    app.addHook('onResponse', (request, reply, done) => {
      spans.get(request)?.end(endOf(reply.statusCode))
      done()
    })
    await routes(app, options)
  }
}

/** Whether who reads a payment has its gateway asked. */
function asks(query: unknown): boolean {
  return (query as { readonly refresh?: unknown }).refresh === 'true'
}

/** The place of a request in its trace, for what is made of it; nothing where it is not traced. */
export function tracePlace({ traceparent }: FastifyRequest): { readonly traceparent?: string } {
  return traceparent === undefined ? {} : { traceparent }
}

/** End the span of a request with its answer. */
export async function answeredWithin(span: Span, making: Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    const answer = await making
    span.end(endOf(answer.status))
    return answer
  } catch (error) {
    span.end({ failed: (error as Error).name })
    throw error
  }
}

function endOf(status: number) {
  const attributes = { 'http.response.status_code': status }
  return status >= 500 ? { attributes, failed: `http_${status}` } : { attributes }
}
