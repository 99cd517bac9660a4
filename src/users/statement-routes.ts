import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IdParams, Money, OfCurrency, oneOf, parseId, Time } from '../http/schemas.ts'
import type { ShownUser } from './read.ts'

const PERIODS = ['month', 'day'] as const

const PeriodBody = Type.Object(
  {
    from: Time,
    entries: Type.Integer({ description: 'Journal entries.' }),
    opening: Money("What was the user's, held or not, when it began."),
    credited: Money('What entries added to it.'),
    debited: Money('What entries took from it: 0 or less.'),
    commission: Money('What of that was commission earned.'),
    closing: Money('What it came to at the end.'),
    available: Money('What of it could be spent then.'),
  },
  { title: 'StatementPeriod' },
)

const StatementBody = Type.Object(
  {
    currency: OfCurrency,
    by: oneOf(PERIODS, { title: 'StatementBy' }),
    complete: Type.Boolean({
      description: 'False: there are more entries than are added up; the oldest are left out.',
    }),
    periods: Type.Array(PeriodBody, { description: 'Those with entries, the newest first.' }),
  },
  { title: 'Statement' },
)

const READ = {
  tags: ['Users'],
  operationId: 'getStatement',
  summary: "A user's account by month or day",
  description:
    'Each period with entries, in UTC: what it began with, what changed it and what it ended ' +
    'with. A withdrawal leaves the account when it succeeds; until then it is held.',
  params: IdParams('The user id.'),
  querystring: Type.Object(
    { by: Type.Optional(oneOf(PERIODS, { description: '`month` if left out.' })) },
    { additionalProperties: false },
  ),
  response: { 200: StatementBody, ...refusals(400, 404, 503) },
}

/** What a statement is made of. */
interface Account {
  readonly complete: boolean
  readonly periods: readonly {
    readonly from: Date
    readonly entries: number
    readonly opening: bigint
    readonly credited: bigint
    readonly debited: bigint
    readonly fees: bigint
    readonly closing: bigint
    readonly available: bigint
  }[]
}

interface StatementRoutes {
  readonly user: (id: bigint) => Promise<ShownUser | null>
  readonly account: (id: bigint, by: 'month' | 'day') => Promise<Account>
}

/** `GET /users/{id}/statement`. */
export function statementRoutes({ user, account }: StatementRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/users/:id/statement', { schema: READ }, async (request, reply) => {
      const id = parseId(request.params.id)
      const owner = id === null ? null : await user(id)
      if (id === null || owner === null) return refuse(reply, { code: 'user_not_found' })
      const { by = 'month' } = request.query
      const { periods, complete } = await account(id, by)
      const exponent = exponentIn(owner.currency, owner.currency)
      const money = (minor: bigint) => toWire(minor, exponent)
      return reply.send({
        currency: owner.currency,
        by,
        complete,
        periods: periods.map((period) => ({
          from: period.from.toISOString(),
          entries: period.entries,
          opening: money(period.opening),
          credited: money(period.credited),
          debited: money(period.debited),
          commission: money(period.fees),
          closing: money(period.closing),
          available: money(period.available),
        })),
      })
    })
  }
}
