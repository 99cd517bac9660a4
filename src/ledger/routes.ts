import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { Money, OfCurrency, Time } from '../http/schemas.ts'
import type { Balances } from './balance.ts'
import type { TrialBalance as TrialBalanceSums } from './store.ts'

/** What each account comes to, or what an entry moves on it. */
export const Accounts = Type.Object(
  {
    user: Money('What users can spend.'),
    user_held: Money('What is held for withdrawals and refunds in progress.'),
    gateway: Money('Paid out through the gateway less what was taken in.'),
    fees: Money('Commission earned.'),
    opening: Money('Opening balances, as a debt to the users.'),
    losses: Money('What came back from us and no user could pay for: 0 or less.'),
  },
  { title: 'Accounts' },
)

const SUM = Money('Always 0.')

const TrialBalance = Type.Object(
  {
    accounts: Accounts,
    sum: SUM,
    entries: Type.Integer({ description: 'Journal entries added up, of all currencies.' }),
    as_of: Time,
    currency: OfCurrency,
    others: Type.Array(
      Type.Object(
        {
          currency: OfCurrency,
          accounts: Accounts,
          sum: SUM,
          entries: Type.Integer({ description: 'Entries of accounts in this currency.' }),
        },
        { title: 'CurrencyBalance' },
      ),
      { description: 'The same of accounts in other currencies than that of the books.' },
    ),
  },
  { title: 'TrialBalance' },
)

/** `GET /ledger`: the trial balance; `books` is the currency of the books. */
export function ledgerRoutes(balances: Balances, books: string): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getTrialBalance',
    summary: 'The trial balance: what each account of the ledger comes to',
    description:
      'Adds up every entry of the journal as it is at one moment, in steps, once for all who ' +
      'ask at the same time. Where that takes long the answer is kept for a while (`as_of` says ' +
      'of when it is), and 503 `balance_pending` says that it is not ready yet.',
    response: {
      200: TrialBalance,
      ...refusals(503),
    },
  }
  return async (app) => {
    app.get('/ledger', { schema }, async (_, reply) => {
      const balance = await balances.read()
      if (balance === null) return refuse(reply, { code: 'balance_pending' })
      const shown = [...balance.currencies].map(([code, sums]) => balanceBody(code, sums))
      const ofBooks = shown.find(({ currency }) => currency === books)
      if (ofBooks === undefined) throw new Error('a balance without that of the books')
      const { currency, accounts, sum } = ofBooks
      const entries = shown.reduce((count, part) => count + part.entries, 0)
      const others = shown
        .filter((part) => part !== ofBooks)
        .sort((one, other) => (one.currency < other.currency ? -1 : 1))
      const asOf = balance.asOf.toISOString()
      return reply.send({ accounts, sum, entries, as_of: asOf, currency, others })
    })
  }
}

function balanceBody(currency: string, balance: TrialBalanceSums) {
  const { user, held, gateway, fees, opening, losses, entries } = balance
  const exponent = exponentIn(currency, currency)
  return {
    currency,
    accounts: {
      user: toWire(user, exponent),
      user_held: toWire(held, exponent),
      gateway: toWire(gateway, exponent),
      fees: toWire(fees, exponent),
      opening: toWire(opening, exponent),
      losses: toWire(losses, exponent),
    },
    sum: toWire(user + held + gateway + fees + opening + losses, exponent),
    entries,
  }
}
