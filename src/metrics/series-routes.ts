import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import type { JsonNumber } from '../domain/exact-json.ts'
import { toWire } from '../domain/money.ts'
import { SPANS, type SeriesSpan } from '../domain/series.ts'
import { refusals } from '../http/problem.ts'
import { missingBody, MissingShards, OfCurrency, oneOf } from '../http/schemas.ts'
import { BOUNDS_MS, type Series } from './series.ts'

// Keys of SPANS, in its order.
const NAMES = Object.keys(SPANS) as SeriesSpan[]

const counts = (description: string) => Type.Array(Type.Integer(), { description })
const times = (description: string) =>
  Type.Array(Type.Unsafe<number | null>({ type: ['integer', 'null'] }), { description })

const OUTCOMES = {
  succeeded: counts('Ended in success.'),
  failed: counts('Ended in failed, after they were accepted.'),
  unknown: counts('Became unknown.'),
  p50_ms: times(
    'Half of what ended took no longer from acceptance; null: nothing ended. An estimate, as if ' +
      'what is in a class of `latency` were spread evenly in it: below the first bound it says ' +
      'nothing but that.',
  ),
  p95_ms: times('The same of 95 %.'),
}

const SeriesBody = Type.Object(
  {
    span: oneOf(NAMES, { title: 'Span' }),
    step_seconds: Type.Integer(),
    times: counts('When each step begins, in seconds since 1970. The last is not over yet.'),
    accepted: counts('Accepted: refunds and payments that repeat others are among them.'),
    ...OUTCOMES,
    latency: Type.Object(
      {
        bounds_ms: counts('The upper bounds of the classes; the last class has none.'),
        counts: counts('How many ended in each class, over all steps.'),
      },
      { title: 'Latencies' },
    ),
    gateways: Type.Array(
      Type.Object(
        {
          gateway: Type.String(),
          latency_counts: counts('How many ended there in each class of `latency`.'),
          ...OUTCOMES,
        },
        { title: 'GatewaySeries' },
      ),
    ),
    currencies: Type.Array(
      Type.Object(
        {
          currency: OfCurrency,
          amounts: Type.Array(Type.Unsafe<JsonNumber>({ type: 'number' }), {
            description: 'What succeeded, payments of all types together.',
          }),
        },
        { title: 'CurrencySeries' },
      ),
    ),
    missing_shards: MissingShards,
  },
  { title: 'Series' },
)

const READ = {
  tags: ['Operations'],
  operationId: 'getSeries',
  summary: 'What became of payments over time, for charts',
  description:
    'Counted by minute in the transactions that move payments, and kept for a week: it agrees ' +
    'with the payments after any crash. Each list has an element for each step.',
  querystring: Type.Object(
    {
      span: Type.Optional(
        oneOf(NAMES, { description: 'How far back; `1h` if left out.', default: '1h' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: { 200: SeriesBody, ...refusals(400, 503) },
}

interface SeriesRoutes {
  /** The currency of the books. */
  readonly books: string
  readonly read: (span: SeriesSpan) => Promise<Series>
}

/** `GET /series`. */
export function seriesRoutes({ books, read }: SeriesRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/series', { schema: READ }, async (request, reply) => {
      const drawn = await read(request.query.span ?? '1h')
      return reply.send(seriesBody(drawn, books))
    })
  }
}

function seriesBody(found: Series, books: string) {
  return {
    span: found.span,
    step_seconds: found.stepSeconds,
    times: [...found.times],
    accepted: [...found.accepted],
    ...outcomesBody(found),
    latency: { bounds_ms: [...BOUNDS_MS], counts: [...found.latency] },
    gateways: found.gateways.map((one) => ({
      gateway: one.gateway,
      latency_counts: [...one.latency],
      ...outcomesBody(one),
    })),
    currencies: found.currencies.map(({ currency, amounts }) => ({
      currency,
      amounts: amounts.map((amount) => toWire(amount, exponentIn(currency, books))),
    })),
    ...missingBody(found.missing),
  }
}

function outcomesBody(one: Pick<Series, 'succeeded' | 'failed' | 'unknown' | 'p50Ms' | 'p95Ms'>) {
  return {
    succeeded: [...one.succeeded],
    failed: [...one.failed],
    unknown: [...one.unknown],
    p50_ms: [...one.p50Ms],
    p95_ms: [...one.p95Ms],
  }
}
