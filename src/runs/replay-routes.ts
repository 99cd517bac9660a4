import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from 'typebox'
import { ActHeaders, ActorHeaders, actorOf, readActing } from '../http/actor.ts'
import { API } from '../http/paths.ts'
import type { Refusal } from '../domain/refusal.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import { NO_QUERY } from '../http/page.ts'
import type { Db } from '../ports.ts'
import { ReplayFilterBody, replayPlanBody, ReplayPlanBody } from '../webhooks/replay-plan-bodies.ts'
import { readEndpoint, type Endpoint } from '../webhooks/store.ts'
import {
  planReplay,
  readReplay,
  REPLAY_RATE_DEFAULT,
  changedReplay,
  replaysOf,
  type ReplayRequest,
} from './events.ts'
import { parseTimes, planRequest, refuseTime, startRequest } from './bodies.ts'
import { ReplayBody, replayBody, ReplayStarted } from './replay-bodies.ts'
import { cancel, start, startedBefore } from './run.ts'

type App = Parameters<FastifyPluginAsyncTypebox>[0]

const PATH = '/webhook-endpoints/:id/replays'
const tags = ['Events']

const WORDS = {
  title: 'Replay',
  items: 'events',
  dryRun: 'send nothing',
  start: 'send exactly the events of a snapshot again',
  rate: REPLAY_RATE_DEFAULT,
}

const OneReplay = Type.Object({
  ...IdParams('The endpoint.').properties,
  replay: IdParams('The replay.').properties.id,
})

const START = {
  tags,
  operationId: 'replayWebhookEvents',
  summary: 'Send events of a time to an endpoint again',
  description:
    'In two steps. `{"filter": …, "dry_run": true}` answers 200 with how many events match, and ' +
    'a snapshot. `{"snapshot": …, "reason": …}` answers 202 and sends exactly those events ' +
    'again, so many per second, whether they have arrived or not, under the same ids and with ' +
    'the same bytes as before. Events that are no longer kept cannot be sent, and nothing is ' +
    'sent to an endpoint that is disabled: enable it first. A replay waits while its endpoint is ' +
    'not called, and ends when that is removed.',
  headers: ActHeaders,
  params: IdParams('The endpoint.'),
  body: Type.Union([planRequest(ReplayFilterBody, WORDS), startRequest(WORDS)], {
    title: 'ReplayWebhookEventsRequest',
    examples: [
      { filter: { created_after: '2030-01-31T12:00:00Z', only: 'undelivered' }, dry_run: true },
      { snapshot: 1, reason: 'The shop lost a day', rate_per_second: 100 },
    ],
  }),
  response: {
    200: ReplayPlanBody,
    202: ReplayStarted,
    ...refusals(400, 404, 409, 413, 415, 422, 503),
  },
}

const LIST = {
  tags,
  operationId: 'listWebhookReplays',
  summary: 'List the replays of an endpoint, newest first',
  description: 'The newest 100 that were started, also of an endpoint that was removed.',
  params: IdParams('The endpoint.'),
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(ReplayBody) }, { title: 'WebhookReplays' }),
    ...refusals(400, 404, 503),
  },
}

const READ = {
  tags,
  operationId: 'getWebhookReplay',
  summary: 'See how far a replay has come',
  params: OneReplay,
  response: { 200: ReplayBody, ...refusals(404, 503) },
}

const CANCEL = {
  tags,
  operationId: 'cancelWebhookReplay',
  summary: 'Cancel a replay',
  description: 'Events whose turn has not come are not sent; what is on its way goes on.',
  headers: ActorHeaders,
  params: OneReplay,
  response: { 200: ReplayBody, ...refusals(400, 404, 409, 503) },
}

/** The routes of `/webhook-endpoints/{id}/replays`. */
export function replayRoutes({ db }: { readonly db: Db }): FastifyPluginAsyncTypebox {
  return async (app) => {
    startRoute(app, db)
    readRoutes(app, db)
    cancelRoute(app, db)
  }
}

/** An endpoint by the id in a path, if it is called. */
async function calledBy(db: Db, text: string): Promise<Endpoint | Refusal> {
  const id = parseId(text)
  const endpoint = id === null ? null : await readEndpoint(db.global, id)
  if (endpoint === null) return { code: 'endpoint_not_found' }
  return endpoint.url === null ? { code: 'endpoint_not_called' } : endpoint
}

function startRoute(app: App, db: Db): void {
  app.post(PATH, { schema: START }, async (request, reply) => {
    const acting = readActing(request)
    if (!acting.ok) return refuse(reply, acting.refusal)
    const { actor, key } = acting
    const endpoint = await calledBy(db, request.params.id)
    const { body } = request
    if ('filter' in body) {
      if ('code' in endpoint) return refuse(reply, endpoint)
      const asked = parseFilter(body.filter)
      if ('wrong' in asked) return refuseTime(reply, asked.wrong)
      return reply
        .code(200)
        .send(replayPlanBody(endpoint.id, await planReplay(db, endpoint, asked, actor)))
    }
    const endpointId = parseId(request.params.id)
    if (endpointId === null) return refuse(reply, { code: 'endpoint_not_found' })
    const by = {
      actor,
      reason: body.reason,
      requestId: request.id,
      ratePerSecond: body.rate_per_second ?? REPLAY_RATE_DEFAULT,
      under: key === null ? null : { apiKey: request.keyId ?? '', key },
      endpointId,
    }
    const snapshot = BigInt(body.snapshot)
    const answer =
      'code' in endpoint
        ? ((await startedBefore({ db }, snapshot, by)) ?? { kind: 'refused', refusal: endpoint })
        : await start({ db }, snapshot, by)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (answer.replayed) void reply.header('idempotent-replayed', 'true')
    const location = `${API}/webhook-endpoints/${endpointId}/replays/${answer.run.id}`
    void reply.code(202).header('location', location)
    return reply.send(replayBody(await changedReplay(db, answer.run)))
  })
}

function parseFilter(filter: Static<typeof ReplayFilterBody>): ReplayRequest | { wrong: string } {
  const times = parseTimes(filter)
  if ('wrong' in times) return times
  return { types: filter.types ?? null, undelivered: filter.only === 'undelivered', ...times }
}

function readRoutes(app: App, db: Db): void {
  app.get(PATH, { schema: LIST }, async (request, reply) => {
    const id = parseId(request.params.id)
    const replays = id === null ? null : await replaysOf(db, id)
    if (replays === null) return refuse(reply, { code: 'endpoint_not_found' })
    return reply.send({ data: replays.map(replayBody) })
  })
  app.get(`${PATH}/:replay`, { schema: READ }, async (request, reply) => {
    const [id, replayId] = [parseId(request.params.id), parseId(request.params.replay)]
    const replay = id === null || replayId === null ? null : await readReplay(db, id, replayId)
    if (replay === null) return refuse(reply, { code: 'replay_not_found' })
    return reply.send(replayBody(replay))
  })
}

function cancelRoute(app: App, db: Db): void {
  app.post(`${PATH}/:replay/cancel`, { schema: CANCEL }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const [id, replayId] = [parseId(request.params.id), parseId(request.params.replay)]
    if (id === null || replayId === null) return refuse(reply, { code: 'replay_not_found' })
    const answer = await cancel({ db }, replayId, actor, id)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    return reply.send(replayBody(await changedReplay(db, answer.run)))
  })
}
