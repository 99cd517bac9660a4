import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { SCOPES } from '../domain/api-key.ts'
import { identifyBy, refuseStranger, type Guards } from '../http/auth.ts'
import { refusals, refuse } from '../http/problem.ts'
import { cookieOf, noCookies } from '../http/session-cookie.ts'
import { NO_QUERY } from '../http/page.ts'
import type { Global } from '../ports.ts'
import {
  SessionBody,
  sessionBody,
  shortId,
  ShortId,
  SignInBody,
  WhoBody,
  whoBody,
  type ServiceFacts,
} from './bodies.ts'
import { endSession, listSessions, readSession } from './sessions-store.ts'
import { signIn } from './sessions.ts'

interface SessionRoutes {
  readonly db: Global
  readonly guards: Pick<Guards, 'keys' | 'sessions' | 'wrongKeys' | 'callerOf'>
  readonly service: ServiceFacts
}

const tags = ['Keys']

const WHO = {
  tags,
  operationId: 'getSession',
  summary: 'Who asks, and what they may do',
  description:
    'Answers strangers too: they are told to sign in. A page shows those buttons alone that the ' +
    'scopes allow; what is done is decided by each request.',
  response: { 200: WhoBody, ...refusals(503) },
}

const SIGN_IN = {
  tags,
  operationId: 'signIn',
  summary: 'Sign in with an API key',
  description:
    'Begins a session, whose token is set as a cookie that no script can read. It lasts 12 ' +
    'hours, or one hour without being used, and ends when its key is revoked. What a page asks ' +
    'by itself, with `X-Polling: true`, is no use of it. Requests with the cookie that change ' +
    'something must come from a page of this service (`Sec-Fetch-Site` or `Origin`). Over https ' +
    'only a cookie with the prefix `__Host-` is believed. Programs send the key itself instead. ' +
    'Where no key is needed, no session is begun.',
  body: SignInBody,
  response: { 200: WhoBody, ...refusals(400, 503) },
}

const SIGN_OUT = {
  tags,
  operationId: 'signOut',
  summary: 'Sign out',
  description: 'Ends the session of the cookie, if there is one.',
  response: { 204: Type.Null(), ...refusals(503) },
}

const LIST = {
  tags,
  operationId: 'listSessions',
  summary: 'List who is signed in, newest first',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(SessionBody) }, { title: 'Sessions' }),
    ...refusals(400, 503),
  },
}

const END = {
  tags,
  operationId: 'endSession',
  summary: 'End a session',
  description: 'Every process refuses it within 5 seconds.',
  params: Type.Object({ session: ShortId }),
  response: { 204: Type.Null(), ...refusals(404, 503) },
}

/** `GET`, `POST`, `DELETE /session`; `GET /sessions`, `DELETE /sessions/{session}`. */
export function sessionRoutes(world: SessionRoutes): FastifyPluginAsyncTypebox {
  const { db, guards, service } = world
  const { keys, sessions } = guards
  const everybody = { keyId: null, scopes: SCOPES, session: null }
  const who = async (request: FastifyRequest) => {
    if (keys === null) return everybody
    const { keyId, scopes, sessionId } = request
    if (sessionId === null) return { keyId, scopes, session: null }
    const session = await readSession(db, sessionId)
    return session === null ? STRANGER : { keyId, scopes, session }
  }
  const end = async (id: string) => {
    const ended = await endSession(db, id)
    sessions?.forget(id)
    return ended
  }
  return async (app) => {
    app.get('/session', { schema: WHO }, async (request, reply) =>
      reply.send(whoBody(service, keys !== null, await who(request))),
    )
    app.post('/session', { schema: SIGN_IN }, async (request, reply) => {
      if (keys === null) return reply.send(whoBody(service, false, everybody))
      const known = await identifyBy(keys, request.body.key, request.raw, guards)
      if (!known.ok) return refuseStranger(reply, known.waitMs)
      const { id, token } = await signIn(db, known.id)
      const session = await readSession(db, id)
      void reply.header('set-cookie', cookieOf(token, request.raw))
      const { id: keyId, scopes } = known
      return reply.send(whoBody(service, true, { keyId, scopes, session }))
    })
    app.delete('/session', { schema: SIGN_OUT }, async (request, reply) => {
      if (request.sessionId !== null) await end(request.sessionId)
      return reply.header('set-cookie', noCookies()).code(204).send(null)
    })
    app.get('/sessions', { schema: LIST }, async (request, reply) => {
      const all = await listSessions(db)
      return reply.send({ data: all.map((one) => sessionBody(one, request.sessionId)) })
    })
    app.delete('/sessions/:session', { schema: END }, async (request, reply) => {
      const id = shortId(request.params.session)
      const ended = id !== null && (await end(id))
      return ended ? reply.code(204).send(null) : refuse(reply, { code: 'session_not_found' })
    })
  }
}

const STRANGER = { keyId: null, scopes: null, session: null }
