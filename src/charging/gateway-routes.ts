import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { OPERATIONS } from '../domain/payment.ts'
import { refusals, refuse } from '../http/problem.ts'
import { missingBody, MissingShards, nullable, oneOf } from '../http/schemas.ts'
import { NO_QUERY } from '../http/page.ts'
import type { Clock, Db, Gateway } from '../ports.ts'
import { askGateway, lookAtGateways, WAITING_MAX, type KnownGateway } from './gateway-look.ts'
import { askedBody, gatewayBody } from './gateway-shown.ts'

interface GatewayWorld {
  readonly db: Db
  readonly clock: Clock
  readonly known: readonly KnownGateway[]
  /** Those that this process can ask. */
  readonly open: ReadonlyMap<string, Gateway>
}

const RouteBody = Type.Object(
  {
    operation: oneOf(OPERATIONS),
    breaker: oneOf(['closed', 'half_open', 'open']),
    misconfigured: Type.Boolean({ description: 'The gateway does not talk to us.' }),
    reason: nullable('string', { description: 'The code of the last failure; null: none counts.' }),
    waiting: Type.Integer({
      description: `Payments that are due within a minute, counted up to ${WAITING_MAX}.`,
    }),
    oldest_due_seconds: nullable('number', { description: 'For how long; null: none is due.' }),
  },
  { title: 'GatewayRoute' },
)

const GatewayBody = Type.Object(
  {
    name: Type.String({ description: 'As `GATEWAYS` names it.' }),
    driver: Type.String(),
    operations: Type.Array(oneOf(OPERATIONS)),
    currencies: Type.Unsafe<readonly string[] | null>({
      type: ['array', 'null'],
      items: { type: 'string' },
      description: 'ISO 4217; null: every currency.',
    }),
    repeats: oneOf(['first_answer', 'executes_once', 'may_execute_again'], {
      description: 'What a repeated key does.',
    }),
    key_life_seconds: Type.Number({ description: 'How long it remembers a key.' }),
    lookup: oneOf(['none', 'eventual', 'consistent']),
    pending_max_seconds: Type.Number({ description: 'Then it is asked to end what is pending.' }),
    rules: Type.Array(Type.String(), { description: 'What of `GATEWAY_ROUTES` leads to it.' }),
    routes: Type.Array(RouteBody),
  },
  { title: 'Gateway' },
)

const AskedBody = Type.Object(
  {
    data: Type.Array(
      Type.Object(
        {
          operation: oneOf(OPERATIONS),
          ok: Type.Boolean({ description: 'It talks to us.' }),
          outcome: Type.String(),
          reason: nullable('string', { description: 'Why it does not, as a code.' }),
          http_status: nullable('integer', { description: 'Null: there was no answer.' }),
          took_ms: Type.Integer(),
        },
        { title: 'GatewayAnswer' },
      ),
    ),
  },
  { title: 'GatewayAnswers' },
)

const tags = ['Gateways']

const LIST = {
  tags,
  operationId: 'listGateways',
  summary: 'The gateways: what they can do, where payments go, how they are',
  querystring: NO_QUERY,
  response: {
    200: Type.Object(
      { data: Type.Array(GatewayBody), missing_shards: MissingShards },
      { title: 'Gateways' },
    ),
    ...refusals(400, 503),
  },
}

const TEST = {
  tags,
  operationId: 'testGateway',
  summary: 'Ask a gateway whether it talks to us',
  description:
    'It is asked about a payment that nobody made, once for each operation that it has. Nothing ' +
    'is charged, and no circuit breaker counts it.',
  params: Type.Object({ name: Type.String({ description: 'As `GATEWAYS` names it.' }) }),
  response: { 200: AskedBody, ...refusals(404) },
}

/** `GET /gateways`, `POST /gateways/{name}/test`. */
export function gatewayRoutes(world: GatewayWorld): FastifyPluginAsyncTypebox {
  const { db, clock, known, open } = world
  return async (app) => {
    app.get('/gateways', { schema: LIST }, async (_request, reply) => {
      const { looks, missing } = await lookAtGateways(db, known)
      return reply.send({ data: looks.map(gatewayBody), ...missingBody(missing) })
    })
    app.post('/gateways/:name/test', { schema: TEST }, async (request, reply) => {
      const gateway = open.get(request.params.name)
      if (gateway === undefined) return refuse(reply, { code: 'gateway_not_found' })
      const asked = await askGateway(gateway, clock)
      return reply.send({ data: asked.map(askedBody) })
    })
  }
}
