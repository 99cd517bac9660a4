import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Reply } from './replies.ts'
import type { StripeFace } from './stripe-face.ts'

/** The face over HTTP, at `/v1/` as at Stripe: forms in, JSON out. */
export function stripeRoutes(
  face: StripeFace,
  play: (reply: FastifyReply, how: Reply) => void,
): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers()
    const form = 'application/x-www-form-urlencoded'
    app.addContentTypeParser(form, { parseAs: 'string' }, (_request, body, done) => {
      done(null, body)
    })
    const schema = { hide: true }
    app.get('/v1/*', { schema }, (request, reply) => play(reply, face.answer(asked(request))))
    app.post('/v1/*', { schema }, (request, reply) => play(reply, face.answer(asked(request))))
  }
}

function asked({ method, params, body, headers, url }: FastifyRequest) {
  // The route has a wildcard and no other parameter.
  const path = (params as Readonly<Record<'*', string>>)['*']
  const key = headers['idempotency-key']
  const text = typeof body === 'string' ? body : (url.split('?', 2)[1] ?? '')
  return {
    method: method === 'POST' ? 'POST' : 'GET',
    path,
    text,
    key: typeof key === 'string' ? key : null,
    authorization: headers.authorization ?? null,
  } as const
}
