import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import {
  Id,
  LOCATION,
  Money,
  nullable,
  OfCurrency,
  oneOf,
  REPLAYED,
  Time,
} from '../http/schemas.ts'
import type { Run } from './store.ts'

/** What letters in other currencies than the books' come to. */
export const OtherAmounts = Type.Array(
  Type.Object(
    { currency: OfCurrency, count: Type.Integer(), amount: Money('Their sum.') },
    { title: 'RedriveCurrencySum' },
  ),
  { description: 'The same of letters in other currencies; not there where there are none.' },
)

export const RunBody = Type.Object(
  {
    id: Id,
    state: oneOf(['planned', 'running', 'done', 'canceled']),
    filter: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), {
      title: 'AppliedFilter',
    }),
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
    reason: nullable('string'),
    created_at: Time,
    created_by: Type.String(),
    started_at: nullable('string', { format: 'date-time' }),
    started_by: nullable('string'),
    ended_at: nullable('string', { format: 'date-time' }),
    canceled_by: nullable('string'),
    other_amounts: Type.Optional(OtherAmounts),
  },
  { title: 'Redrive', headers: { ...LOCATION, ...REPLAYED } },
)

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
    redriven: run.redriven,
    skipped: run.skipped,
    refused: run.refused,
    refusals: { ...run.refusals },
    reason: run.reason,
    created_at: run.createdAt.toISOString(),
    created_by: run.createdBy,
    started_at: run.startedAt?.toISOString() ?? null,
    started_by: run.startedBy,
    ended_at: run.endedAt?.toISOString() ?? null,
    canceled_by: run.canceledBy,
    ...others,
  }
}
