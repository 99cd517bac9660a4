import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from './problem.ts'

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
