import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { DETAIL_PATTERNS } from '../domain/details.ts'
import { writeJson } from '../domain/exact-json.ts'
import { refusals, refuse } from '../http/problem.ts'
import { readBelow, writeBelow } from '../http/cursor.ts'
import { Cursor, PAGE_SIZE } from '../http/page.ts'
import {
  IntegerText,
  missingBody,
  MissingShards,
  nullable,
  parseInteger,
  parseSpan,
} from '../http/schemas.ts'
import type { PageOfUsers } from './read.ts'
import { UserBody, userBody } from './routes.ts'
import type { UserFilter } from './view-store.ts'

interface UserListRoutes {
  readonly page: (filter: UserFilter, before: bigint, limit: number) => Promise<PageOfUsers>
}

const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', description }))

const UserPage = Type.Object(
  {
    data: Type.Array(UserBody),
    next_cursor: nullable('string', { description: 'Where the list goes on; null: it has ended.' }),
    incomplete: Type.Boolean({
      description: 'True: a part of the database cannot be read, and its users are left out.',
    }),
    missing_shards: MissingShards,
  },
  { title: 'UserPage' },
)

/** `GET /users`. */
export function userListRoutes({ page }: UserListRoutes): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Users'],
    operationId: 'listUsers',
    summary: 'List users, newest first',
    description:
      'A page of a list with times looks at 10,000 users at most, so it may be short, or empty, ' +
      'although there are more: go on until `next_cursor` is null.',
    querystring: Type.Object(
      {
        external_id: Type.Optional(
          Type.String({
            pattern: DETAIL_PATTERNS.reference,
            description: 'The one user that you call so.',
          }),
        ),
        from: time('Created at this time or later.'),
        to: time('Created before this time.'),
        limit: IntegerText('Users per page.', PAGE_SIZE),
        cursor: Cursor,
      },
      { additionalProperties: false },
    ),
    response: { 200: UserPage, ...refusals(400, 503) },
  }
  return async (app) => {
    app.get('/users', { schema }, async (request, reply) => {
      const { external_id: externalId = null, cursor } = request.query
      const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
      if (!limit.ok) return refuse(reply, limit.refusal)
      const span = parseSpan(request.query)
      if (!span.ok) return refuse(reply, span.refusal)
      const filter = { externalId, ...span.value }
      const list = `users ${writeJson(filter)}`
      const before = readBelow(list, cursor)
      if (before === null) return refuse(reply, { code: 'cursor_invalid' })
      const { users, next, missing } = await page(filter, before, limit.value)
      return reply.send({
        data: users.map(userBody),
        next_cursor: writeBelow(list, next),
        incomplete: missing.length > 0,
        ...missingBody(missing),
      })
    })
  }
}
