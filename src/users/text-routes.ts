import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { readUserTexts, type Erased, type UserTexts } from '../domain/details.ts'
import type { Refusal } from '../domain/refusal.ts'
import { ActHeaders, ActorHeaders, actorOf, readActing } from '../http/actor.ts'
import { refusals, refuse } from '../http/problem.ts'
import { Id, IdParams, parseId, Reason, REPLAYED_HEADER } from '../http/schemas.ts'
import { MetadataField, orNull } from '../http/texts.ts'
import { UserBody, userBody } from './routes.ts'
import type { ShownUser } from './read.ts'

interface By {
  readonly actor: string
  readonly requestId: string
}

interface EraseAnswer {
  readonly answer:
    | { readonly kind: 'erased'; readonly erased: Erased }
    | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** An earlier request with this key did it. */
  readonly replayed: boolean
}

interface UserTextRoutes {
  readonly read: (id: bigint) => Promise<ShownUser | null>
  /** Change the metadata of a user, and keep who did it; false: there is no such user. */
  readonly edit: (id: bigint, metadata: UserTexts['metadata'], by: By) => Promise<boolean>
  readonly erase: (
    id: bigint,
    by: By & { readonly reason: string },
    key: string | null,
  ) => Promise<EraseAnswer>
}

const UserId = IdParams('The user id.')

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** `PATCH /users/{id}`, `POST /users/{id}/erase`. */
export function userTextRoutes(options: UserTextRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    editRoute(app, options)
    eraseRoute(app, options)
  }
}

function editRoute(app: App, { read, edit }: UserTextRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'updateUser',
    summary: 'Change the metadata of a user',
    description:
      'Metadata is replaced as a whole, and null takes it away. Who changed it is kept. A ' +
      'repeated `Idempotency-Key` is compared with what was first sent, so a change breaks no ' +
      'retry.',
    headers: ActorHeaders,
    params: UserId,
    body: Type.Object(
      { metadata: orNull(MetadataField) },
      {
        title: 'UserUpdate',
        additionalProperties: false,
        minProperties: 1,
        examples: [{ metadata: { shop: 'berlin' } }],
      },
    ),
    response: { 200: UserBody, ...refusals(400, 404, 413, 415, 422, 503) },
  }
  app.patch('/users/:id', { schema }, async (request, reply) => {
    const actor = actorOf(request)
    if (actor === null) return refuse(reply, { code: 'actor_invalid' })
    const id = parseId(request.params.id)
    if (id === null) return refuse(reply, { code: 'user_not_found' })
    const { metadata } = request.body
    const texts = readUserTexts(metadata === null ? {} : { metadata })
    if (!texts.ok) return refuse(reply, texts.refusal)
    const by = { actor, requestId: request.id }
    const isThere = await edit(id, texts.texts?.metadata ?? null, by)
    const user = isThere ? await read(id) : null
    return user === null ? refuse(reply, { code: 'user_not_found' }) : reply.send(userBody(user))
  })
}

const ErasedUser = Type.Object(
  {
    id: Id,
    external_id: Type.Boolean({ description: 'Whether there was one.' }),
    metadata: Type.Boolean({ description: 'Whether there was any.' }),
    payments: Type.Integer({ description: 'Payments about which something was said.' }),
  },
  {
    title: 'ErasedUser',
    headers: REPLAYED_HEADER,
    examples: [{ id: 1, external_id: true, metadata: true, payments: 12 }],
  },
)

function eraseRoute(app: App, { erase }: UserTextRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'eraseUser',
    summary: 'Erase what was said about a user',
    description:
      'Takes away the external id and the metadata of a user, and of all payments reference, ' +
      'description, metadata, payment method and return URL. The books stay as they are, and who ' +
      'erased is kept. While a payment is not final it needs them: 409 `payments_open`.',
    headers: ActHeaders,
    params: UserId,
    body: Type.Object(
      { reason: Reason },
      {
        title: 'EraseRequest',
        additionalProperties: false,
        examples: [{ reason: 'Asked for by the customer, ticket 4711' }],
      },
    ),
    response: { 200: ErasedUser, ...refusals(400, 404, 409, 413, 415, 422, 503) },
  }
  app.post('/users/:id/erase', { schema }, async (request, reply) => {
    const acting = readActing(request)
    if (!acting.ok) return refuse(reply, acting.refusal)
    const { actor, key } = acting
    const id = parseId(request.params.id)
    if (id === null) return refuse(reply, { code: 'user_not_found' })
    const by = { actor, requestId: request.id, reason: request.body.reason }
    const { answer, replayed } = await erase(id, by, key)
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (replayed) void reply.header('idempotent-replayed', 'true')
    const { externalId, metadata, payments } = answer.erased
    return reply.send({ id: Number(id), external_id: externalId, metadata, payments })
  })
}
