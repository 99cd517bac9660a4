import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { readBelow, writeBelow } from '../http/cursor.ts'
import { Cursor, pageOf } from '../http/page.ts'
import { Id, IntegerText, OfCurrency, parseInteger, Time } from '../http/schemas.ts'
import type { Db } from '../ports.ts'
import type { JournalPayment } from './journal-store.ts'
import { journal } from './journal.ts'
import { Accounts } from './routes.ts'

const PAGE = { min: 1, max: 200, fallback: 50 }
const NAME = 'journal'

const EntryBody = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    kind: Type.String({ description: '`hold`, `settle`, `release` or `settle_late`.' }),
    currency: OfCurrency,
    accounts: Accounts,
    created_at: Time,
  },
  { title: 'JournalEntry' },
)

const LIST = {
  tags: ['Operations'],
  operationId: 'listJournal',
  summary: 'The journal, newest payments first',
  description:
    'What each payment moved between the accounts; the sum of an entry is 0. A page is of so ' +
    'many payments, those without entries among them. Opening balances are entries of no ' +
    'payment: a ' +
    "user's transactions show them.",
  querystring: Type.Object(
    {
      limit: IntegerText('Payments per page.', PAGE),
      cursor: Cursor,
    },
    { additionalProperties: false },
  ),
  response: { 200: pageOf('JournalPage', EntryBody), ...refusals(400, 503) },
}

/** `GET /ledger/entries`. */
export function journalRoutes(db: Db): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/ledger/entries', { schema: LIST }, async (request, reply) => {
      const limit = parseInteger('limit', request.query.limit, PAGE)
      if (!limit.ok) return refuse(reply, limit.refusal)
      const { cursor } = request.query
      const before = readBelow(NAME, cursor)
      if (before === null) return refuse(reply, { code: 'cursor_invalid' })
      const { payments, next } = await journal(db, before, limit.value)
      return reply.send({
        data: payments.flatMap((payment) => entriesBody(payment, db.currency)),
        next_cursor: writeBelow(NAME, next),
      })
    })
  }
}

function entriesBody({ id, userId, currency, entries }: JournalPayment, books: string) {
  const exponent = exponentIn(currency, books)
  const money = (minor: bigint) => toWire(minor, exponent)
  return entries.map(({ kind, user, held, gateway, fees, opening, losses, createdAt }) => ({
    payment_id: Number(id),
    user_id: Number(userId),
    kind,
    currency: currency ?? books,
    accounts: {
      user: money(user),
      user_held: money(held),
      gateway: money(gateway),
      fees: money(fees),
      opening: money(opening),
      losses: money(losses),
    },
    created_at: createdAt.toISOString(),
  }))
}
