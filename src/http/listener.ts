import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import { keepConnections, type ConnectionOptions, type Connections } from './connections.ts'
import { refuseSocket, unreadableSocket } from './socket-refusals.ts'

/** Where requests go when they have been counted. */
interface Front {
  /** The framework at first; what answers before it puts itself in front. */
  handle: RequestListener
  readonly connections: Connections
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly front: Front
  }
}

/**
 * Make the servers of a process. The framework asks for one for each address that it listens on,
 * such as both of `localhost`, so whatever a server needs is given to it here.
 */
export function openFront(limits: ConnectionOptions) {
  const connections = keepConnections(limits)
  const front: Front = { handle: () => undefined, connections }
  const serverFactory = (
    handler: RequestListener,
    { http, keepAliveTimeout, requestTimeout }: ServerOptions & { readonly http?: ServerOptions },
  ): Server => {
    front.handle = handler
    const server = createServer({ ...http, keepAliveTimeout, requestTimeout })
    connections.attach(server)
    const take: RequestListener = (request, response) => {
      if (connections.take(request, response)) front.handle(request, response)
    }
    server.on('request', take)
    server.on('checkExpectation', take)
    server.on('clientError', unreadableSocket)
    server.on('connect', (_request, socket) => refuseSocket(socket, 'method_not_allowed'))
    return server
  }
  return { front, serverFactory }
}
