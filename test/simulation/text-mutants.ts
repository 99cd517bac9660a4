import { mutant, NOTHING, statement, type Mutant } from './planting.ts'
import type { Plants } from './world-types.ts'

/** Histories in which much is said about payments. */
const SAYING: Plants = { plan: { clerks: 3, deeds: 12 } }

/** Histories of accounts in several currencies. */
const ABROAD: Plants = { plan: { clerks: 3, deeds: 12, currencies: [null, 'JPY', 'KWD'] } }

/** The currency of an account or a payment is not read. */
function unread(names: readonly string[]): Plants {
  return {
    handlers: (handlers) => {
      const all = { ...handlers }
      for (const name of names) {
        const real = handlers[name]
        if (real === undefined) throw new Error(`no statement ${name}`)
        all[name] = {
          ...real,
          run: (tables, values, context) =>
            real
              .run(tables, values, context)
              .map((row) => ({ ...(row as object), currency: null })),
        }
      }
      return all
    },
  }
}

/** Bugs in what is said about payments, and in currencies. */
export const TEXT_MUTANTS: readonly Mutant[] = [
  mutant('edit_is_sent', 'an edit changes what a repeated key is compared with', {
    ...SAYING,
    ...statement('payment_details_write_texts', (real) => ({
      run(tables, values, context) {
        const done = real.run(tables, values, context)
        const id = BigInt(values[1] as bigint)
        const said = tables.details.get(id)
        if (said !== undefined) tables.details.set(id, { ...said, sent: { description: 'new' } })
        return done
      },
    })),
  }),
  mutant('reference_kept', 'what failed keeps its reference', {
    ...SAYING,
    ...statement('payment_references_leave', () => NOTHING),
  }),
  mutant('reference_unread', 'a reference is given to two payments', {
    ...SAYING,
    ...statement('payment_references_read', () => NOTHING),
  }),
  mutant('currency_exponent', 'an amount is read with the decimals of another currency', {
    ...ABROAD,
    ...unread(['users_lock', 'users_lock_free', 'users_read']),
  }),
  mutant('refund_exponent', 'a refund is read with the decimals of another currency', {
    ...ABROAD,
    ...unread(['payments_lock_parents']),
  }),
  mutant('currency_unwritten', 'a payment forgets the currency of its account', {
    ...ABROAD,
    ...statement('payments_set_currency', () => NOTHING),
  }),
  mutant('floor_of_another', 'the floor of the commission is that of another currency', {
    plan: { ...ABROAD.plan, fee: { bps: 10, min: 40n } },
    fees: ({ bps, mins }) => ({ bps, mins: new Map([...mins].map(([code]) => [code, 40n])) }),
  }),
]
