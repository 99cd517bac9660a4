import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ActHeaders, readActing } from '../http/actor.ts'
import { refusals, refuse } from '../http/problem.ts'
import { Id, IdParams, oneOf, parseId, Reason, REPLAYED_HEADER } from '../http/schemas.ts'
import { cancelUnderKey, type CancelWorld } from './cancel.ts'

const PaymentId = IdParams('The payment id.')

const CANCEL = {
  tags: ['Payments'],
  operationId: 'cancelPayment',
  summary: 'Cancel a payment that was not sent, or that its gateway has not finished',
  description:
    'Ends a payment of which nothing was sent to the gateway as `failed`, with the error ' +
    '`canceled`; its hold is given back. A payment that is `pending` its gateway is asked to ' +
    'end, and only its word does: without one it is refused with 409 `not_ended`, and goes on. ' +
    'One that is being sent, or may have been, is refused with 409 `in_flight`. One that was ' +
    'canceled before is answered the same.',
  headers: ActHeaders,
  params: PaymentId,
  body: Type.Object(
    { reason: Reason },
    {
      title: 'CancelRequest',
      additionalProperties: false,
      examples: [{ reason: 'Ordered by mistake' }],
    },
  ),
  response: {
    200: Type.Object(
      { payment_id: Id, user_id: Id, status: oneOf(['failed']), last_error: oneOf(['canceled']) },
      {
        title: 'CanceledPayment',
        headers: REPLAYED_HEADER,
        examples: [{ payment_id: 1, user_id: 1, status: 'failed', last_error: 'canceled' }],
      },
    ),
    ...refusals(400, 404, 409, 413, 415, 422, 503),
  },
}

/** `POST /payments/{id}/cancel`. */
export function cancelRoutes(world: CancelWorld): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post('/payments/:id/cancel', { schema: CANCEL }, async (request, reply) => {
      const acting = readActing(request)
      if (!acting.ok) return refuse(reply, acting.refusal)
      const { actor, key } = acting
      const id = parseId(request.params.id)
      if (id === null) return refuse(reply, { code: 'payment_not_found' })
      const { reason } = request.body
      const by = { actor, reason, requestId: request.id, redriveId: null }
      // Its gateway is asked by this request.
      const asking = { ...world, end: () => world.end(id, request.traceparent) }
      const { answer, replayed } = await cancelUnderKey(asking, { id, key }, by)
      if (answer.kind === 'refused') return refuse(reply, answer.refusal)
      if (replayed) void reply.header('idempotent-replayed', 'true')
      return reply.send({
        payment_id: Number(id),
        user_id: Number(answer.userId),
        status: 'failed',
        last_error: 'canceled',
      })
    })
  }
}
