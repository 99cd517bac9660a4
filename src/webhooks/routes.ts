import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ActorHeaders, actorOf } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import type { Db } from '../ports.ts'
import { EndpointBody, endpointBody, EndpointDraft, EndpointEdit, EndpointMade } from './bodies.ts'
import { addEndpoint, dropEndpoint, editEndpoint } from './endpoints.ts'
import { listEndpoints, readEndpoint } from './store.ts'

const PATH = '/webhook-endpoints'
const ONE = `${PATH}/:id`
const tags = ['Events']
const params = IdParams('The endpoint.')

const CREATE = {
  tags,
  operationId: 'createWebhookEndpoint',
  summary: 'Subscribe to events',
  description:
    'From the answer on, every event of these types is kept, and `GET /events` shows it. Nothing ' +
    'that happened before is.',
  headers: ActorHeaders,
  body: EndpointDraft,
  response: { 201: EndpointMade, ...refusals(400, 409, 422, 503) },
}

const LIST = {
  tags,
  operationId: 'listWebhookEndpoints',
  summary: 'List subscriptions',
  response: {
    200: Type.Object({ data: Type.Array(EndpointBody) }, { title: 'WebhookEndpoints' }),
    ...refusals(503),
  },
}

const READ = {
  tags,
  operationId: 'getWebhookEndpoint',
  summary: 'Read a subscription',
  params,
  response: { 200: EndpointBody, ...refusals(404, 503) },
}

const CHANGE = {
  tags,
  operationId: 'updateWebhookEndpoint',
  summary: 'Change a subscription',
  params,
  body: EndpointEdit,
  response: { 200: EndpointBody, ...refusals(400, 404, 503) },
}

const REMOVE = {
  tags,
  operationId: 'deleteWebhookEndpoint',
  summary: 'End a subscription',
  description: 'Events that were kept stay where they are.',
  params,
  response: { 204: Type.Null(), ...refusals(404, 503) },
}

/** The routes of `/webhook-endpoints`. */
export function webhookRoutes({ db }: { readonly db: Db }): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(PATH, { schema: CREATE }, async (request, reply) => {
      const actor = actorOf(request)
      if (actor === null) return refuse(reply, { code: 'actor_invalid' })
      const { types, description = null } = request.body
      const endpoint = await addEndpoint(db, { url: null, types, description }, actor)
      if (endpoint === null) return refuse(reply, { code: 'endpoints_full' })
      void reply.header('location', `${API}${PATH}/${endpoint.id}`)
      return reply.code(201).send(endpointBody(endpoint))
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
  }
}
