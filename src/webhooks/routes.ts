import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { urlProblem, type UrlTerms } from '../domain/webhook-url.ts'
import { ActHeaders, ActorHeaders, actorOf, readActing } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import { NO_QUERY } from '../http/page.ts'
import type { Db } from '../ports.ts'
import { actsOfEndpoint } from './endpoint-acts-store.ts'
import {
  bodyOrNone,
  EndpointActBody,
  endpointActBody,
  EndpointBody,
  endpointBody,
  EndpointChanged,
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
import { untilCalledAnew } from './deliver.ts'
import { pausesOf, type Pauses } from './pauses.ts'
import { replayPlanBody, type FoundEvents } from './replay-plan-bodies.ts'
import { listEndpoints, readEndpoint, type Endpoint } from './store.ts'

const PATH = '/webhook-endpoints'
const ONE = `${PATH}/:id`
const tags = ['Events']
const params = IdParams('The endpoint.')

const CREATE = {
  tags,
  operationId: 'createWebhookEndpoint',
  summary: 'Be told of events',
  description:
    'From the answer on, every event of these types is kept: `GET /events` shows it, and it is ' +
    'sent to the `url`, if there is one. Nothing that happened before is. The `secret` is shown ' +
    'in this answer and nowhere else. Under an `Idempotency-Key`, which belongs to the API key, ' +
    'one endpoint is made: the same request again is answered with it as it is now, and with ' +
    'its secret until that is rotated.',
  headers: ActHeaders,
  body: EndpointDraft,
  response: { 201: EndpointMade, ...refusals(400, 404, 409, 422, 503) },
}

const LIST = {
  tags,
  operationId: 'listWebhookEndpoints',
  summary: 'List endpoints',
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(EndpointBody) }, { title: 'WebhookEndpoints' }),
    ...refusals(400, 503),
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
  description:
    'Another URL and `disabled` are answered a second after they are stored: from the answer on ' +
    'no process begins a call of the endpoint as it was.',
  headers: ActorHeaders,
  params,
  body: EndpointEdit,
  response: { 200: EndpointChanged, ...refusals(400, 404, 409, 422, 503) },
}

const REMOVE = {
  tags,
  operationId: 'deleteWebhookEndpoint',
  summary: 'Remove an endpoint',
  description:
    'Answered a second after it is stored: from the answer on no process begins a call of it. ' +
    'Events that were kept stay where they are. One that was removed before is removed: 204 again.',
  headers: ActorHeaders,
  params,
  response: { 204: Type.Null(), ...refusals(400, 404, 503) },
}

const ROTATE = {
  tags,
  operationId: 'rotateWebhookSecret',
  summary: 'Give an endpoint a new secret',
  description:
    'The answer shows it this once, a second after it is stored. It signs from then on, and each ' +
    'secret before it for as long as its own overlap lasts, up to ten in all. Without a body the ' +
    'overlap is a day. Is the answer lost, do it again: what receivers have goes on to verify.',
  headers: ActorHeaders,
  params,
  body: RotateBody,
  response: { 200: EndpointRotated, ...refusals(400, 404, 409, 503) },
}

const TEST = {
  tags,
  operationId: 'testWebhookEndpoint',
  summary: 'Send a test message',
  description:
    'A signed message of the type `webhook_endpoint.test` is sent once, on the way that events ' +
    'take, and this answers what came of it, after 15 seconds at the latest. It is no event, and ' +
    'counts for nothing.',
  params,
  response: { 200: TestBody, ...refusals(404, 409, 503) },
}

const RECORD = {
  tags,
  operationId: 'listWebhookEndpointActs',
  summary: 'List what was done to an endpoint, newest first',
  description: 'The newest 100, also of an endpoint that was removed.',
  params,
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(EndpointActBody) }, { title: 'WebhookEndpointActs' }),
    ...refusals(400, 404, 503),
  },
}

interface WebhookRoutes extends TestWorld {
  readonly urls: UrlTerms
  readonly newMessageId: () => string
  /** Find what an endpoint has missed that was to be enabled; null: it was not disabled. */
  readonly findMissed: (
    before: Endpoint,
    endpoint: Endpoint,
    actor: string,
  ) => Promise<FoundEvents | null>
}

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** The routes of `/webhook-endpoints`. */
export function webhookRoutes(world: WebhookRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    createRoute(app, world)
    readRoutes(app, world)
    changeRoutes(app, world)
    secretRoutes(app, world)
  }
}

function createRoute(app: App, { db, key, urls }: WebhookRoutes): void {
  app.post(PATH, { schema: CREATE }, async (request, reply) => {
    const acting = readActing(request)
    if (!acting.ok) return refuse(reply, acting.refusal)
    const { url = null, types, description = null, payload = 'full' } = request.body
    const problem = url === null ? null : urlProblem(url, urls)
    if (problem !== null) return refuseUrl(reply, problem)
    const { ordered = false, rate_per_second: ratePerSecond = null } = request.body
    const draft = { url, types, description, payload, ordered, ratePerSecond }
    const under = acting.key === null ? null : { apiKey: request.keyId ?? '', key: acting.key }
    const by = { actor: acting.actor, requestId: request.id, under }
    const made = await addEndpoint(db, draft, by, key)
    if (made.kind === 'refused') return refuse(reply, made.refusal)
    if (made.replayed) void reply.header('idempotent-replayed', 'true')
    void reply.header('location', `${API}${PATH}/${made.endpoint.id}`)
    const body = await shown(db, made.endpoint)
    return reply.code(201).send({ ...body, secret: made.secret })
  })
}

/** An endpoint as it is shown. */
async function shown(db: Db, endpoint: Endpoint) {
  return endpointBody(endpoint, await pausesOf(db))
}

function refuseUrl(reply: FastifyReply, problem: string): FastifyReply {
  return refuse(reply, { code: 'url_refused', errors: [{ field: 'url', code: problem }] })
}

function readRoutes(app: App, { db }: WebhookRoutes): void {
  app.get(PATH, { schema: LIST }, async (_request, reply) => {
    const endpoints = await listEndpoints(db.global)
    const pauses: Pauses = endpoints.length === 0 ? new Map() : await pausesOf(db)
    return reply.send({ data: endpoints.map((one) => endpointBody(one, pauses)) })
  })
  app.get(ONE, { schema: READ }, async (request, reply) => {
    const id = parseId(request.params.id)
    const endpoint = id === null ? null : await readEndpoint(db.global, id)
    if (endpoint === null) return refuse(reply, { code: 'endpoint_not_found' })
    return reply.send(await shown(db, endpoint))
  })
  app.get(`${ONE}/acts`, { schema: RECORD }, async (request, reply) => {
    const id = parseId(request.params.id)
    const acts = id === null ? [] : await actsOfEndpoint(db.global, id)
    // Every endpoint was made.
    if (acts.length === 0) return refuse(reply, { code: 'endpoint_not_found' })
    return reply.send({ data: acts.map(endpointActBody) })
  })
}

function changeRoutes(app: App, { db, clock, urls, findMissed }: WebhookRoutes): void {
  app.patch(ONE, { schema: CHANGE }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const { rate_per_second: ratePerSecond, ...given } = request.body
    const { url } = given
    const problem = url === undefined ? null : urlProblem(url, urls)
    if (problem !== null) return refuseUrl(reply, problem)
    const id = parseId(request.params.id)
    const known = id === null ? null : await readEndpoint(db.global, id)
    if (known === null) return refuse(reply, { code: 'endpoint_not_found' })
    if (url !== undefined && known.url === null) {
      return refuse(reply, { code: 'endpoint_not_called' })
    }
    const change = { ...given, ...(ratePerSecond === undefined ? {} : { ratePerSecond }) }
    const by = { actor, requestId: request.id }
    const endpoint = await editEndpoint(db, known.id, change, by)
    if (endpoint === null) return refuse(reply, { code: 'endpoint_not_found' })
    const isElsewhere = url !== undefined || change.state === 'disabled'
    if (isElsewhere && endpoint.url !== null) await untilCalledAnew({ clock })
    const body = await shown(db, endpoint)
    if (change.state !== 'enabled') return reply.send(body)
    // It is enabled, whether what it missed can be counted now or not.
    const plan = await findMissed(known, endpoint, actor).catch((err: unknown) => {
      request.log.warn({ err }, 'what an endpoint missed could not be counted')
      return null
    })
    const missed = plan === null ? {} : { missed: replayPlanBody(endpoint.id, plan) }
    return reply.send({ ...body, ...missed })
  })
  app.delete(ONE, { schema: REMOVE }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const id = parseId(request.params.id)
    const by = { actor, requestId: request.id }
    const known = id === null ? null : await readEndpoint(db.global, id)
    const dropped = id !== null && (await dropEndpoint(db, id, by))
    if (!dropped) return refuse(reply, { code: 'endpoint_not_found' })
    if (known?.url !== null) await untilCalledAnew({ clock })
    return reply.code(204).send(null)
  })
}

function secretRoutes(app: App, world: WebhookRoutes): void {
  const unsaid = { schema: ROTATE, preValidation: bodyOrNone }
  app.post(`${ONE}/rotate-secret`, unsaid, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const id = parseId(request.params.id)
    if (id === null) return refuse(reply, { code: 'endpoint_not_found' })
    const overlapMs = (request.body.overlap_seconds ?? 86_400) * 1_000
    const by = { actor, requestId: request.id }
    const rotated = await rotateSecret(world, id, overlapMs, by)
    if (rotated.kind === 'refused') return refuse(reply, rotated.refusal)
    await untilCalledAnew(world)
    const body = await shown(world.db, rotated.endpoint)
    return reply.send({ ...body, secret: rotated.secret })
  })
  app.post(`${ONE}/test`, { schema: TEST }, async (request, reply) => {
    const id = parseId(request.params.id)
    if (id === null) return refuse(reply, { code: 'endpoint_not_found' })
    const called = await testEndpoint(world, id, world.newMessageId())
    if (called.kind === 'refused') return refuse(reply, called.refusal)
    const { status, reason, tookMs, reply: said } = called
    return reply.send({ status, reason, took_ms: tookMs, reply: said })
  })
}
