import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Face, FaceRequest } from './face.ts'
import type { Reply } from './replies.ts'

/** How a vendor's API is spoken over HTTP. */
interface Speech {
  /** The first part of all its paths. */
  readonly version: string
  /** The header that carries keys, in lower case. */
  readonly keyHeader: string
  /** What bodies are; `*`: anything, so that a malformed one is answered in the vendor's words. */
  readonly bodies: string
}

/** A face over HTTP, at its version as at the vendor. */
export function faceRoutes(
  face: Face,
  { version, keyHeader, bodies }: Speech,
  play: (reply: FastifyReply, how: Reply) => void,
): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(bodies, { parseAs: 'string' }, (_request, body, done) => {
      done(null, body)
    })
    const schema = { hide: true }
    const handle = (request: FastifyRequest, reply: FastifyReply) =>
      play(reply, face.answer(asked(request, keyHeader)))
    app.get(`/${version}/*`, { schema }, handle)
    app.post(`/${version}/*`, { schema }, handle)
  }
}

function asked(
  { method, params, body, headers, url }: FastifyRequest,
  keyHeader: string,
): FaceRequest {
  // The route has a wildcard and no other parameter.
  const path = (params as Readonly<Record<'*', string>>)['*']
  const key = headers[keyHeader]
  return {
    method: method === 'POST' ? 'POST' : 'GET',
    path,
    query: url.split('?', 2)[1] ?? '',
    text: typeof body === 'string' ? body : '',
    key: typeof key === 'string' ? key : null,
    authorization: headers.authorization ?? null,
  }
}
