import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { OPERATIONS } from '../domain/payment.ts'
import { refusals } from '../http/problem.ts'
import {
  Id,
  missingBody,
  MissingShards,
  Money,
  nullable,
  OfCurrency,
  oneOf,
  Time,
} from '../http/schemas.ts'
import type { Overview } from './overview.ts'

const time = (description: string) => nullable('string', { format: 'date-time', description })
const count = (description: string) => Type.Integer({ description })
const ms = Type.Unsafe<number | null>({
  type: ['integer', 'null'],
  description: 'Milliseconds from acceptance to the end; null: nothing ended.',
})

const LATELY = {
  succeeded: Type.Integer(),
  failed: Type.Integer(),
  unknown: Type.Integer(),
  success_share: Type.Unsafe<number | null>({
    type: ['number', 'null'],
    description: 'Of those that ended, 0 to 1; null: none did.',
  }),
  p50_ms: ms,
  p95_ms: ms,
}

const Risk = Type.Object(
  {
    count: Type.Integer(),
    amount: Money('What they come to.'),
    oldest_at: time('Since when the oldest is so; null: there is none.'),
  },
  { title: 'AmountAtRisk' },
)

const Letters = Type.Object(
  { count: Type.Integer(), oldest_at: time('When the oldest was written.') },
  { title: 'OpenLetters' },
)

const Checked = Type.Object(
  {
    verification_id: Type.Integer(),
    ended_at: Time,
    rules: Type.Integer(),
    violations: Type.Integer(),
    complete: Type.Boolean(),
  },
  { title: 'CheckedBooks', description: 'The newest check of its kind; null: there was none.' },
)

const OverviewBody = Type.Object(
  {
    lately: Type.Object(
      {
        seconds: count('How long lately is: four minutes, and what is over of the fifth.'),
        accepted: Type.Integer(),
        accepted_per_second: Type.Number(),
        finished_per_second: Type.Number(),
        ...LATELY,
      },
      { title: 'Lately' },
    ),
    queue: Type.Object(
      {
        due: count('Could be claimed now.'),
        leased: count('A worker has them.'),
        waiting: count('Due later.'),
        oldest_due_at: time('Since when the oldest could be claimed.'),
      },
      { title: 'QueueState' },
    ),
    at_risk: Type.Array(
      Type.Object(
        {
          currency: OfCurrency,
          unknown: Risk,
          pending: Risk,
          held: Money('Held for withdrawals and refunds that are not finished.'),
        },
        { title: 'AtRisk' },
      ),
    ),
    letters: Type.Object({ failed: Letters, unknown: Letters }, { title: 'OpenLettersByClass' }),
    gateways: Type.Array(
      Type.Object(
        {
          gateway: Type.String(),
          operation: oneOf(OPERATIONS),
          breaker: oneOf(['closed', 'half_open', 'open']),
          misconfigured: Type.Boolean(),
          reason: nullable('string'),
          ...LATELY,
        },
        {
          title: 'GatewayState',
          description: 'The breaker is that of the operation; the counts are of the gateway.',
        },
      ),
    ),
    webhooks: Type.Object(
      {
        endpoints: Type.Integer(),
        disabled: Type.Integer(),
        failing: count('Endpoints at which something did not arrive, although it was tried.'),
        deliveries: count('What did not arrive.'),
        oldest_at: time('Since when the oldest of it is on its way.'),
        at: Type.Array(
          Type.Object(
            {
              endpoint_id: Id,
              deliveries: count('What did not arrive there.'),
              oldest_at: Time,
            },
            { title: 'FailingEndpoint' },
          ),
          { description: 'The endpoints that are failing.' },
        ),
      },
      { title: 'WebhooksState' },
    ),
    books: Type.Object(
      {
        recent: Type.Union([Checked, Type.Null()]),
        full: Type.Union([Checked, Type.Null()]),
        running: Type.Unsafe<number | null>({
          type: ['integer', 'null'],
          description: 'The id of the check of everything that runs.',
        }),
      },
      { title: 'BooksState' },
    ),
    worker: oneOf(['ok', 'none'], { description: 'Whether any worker is alive.' }),
    missing_shards: MissingShards,
  },
  { title: 'Overview' },
)

const READ = {
  tags: ['Operations'],
  operationId: 'getOverview',
  summary: 'How the service is, in one answer',
  description: 'Over all processes. It is up to a second old, and what is held up to thirty.',
  response: { 200: OverviewBody, ...refusals(503) },
}

interface OverviewRoutes {
  readonly read: () => Promise<Overview>
  /** The currency of the books. */
  readonly books: string
}

/** `GET /overview`. */
export function overviewRoutes({ read, books }: OverviewRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/overview', { schema: READ }, async (_request, reply) =>
      reply.send(overviewBody(await read(), books)),
    )
  }
}

function overviewBody(found: Overview, books: string) {
  const { seconds, accepted, lately, queue, letters, webhooks } = found
  const { due, leased, waiting, oldestDueAt } = queue
  const { endpoints, disabled, failing, deliveries } = webhooks
  return {
    lately: {
      seconds,
      accepted,
      accepted_per_second: perSecond(accepted, seconds),
      finished_per_second: perSecond(lately.succeeded + lately.failed, seconds),
      ...latelyBody(lately),
    },
    queue: { due, leased, waiting, oldest_due_at: oldestDueAt?.toISOString() ?? null },
    at_risk: found.atRisk.map(({ currency, unknown, pending, held }) => {
      const exponent = exponentIn(currency, books)
      const risk = ({ count: counted, amount, oldestAt }: typeof unknown) => ({
        count: counted,
        amount: toWire(amount, exponent),
        oldest_at: oldestAt?.toISOString() ?? null,
      })
      return {
        currency,
        unknown: risk(unknown),
        pending: risk(pending),
        held: toWire(held, exponent),
      }
    }),
    letters: {
      failed: {
        count: letters.failed.count,
        oldest_at: letters.failed.oldestAt?.toISOString() ?? null,
      },
      unknown: {
        count: letters.unknown.count,
        oldest_at: letters.unknown.oldestAt?.toISOString() ?? null,
      },
    },
    gateways: found.gateways.map((one) => ({
      gateway: one.gateway,
      operation: one.operation,
      breaker: one.breaker,
      misconfigured: one.misconfigured,
      reason: one.reason,
      ...latelyBody(one.lately),
    })),
    webhooks: {
      endpoints,
      disabled,
      failing,
      deliveries,
      oldest_at: webhooks.oldestAt?.toISOString() ?? null,
      at: webhooks.at.map((one) => ({
        endpoint_id: Number(one.endpointId),
        deliveries: one.count,
        oldest_at: one.oldestAt.toISOString(),
      })),
    },
    books: booksBody(found.books),
    worker: found.workerAlive ? ('ok' as const) : ('none' as const),
    ...missingBody(found.missing),
  }
}

function latelyBody({ succeeded, failed, unknown, p50Ms, p95Ms }: Overview['lately']) {
  const ended = succeeded + failed
  const share = ended === 0 ? null : Math.round((succeeded / ended) * 10_000) / 10_000
  return { succeeded, failed, unknown, success_share: share, p50_ms: p50Ms, p95_ms: p95Ms }
}

function perSecond(payments: number, seconds: number): number {
  return Math.round((payments / seconds) * 1_000) / 1_000
}

function booksBody(runs: Overview['books']) {
  const newest = (scope: 'recent' | 'full') => {
    const run = runs.find((one) => one.scope === scope && one.state === 'done')
    if (run === undefined || run.report === null || run.endedAt === null) return null
    return {
      verification_id: Number(run.id),
      ended_at: run.endedAt.toISOString(),
      rules: run.report.rules.length,
      violations: run.report.violations,
      complete: run.report.complete,
    }
  }
  const running = runs.find(({ state }) => state === 'running')
  return {
    recent: newest('recent'),
    full: newest('full'),
    running: running === undefined ? null : Number(running.id),
  }
}
