import type { FastifyPluginAsync } from 'fastify'
import { Type } from 'typebox'
import { refusals, send } from '../http/problem.ts'
import { NOTICE_BYTES_MAX, type NoticeDesk } from './notice-desk-routes.ts'

const schema = {
  tags: ['Gateways'],
  operationId: 'sendGatewayNotice',
  summary: 'What a gateway sends by itself',
  description:
    'For the gateway alone, whose own signature or address is checked; no API key is asked for. ' +
    'A notice never ends a payment: the payment that it names is asked about sooner. What is ' +
    'signed by nobody is looked into fifty times a second at most for each gateway, and five ' +
    'times for each caller that is not known to be the gateway.',
  params: Type.Object({
    name: Type.String({ description: 'The gateway, as `GATEWAYS` names it.' }),
  }),
  response: {
    200: Type.Object({ received: Type.Literal(true) }, { title: 'NoticeTaken' }),
    ...refusals(400, 404, 413, 429, 503),
  },
}

/** `POST /gateways/{name}/notices`. */
export function noticeRoutes({ callerOf, ...desk }: NoticeDesk): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    const options = { schema, bodyLimit: NOTICE_BYTES_MAX }
    // Before any of the body is read.
    app.addHook<{ Params: { name: string } }>('onRequest', async (request, reply) => {
      const length = Number(request.headers['content-length'] ?? NOTICE_BYTES_MAX)
      const entered = desk.enter(request.params.name, callerOf(request.raw), length)
      if (typeof entered !== 'function') return send(reply, desk.answer(entered, request.id))
      reply.raw.once('close', entered)
      return undefined
    })
    app.post<{ Params: { name: string } }>(PATH, options, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const sent = { headers: request.headers, body }
      const taken = await desk.take(request.params.name, callerOf(request.raw), sent)
      return send(reply, desk.answer(taken, request.id))
    })
  }
}

const PATH = '/gateways/:name/notices'
