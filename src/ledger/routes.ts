import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { toWire } from '../domain/money.ts'
import { refusals } from '../http/problem.ts'
import { Money } from '../http/schemas.ts'
import type { Runner } from '../ports.ts'
import { trialBalance } from './store.ts'

const TrialBalance = Type.Object(
  {
    accounts: Type.Object({
      user: Money('What users can spend.'),
      user_held: Money('What is held for withdrawals in progress.'),
      gateway: Money('Paid out through the gateway less what was taken in.'),
      fees: Money('Commission earned.'),
      opening: Money('Opening balances, as a debt to the users.'),
    }),
    sum: Money('Always 0.'),
    entries: Type.Integer({ description: 'Journal entries added up.' }),
  },
  { title: 'TrialBalance' },
)

/** `GET /ledger`: the trial balance. */
export function ledgerRoutes(options: {
  readonly db: Runner
  readonly shards: number
}): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Operations'],
    operationId: 'getTrialBalance',
    summary: 'The trial balance: what each account of the ledger comes to',
    description: 'Adds up every entry of the journal, so it takes a while on a large one.',
    response: {
      200: TrialBalance,
      ...refusals(503),
    },
  }
  return async (app) => {
    app.get('/ledger', { schema }, async () => {
      const { user, held, gateway, fees, opening, entries } = await trialBalance(
        options.db,
        options.shards,
      )
      return {
        accounts: {
          user: toWire(user),
          user_held: toWire(held),
          gateway: toWire(gateway),
          fees: toWire(fees),
          opening: toWire(opening),
        },
        sum: toWire(user + held + gateway + fees + opening),
        entries,
      }
    })
  }
}
