import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { readDetails, type Edit } from '../domain/details.ts'
import type { Refusal } from '../domain/refusal.ts'
import { ActorHeaders, actorOf } from '../http/actor.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, parseId } from '../http/schemas.ts'
import { orNull } from '../http/texts.ts'
import { DetailProperties } from './bodies.ts'
import type { PaymentView } from './read.ts'
import { PaymentBody, paymentBody } from './routes.ts'

/** How payments are changed. */
export interface EditRoutes {
  /** Change what is said about a payment, and keep who did it; false: there is no such payment. */
  readonly edit: (
    id: bigint,
    edit: Edit,
    by: { readonly actor: string; readonly requestId: string },
  ) => Promise<Refusal | null>
  /** As it is once it has changed. */
  readonly read: (id: bigint) => Promise<PaymentView | null>
}

const description = orNull(DetailProperties.description)
const metadata = orNull(DetailProperties.metadata)

/** `PATCH /payments/{id}`. */
export function editRoutes({ edit, read }: EditRoutes): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Payments'],
    operationId: 'updatePayment',
    summary: 'Change the description or the metadata of a payment',
    description:
      'A field that is left out stays as it is; null takes it away, and metadata is replaced as ' +
      'a whole. Who changed which fields is kept. A repeated `Idempotency-Key` is compared with ' +
      'what was first sent, so a change breaks no retry. The reason of a refund stays: 409 ' +
      '`reason_stays`.',
    headers: ActorHeaders,
    params: IdParams('The payment id.'),
    body: Type.Object(
      { description, metadata },
      {
        title: 'PaymentUpdate',
        additionalProperties: false,
        minProperties: 1,
        examples: [{ description: 'Two tickets', metadata: { shop: 'berlin' } }],
      },
    ),
    response: { 200: PaymentBody, ...refusals(400, 404, 409, 413, 415, 422, 503) },
  }
  return async (app) => {
    app.patch('/payments/:id', { schema }, async (request, reply) => {
      const actor = actorOf(request)
      if (actor === null) return refuse(reply, { code: 'actor_invalid' })
      const id = parseId(request.params.id)
      if (id === null) return refuse(reply, { code: 'payment_not_found' })
      const given = Object.entries(request.body)
      const texts = readDetails(Object.fromEntries(given.filter(([, value]) => value !== null)))
      if (!texts.ok) return refuse(reply, texts.refusal)
      const change = Object.fromEntries(
        given.map(([name]) => [name, texts.details?.[name as keyof Edit] ?? null]),
      ) as Edit // Of the two names that the schema lets through.
      const by = { actor, requestId: request.id }
      const refusal = await edit(id, change, by)
      if (refusal !== null) return refuse(reply, refusal)
      const view = await read(id)
      if (view === null) return refuse(reply, { code: 'payment_not_found' })
      return reply.send(paymentBody(view))
    })
  }
}
