import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { readDetails } from '../domain/details.ts'
import { parseDecimal, parseMoney, type Decimal } from '../domain/money.ts'
import type { RefundAnswer, RefundDraft } from '../domain/refund.ts'
import { sentFields } from '../domain/sent-fields.ts'
import { ActHeaders, readActing } from '../http/actor.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse, send } from '../http/problem.ts'
import {
  Amount,
  Id,
  IdempotencyHeaders,
  IdParams,
  MADE_HEADERS,
  Money,
  oneOf,
  parseId,
  Reason,
  REPLAYED_HEADER,
  ReturnKinds,
} from '../http/schemas.ts'
import { MetadataField, ReferenceField } from '../http/texts.ts'
import { tracePlace } from '../http/traced.ts'
import { respondRefund } from './api.ts'
import { exponentsOf } from './exponents.ts'
import { returnUnderKey, type ReturnWorld } from './returns.ts'

interface RefundRoutes extends ReturnWorld {
  /** Accept one refund; concurrent calls are joined into batches. */
  readonly refund: (draft: RefundDraft) => Promise<RefundAnswer>
}

const PaymentId = IdParams('The payment id.')

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** `POST /payments/{id}/refunds`, `POST /payments/{id}/returns`. */
export function refundRoutes(world: RefundRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    refundRoute(app, world)
    returnRoute(app, world)
  }
}

const AcceptedRefund = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    parent_id: Id,
    status: oneOf(['processing'], { description: 'Ask for the payment to see more.' }),
    refund: Money('What goes back.'),
  },
  {
    title: 'AcceptedRefund',
    headers: MADE_HEADERS,
    examples: [{ payment_id: 9, user_id: 1, parent_id: 1, status: 'processing', refund: 50 }],
  },
)

const REFUND = {
  tags: ['Payments'],
  operationId: 'createRefund',
  summary: 'Refund a deposit',
  description:
    'Gives a part of a successful deposit back, or all that is left of it. A refund is a ' +
    'payment of its own, of type `refund`; there may be several. What it costs the user is held ' +
    'at once, or refused with 402; more than is left is refused with 409 `not_refundable`. Its ' +
    'description is the `reason`; a `reference` is unique among all payments of the user.',
  headers: IdempotencyHeaders,
  params: PaymentId,
  body: Type.Object(
    {
      amount: Type.Optional(Amount('What to give back; without it, all that is left.', [50])),
      reason: Reason,
      reference: ReferenceField,
      metadata: MetadataField,
    },
    {
      title: 'RefundRequest',
      additionalProperties: false,
      examples: [{ amount: 50, reason: 'Returned by the customer', reference: 'return-17' }],
    },
  ),
  response: {
    202: AcceptedRefund,
    ...refusals(400, 402, 404, 409, 413, 415, 422, 503),
  },
}

function refundRoute(app: App, { refund }: RefundRoutes): void {
  app.post('/payments/:id/refunds', { schema: REFUND }, async (request, reply) => {
    const key = keyOfHeaders(request.raw)
    if (!key.ok) return refuse(reply, { code: 'idempotency_key_invalid' })
    const parentId = parseId(request.params.id)
    if (parentId === null) return refuse(reply, { code: 'payment_not_found' })
    const { amount, reason, ...said } = request.body
    const read = amount === undefined ? null : parseDecimal(amount)
    if (read !== null && !read.ok) {
      const code = read.problem
      return refuse(reply, { code, errors: [{ field: 'amount', code }] })
    }
    const texts = readDetails(said)
    if (!texts.ok) return refuse(reply, texts.refusal)
    const decimal = read?.decimal ?? null
    const sent = { ...texts.sent, ...sentFields({ amount: textOf(decimal), reason }) }
    const answer = await refund({
      parentId,
      amount: decimal,
      idempotencyKey: key.key,
      reason,
      reference: texts.details?.reference ?? null,
      metadata: texts.details?.metadata ?? null,
      sent,
      ...tracePlace(request),
    })
    return send(reply, respondRefund(answer, request.id))
  })
}

/** An amount as one text, however it was spelled; null: it was not given. */
function textOf(decimal: Decimal | null): string | null {
  return decimal === null ? null : `${decimal.unscaled}e-${decimal.scale}`
}

const Booked = Type.Object(
  {
    payment_id: Type.Integer({ description: 'The return, a payment of type `return`.' }),
    parent_id: Id,
    booked: Type.Boolean({ description: 'False: it was booked before.' }),
    canceled: Type.Array(Id, {
      description: 'Refunds of the deposit that were never sent, and now never are.',
    }),
  },
  {
    title: 'BookedReturn',
    headers: REPLAYED_HEADER,
    examples: [{ payment_id: 10, parent_id: 1, booked: true, canceled: [] }],
  },
)

const RETURN = {
  tags: ['Payments'],
  operationId: 'createReturn',
  summary: 'Say that a payment came back',
  description:
    'Books money that came back without our doing, under the reference that the gateway gives ' +
    'it: once, however often it is told. A user pays for a charge-back as far as the balance ' +
    'goes, and the rest is a loss. Refunds of the deposit that were never sent are canceled. ' +
    'What may be a refund of ours, in doubt or done without a reference, is refused with 409 ' +
    '`refund_in_doubt`; a return that turns out to be one is taken back when that refund ends.',
  headers: ActHeaders,
  params: PaymentId,
  body: Type.Object(
    {
      kind: ReturnKinds,
      amount: Amount('What came back.', [50]),
      gateway_ref: Type.String({
        pattern: '^[\\x21-\\x7e]{1,200}$',
        description: "The gateway's own reference of the return.",
        examples: ['rt_00000001'],
      }),
      reason: Reason,
      besides_refund: Type.Optional(
        Type.Boolean({
          description:
            'It is none of the refunds of this payment that are in doubt or have no reference: ' +
            'you have compared them at the gateway.',
        }),
      ),
    },
    {
      title: 'ReturnRequest',
      additionalProperties: false,
      examples: [
        {
          kind: 'charged_back',
          amount: 50,
          gateway_ref: 'rt_00000001',
          reason: 'On the statement of 31 January',
        },
      ],
    },
  ),
  response: { 200: Booked, 201: Booked, ...refusals(400, 404, 409, 413, 415, 422, 503) },
}

function returnRoute(app: App, world: RefundRoutes): void {
  app.post('/payments/:id/returns', { schema: RETURN }, async (request, reply) => {
    const acting = readActing(request)
    if (!acting.ok) return refuse(reply, acting.refusal)
    const { actor, key } = acting
    const parentId = parseId(request.params.id)
    if (parentId === null) return refuse(reply, { code: 'payment_not_found' })
    const { kind, amount, gateway_ref: ref, reason } = request.body
    const besidesRefund = request.body.besides_refund ?? false
    const exponent = (await exponentsOf(world.db, [parentId])).get(parentId)
    if (exponent === undefined) return refuse(reply, { code: 'payment_not_found' })
    const money = parseMoney(amount, 1n, exponent)
    if (!money.ok) {
      const code = money.problem
      return refuse(reply, { code, errors: [{ field: 'amount', code }], exponent })
    }
    const by = { actor, reason, requestId: request.id, redriveId: null }
    const draft = { parentId, ref, kind, amount: money.minor, besidesRefund, typed: true } as const
    const { answer, replayed } = await returnUnderKey(world, { draft, key }, by)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (replayed) void reply.header('idempotent-replayed', 'true')
    const booked = answer.kind === 'booked'
    const id = booked ? answer.id : answer.paymentId
    return reply
      .code(booked ? 201 : 200)
      .header('location', `${API}/payments/${id}`)
      .send({
        payment_id: Number(id),
        parent_id: Number(parentId),
        booked,
        canceled: booked ? answer.canceled.map(Number) : [],
      })
  })
}
