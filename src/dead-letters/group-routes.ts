import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { refusals } from '../http/problem.ts'
import { NO_QUERY } from '../http/page.ts'
import {
  CarriedTypes,
  missingBody,
  MissingShards,
  Money,
  OfCurrency,
  Time,
} from '../http/schemas.ts'
import { LetterClass } from './bodies.ts'
import type { LetterGroups } from './list.ts'
import type { LetterGroup } from './list-store.ts'

const GroupBody = Type.Object(
  {
    class: LetterClass,
    error: Type.String(),
    payment_type: CarriedTypes,
    currency: OfCurrency,
    count: Type.Integer(),
    amount: Money('What they come to.'),
    oldest_at: Time,
    newest_at: Time,
  },
  { title: 'DeadLetterGroup' },
)

const GROUPS = {
  tags: ['Dead letters'],
  operationId: 'groupDeadLetters',
  summary: 'Open dead letters by their cause',
  description:
    'How many there are of each class, error, type of payment and currency, and what they come ' +
    'to; the largest groups first. `POST /dlq/redrive` takes class, error and type as a filter.',
  querystring: NO_QUERY,
  response: {
    200: Type.Object(
      { data: Type.Array(GroupBody), missing_shards: MissingShards },
      { title: 'DeadLetterGroups' },
    ),
    ...refusals(400, 503),
  },
}

interface GroupRoutes {
  /** The currency of the books. */
  readonly books: string
  readonly read: () => Promise<LetterGroups>
}

/** `GET /dlq/groups`. */
export function letterGroupRoutes({ books, read }: GroupRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/dlq/groups', { schema: GROUPS }, async (_request, reply) => {
      const { known, missing } = await read()
      return reply.send({
        data: known.map((group) => groupBody(group, books)),
        ...missingBody(missing),
      })
    })
  }
}

function groupBody(group: LetterGroup, books: string) {
  const { error, type, count, amount, oldestAt, newestAt } = group
  return {
    class: group.class,
    error,
    payment_type: type,
    currency: group.currency ?? books,
    count,
    amount: toWire(amount, exponentIn(group.currency, books)),
    oldest_at: oldestAt.toISOString(),
    newest_at: newestAt.toISOString(),
  }
}
