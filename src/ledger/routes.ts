import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { Money, Time } from '../http/schemas.ts'
import type { Balances } from './balance.ts'

const TrialBalance = Type.Object(
  {
    accounts: Type.Object({
      user: Money('What users can spend.'),
      user_held: Money('What is held for withdrawals in progress.'),
      gateway: Money('Paid out through the gateway less what was taken in.'),
      fees: Money('Commission earned.'),
      opening: Money('Opening balances, as a debt to the users.'),
      losses: Money('What came back from us and no user could pay for: 0 or less.'),
    }),
    sum: Money('Always 0.'),
    entries: Type.Integer({ description: 'Journal entries added up.' }),
    as_of: Time,
  },
  { title: 'TrialBalance' },
)

/** `GET /ledger`: the trial balance. */
export function ledgerRoutes(balances: Balances): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getTrialBalance',
    summary: 'The trial balance: what each account of the ledger comes to',
    description:
      'Adds up every entry of the journal as it is at one moment, in steps, once for all who ask at ' +
      'the same time. Where that takes long the answer is kept for a while (`as_of` says of when it ' +
      'is), and 503 `balance_pending` says that it is not ready yet.',
    response: {
      200: TrialBalance,
      ...refusals(503),
    },
  }
  return async (app) => {
    app.get('/ledger', { schema }, async (_, reply) => {
      const balance = await balances.read()
      if (balance === null) return refuse(reply, { code: 'balance_pending' })
      const { user, held, gateway, fees, opening, losses, entries, asOf } = balance
      return reply.send({
        accounts: {
          user: toWire(user),
          user_held: toWire(held),
          gateway: toWire(gateway),
          fees: toWire(fees),
          opening: toWire(opening),
          losses: toWire(losses),
        },
        sum: toWire(user + held + gateway + fees + opening + losses),
        entries,
        as_of: asOf.toISOString(),
      })
    })
  }
}
