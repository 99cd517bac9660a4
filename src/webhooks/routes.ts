import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { urlProblem } from '../domain/webhook.ts'
import { ActorHeaders, actorOf } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import {
  EndpointBody,
  endpointBody,
  EndpointDraft,
  EndpointEdit,
  EndpointMade,
  EndpointRotated,
  RotateBody,
  TestBody,
} from './bodies.ts'
import {
  addEndpoint,
  dropEndpoint,
  editEndpoint,
  rotateSecret,
  testEndpoint,
  type TestWorld,
} from './endpoints.ts'
import { listEndpoints, readEndpoint } from './store.ts'

const PATH = '/webhook-endpoints'
const ONE = `${PATH}/:id`
const tags = ['Events']
const params = IdParams('The endpoint.')
const headers = ActorHeaders

const CREATE = {
  tags,
  operationId: 'createWebhookEndpoint',
  summary: 'Be told of events',
  description:
    'From the answer on, every event of these types is kept: `GET /events` shows it, and it is ' +
    'sent to the `url`, if there is one. Nothing that happened before is. The `secret` is shown in ' +
    'this answer and nowhere else.',
  headers,
  body: EndpointDraft,
  response: { 201: EndpointMade, ...refusals(400, 409, 422, 503) },
}

const LIST = {
  tags,
  operationId: 'listWebhookEndpoints',
  summary: 'List endpoints',
  response: {
    200: Type.Object({ data: Type.Array(EndpointBody) }, { title: 'WebhookEndpoints' }),
    ...refusals(503),
  },
}

const READ = {
  tags,
  operationId: 'getWebhookEndpoint',
  summary: 'Read an endpoint',
  params,
  response: { 200: EndpointBody, ...refusals(404, 503) },
}

const CHANGE = {
  tags,
  operationId: 'updateWebhookEndpoint',
  summary: 'Change, disable or enable an endpoint',
  params,
  body: EndpointEdit,
  response: { 200: EndpointBody, ...refusals(400, 404, 503) },
}

const REMOVE = {
  tags,
  operationId: 'deleteWebhookEndpoint',
  summary: 'Remove an endpoint',
  description: 'It is not called any more. Events that were kept stay where they are.',
  params,
  response: { 204: Type.Null(), ...refusals(404, 503) },
}

const ROTATE = {
  tags,
  operationId: 'rotateWebhookSecret',
  summary: 'Give an endpoint a new secret',
  params,
  body: RotateBody,
  response: { 200: EndpointRotated, ...refusals(400, 404, 503) },
}

const TEST = {
  tags,
  operationId: 'testWebhookEndpoint',
  summary: 'Send a test message',
  description:
    'A signed message of the type `webhook_endpoint.test` is sent once, on the way that events ' +
    'take, and this answers what came of it. It is no event, and counts for nothing.',
  params,
  response: { 200: TestBody, ...refusals(404, 503) },
}

interface WebhookRoutes extends TestWorld {
  /** Whether a URL may be http to this machine. */
  readonly development: boolean
  readonly newMessageId: () => string
}

/** The routes of `/webhook-endpoints`. */
export function webhookRoutes(world: WebhookRoutes): FastifyPluginAsyncTypebox {
  const { db, key } = world
  return async (app) => {
    app.post(PATH, { schema: CREATE }, async (request, reply) => {
      const actor = actorOf(request)
      if (actor === null) return refuse(reply, { code: 'actor_invalid' })
      const { url = null, types, description = null, payload = 'full' } = request.body
      const problem = url === null ? null : urlProblem(url, world.development)
      if (problem !== null) {
        return refuse(reply, { code: 'url_refused', errors: [{ pointer: '/url', code: problem }] })
      }
      const ordered = request.body.ordered ?? false
      const draft = { url, types, description, payload, ordered }
      const made = await addEndpoint(db, draft, actor, key)
      if (made === null) return refuse(reply, { code: 'endpoints_full' })
      void reply.header('location', `${API}${PATH}/${made.endpoint.id}`)
      return reply.code(201).send({ ...endpointBody(made.endpoint), secret: made.secret })
    })
    app.get(PATH, { schema: LIST }, async (_request, reply) => {
      const endpoints = await listEndpoints(db.global)
      return reply.send({ data: endpoints.map(endpointBody) })
    })
    app.get(ONE, { schema: READ }, async (request, reply) => {
      const id = parseId(request.params.id)
      const endpoint = id === null ? null : await readEndpoint(db.global, id)
      if (endpoint === null) return refuse(reply, { code: 'endpoint_not_found' })
      return reply.send(endpointBody(endpoint))
    })
    app.patch(ONE, { schema: CHANGE }, async (request, reply) => {
      const id = parseId(request.params.id)
      const endpoint = id === null ? null : await editEndpoint(db, id, request.body)
      if (endpoint === null) return refuse(reply, { code: 'endpoint_not_found' })
      return reply.send(endpointBody(endpoint))
    })
    app.delete(ONE, { schema: REMOVE }, async (request, reply) => {
      const id = parseId(request.params.id)
      const dropped = id !== null && (await dropEndpoint(db, id))
      if (!dropped) return refuse(reply, { code: 'endpoint_not_found' })
      return reply.code(204).send(null)
    })
    app.post(`${ONE}/rotate-secret`, { schema: ROTATE }, async (request, reply) => {
      const id = parseId(request.params.id)
      const overlapMs = (request.body.overlap_seconds ?? 86_400) * 1_000
      const rotated = id === null ? null : await rotateSecret(db, id, overlapMs, key)
      if (rotated === null) return refuse(reply, { code: 'endpoint_not_found' })
      return reply.send({ ...endpointBody(rotated.endpoint), secret: rotated.secret })
    })
    app.post(`${ONE}/test`, { schema: TEST }, async (request, reply) => {
      const id = parseId(request.params.id)
      const called = id === null ? null : await testEndpoint(world, id, world.newMessageId())
      if (called === null) return refuse(reply, { code: 'endpoint_not_found' })
      const { status, reason, tookMs, reply: said } = called
      return reply.send({ status, reason, took_ms: tookMs, reply: said })
    })
  }
}
