import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ActHeaders, readActing } from '../http/actor.ts'
import { refusals, refuse } from '../http/problem.ts'
import { NO_QUERY, PAGE_SIZE } from '../http/page.ts'
import { IdParams, IntegerText, oneOf, parseId, parseInteger } from '../http/schemas.ts'
import { REPLAYED_HEADER } from '../http/schemas.ts'
import type { Db } from '../ports.ts'
import { messageNumber } from '../domain/event.ts'
import {
  AttemptBody,
  attemptBody,
  bodyOrNone,
  DeliveryBody,
  deliveryBody,
  PaymentDeliveryBody,
  RetryBody,
} from './bodies.ts'
import { deliveryAttempts, deliverAgain, newestDeliveries } from './deliveries.ts'
import { deliveriesOfPayment } from './of-payment-store.ts'
import { listEndpoints, readEndpoint } from './store.ts'

const PATH = '/webhook-endpoints/:id/deliveries'

const LIST = {
  tags: ['Events'],
  operationId: 'listWebhookDeliveries',
  summary: 'List the newest deliveries of an endpoint, newest first',
  description: 'With `state`, the newest 10,000 of each shard are looked at.',
  params: IdParams('The endpoint.'),
  querystring: Type.Object(
    {
      state: Type.Optional(oneOf(['pending', 'delivered', 'failed'])),
      limit: IntegerText('Deliveries.', PAGE_SIZE),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({ data: Type.Array(DeliveryBody) }, { title: 'WebhookDeliveries' }),
    ...refusals(400, 404, 503),
  },
}

const OF_PAYMENT = {
  tags: ['Events'],
  operationId: 'listPaymentDeliveries',
  summary: 'List the deliveries of a payment, newest first',
  description:
    'Of its newest 200 events, to each endpoint. There are none where no endpoint with a URL ' +
    'wanted them. Needs a key with the scope `operate`.',
  params: IdParams('The payment.'),
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(PaymentDeliveryBody) }, { title: 'PaymentDeliveries' }),
    ...refusals(400, 404, 503),
  },
}

const OneDelivery = Type.Object({
  ...IdParams('The endpoint.').properties,
  event: Type.String({ description: 'The id of the event.', examples: ['msg_1'] }),
})

const ATTEMPTS = {
  tags: ['Events'],
  operationId: 'listWebhookAttempts',
  summary: 'List the calls of a delivery, newest first',
  params: OneDelivery,
  querystring: NO_QUERY,
  response: {
    200: Type.Object({ data: Type.Array(AttemptBody) }, { title: 'WebhookAttempts' }),
    ...refusals(400, 404, 503),
  },
}

const RETRY = {
  tags: ['Events'],
  operationId: 'retryWebhookDelivery',
  summary: 'Send an event to an endpoint again',
  description:
    'Whether it has arrived or not: at once, and again as if for the first time. After a pause ' +
    'that the endpoint asked for; not while it is disabled. Who asked for it, and why if that ' +
    'was said, is among what was done to the endpoint. Under an `Idempotency-Key`, which belongs ' +
    'to the API key, it is sent again once.',
  headers: ActHeaders,
  params: OneDelivery,
  body: RetryBody,
  response: {
    204: Type.Null({ headers: REPLAYED_HEADER }),
    ...refusals(400, 404, 409, 413, 415, 422, 503),
  },
}

interface DeliveryRoutes {
  readonly db: Db
  /** Whether there is such a payment. */
  readonly exists: (id: bigint) => Promise<boolean>
}

/** The routes of `/webhook-endpoints/{id}/deliveries`, and `GET /payments/{id}/deliveries`. */
export function deliveryRoutes({ db, exists }: DeliveryRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/payments/:id/deliveries', { schema: OF_PAYMENT }, async (request, reply) => {
      const id = parseId(request.params.id)
      if (id === null || !(await exists(id))) return refuse(reply, { code: 'payment_not_found' })
      const deliveries = await deliveriesOfPayment((await db.find('payment', [id])).of(id), id)
      const endpoints = deliveries.length === 0 ? [] : await listEndpoints(db.global)
      const urls = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint.url]))
      return reply.send({
        data: deliveries.map((one) => ({
          endpoint_id: Number(one.endpointId),
          url: urls.get(one.endpointId) ?? null,
          ...deliveryBody(one),
        })),
      })
    })
    app.get(PATH, { schema: LIST }, async (request, reply) => {
      const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
      if (!limit.ok) return refuse(reply, limit.refusal)
      const id = parseId(request.params.id)
      const endpoint = id === null ? null : await readEndpoint(db.global, id)
      if (endpoint === null) return refuse(reply, { code: 'endpoint_not_found' })
      const { state = null } = request.query
      const deliveries = await newestDeliveries(db, endpoint.id, state, limit.value)
      return reply.send({ data: deliveries.map(deliveryBody) })
    })
    app.get(`${PATH}/:event/attempts`, { schema: ATTEMPTS }, async (request, reply) => {
      const attempts = await deliveryAttempts(db, askedIn(request.params))
      if (attempts.kind === 'refused') return refuse(reply, attempts.refusal)
      return reply.send({ data: attempts.calls.map(attemptBody) })
    })
    const unsaid = { schema: RETRY, preValidation: bodyOrNone }
    app.post(`${PATH}/:event/retry`, unsaid, async (request, reply) => {
      const acting = readActing(request)
      if (!acting.ok) return refuse(reply, acting.refusal)
      const { actor, key } = acting
      const under = key === null ? null : { apiKey: request.keyId ?? '', key }
      const by = { actor, requestId: request.id, reason: request.body.reason, under }
      const again = await deliverAgain(db, askedIn(request.params), by)
      if (again.kind === 'refused') return refuse(reply, again.refusal)
      if (again.replayed) void reply.header('idempotent-replayed', 'true')
      return reply.code(204).send(null)
    })
  }
}

function askedIn({ id, event }: { readonly id: string; readonly event: string }) {
  return { endpointId: parseId(id), eventId: messageNumber(event) }
}
