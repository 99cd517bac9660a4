import type { FastifyReply } from 'fastify'
import { Type, type TSchema } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { refuse } from '../http/problem.ts'
import {
  Id,
  MADE_HEADERS,
  Money,
  nullable,
  OfCurrency,
  oneOf,
  parseMoment,
  Reason,
  Time,
} from '../http/schemas.ts'
import { RATE_MAX } from './run.ts'
import type { Run } from './store.ts'

/** What letters in other currencies than the books' come to. */
export const OtherAmounts = Type.Array(
  Type.Object(
    { currency: OfCurrency, count: Type.Integer(), amount: Money('Their sum.') },
    { title: 'RedriveCurrencySum' },
  ),
  { description: 'The same of letters in other currencies; not there where there are none.' },
)

/** What was asked for, as every run shows it. */
export const AppliedFilter = Type.Record(
  Type.String(),
  Type.Union([Type.String(), Type.Number()]),
  { title: 'AppliedFilter' },
)

export const STATES = ['planned', 'running', 'done', 'canceled'] as const

/** Who did what to a run, and when. */
export const RunActs = {
  reason: nullable('string'),
  created_at: Time,
  created_by: Type.String(),
  started_at: nullable('string', { format: 'date-time' }),
  started_by: nullable('string'),
  ended_at: nullable('string', { format: 'date-time' }),
  canceled_by: nullable('string'),
}

/** The same of a run. */
export function actsBody(run: Run) {
  return {
    reason: run.reason,
    created_at: run.createdAt.toISOString(),
    created_by: run.createdBy,
    started_at: run.startedAt?.toISOString() ?? null,
    started_by: run.startedBy,
    ended_at: run.endedAt?.toISOString() ?? null,
    canceled_by: run.canceledBy,
  }
}

/** How a run is asked for: how its items are called, and what is done to them. */
interface RunWords {
  readonly title: string
  /** Such as `letters`. */
  readonly items: string
  /** Such as `change nothing`. */
  readonly dryRun: string
  /** Such as `redrive exactly the letters of a snapshot`. */
  readonly start: string
  readonly rate: number
}

/** The body of the first step, a dry run of what a filter finds. */
export function planRequest<Filter extends TSchema>(filter: Filter, words: RunWords) {
  return Type.Object(
    { filter, dry_run: Type.Literal(true) },
    {
      title: `${words.title}PlanRequest`,
      additionalProperties: false,
      description: `First: see which ${words.items} match, ${words.dryRun}.`,
    },
  )
}

/** The body of the second step, which starts a snapshot. */
export function startRequest({ title, items, start, rate }: RunWords) {
  const perSecond = `${items.slice(0, 1).toUpperCase()}${items.slice(1)} per second`
  return Type.Object(
    {
      snapshot: Id,
      reason: Reason,
      rate_per_second: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: RATE_MAX,
          description: `${perSecond}; ${rate} if left out.`,
        }),
      ),
    },
    { title: `${title}StartRequest`, additionalProperties: false, description: `Then: ${start}.` },
  )
}

/** Between which times something was made; null: no bound. */
interface Times {
  readonly createdBefore: Date | null
  readonly createdAfter: Date | null
}

/** The times of a filter; the name of one that is out of range. */
export function parseTimes(filter: {
  created_before?: string
  created_after?: string
}): Times | { readonly wrong: string } {
  const createdBefore = parseMoment(filter.created_before)
  if (createdBefore === undefined) return { wrong: 'created_before' }
  const createdAfter = parseMoment(filter.created_after)
  if (createdAfter === undefined) return { wrong: 'created_after' }
  return { createdBefore, createdAfter }
}

/** The answer to a filter with a time that is out of range. */
export function refuseTime(reply: FastifyReply, name: string): FastifyReply {
  const errors = [{ field: `filter/${name}`, code: 'out_of_range' }]
  return refuse(reply, { code: 'body_invalid', errors })
}

export const RunBody = Type.Object(
  {
    id: Id,
    state: oneOf(STATES),
    filter: AppliedFilter,
    total: Type.Integer({ description: 'Letters of the snapshot.' }),
    amount: Money('The sum of the amounts of those in the currency of the books.'),
    rate_per_second: Type.Integer(),
    done: Type.Integer({ description: 'Letters dealt with, whatever came of them.' }),
    redriven: Type.Integer(),
    skipped: Type.Integer({ description: 'No longer open when their turn came.' }),
    refused: Type.Integer({ description: 'Left open, such as for lack of funds.' }),
    refusals: Type.Record(Type.String(), Type.Integer(), {
      description: 'How many were refused why, by error code.',
    }),
    ...RunActs,
    other_amounts: Type.Optional(OtherAmounts),
  },
  { title: 'Redrive' },
)

export const RunStarted = Type.Object(RunBody.properties, {
  title: 'Redrive',
  headers: MADE_HEADERS,
})

/** What a run comes to, for the answer about it; `books` is the currency of the books. */
export function amountsBody({ amount, others }: Pick<Run, 'amount' | 'others'>, books: string) {
  const elsewhere = Object.entries(others ?? {}).map(([currency, other]) => ({
    currency,
    count: other.count,
    amount: toWire(BigInt(other.amount), exponentIn(currency, books)),
  }))
  return {
    amount: toWire(amount, exponentIn(null, books)),
    ...(others === null ? {} : { other_amounts: elsewhere }),
  }
}

/** A run as the API shows it. */
export function runBody(run: Run, books: string) {
  const { amount, ...others } = amountsBody(run, books)
  return {
    id: Number(run.id),
    state: run.state,
    filter: { ...run.filter },
    total: run.total,
    amount,
    rate_per_second: run.ratePerSecond,
    done: run.position,
    redriven: run.carriedOut,
    skipped: run.skipped,
    refused: run.refused,
    refusals: { ...run.refusals },
    ...actsBody(run),
    ...others,
  }
}
