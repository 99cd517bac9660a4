import { HOME } from './currencies.ts'
import type { Journal } from './gateway.ts'
import { must } from './promises.ts'
import type { PaymentRow, Tables } from './tables.ts'

/**
 * What was paid through the gateway by the books of each currency is what the gateway's own journal
 * says, but for what is unknown here, what people
 * said, and what it executed later than it says.
 */
export function checkWithGateway(tables: Tables, journal: Journal): void {
  const differences = new Map<string, bigint>()
  const add = (currency: string | null, amount: bigint): void => {
    const code = currency ?? HOME
    differences.set(code, (differences.get(code) ?? 0n) + amount)
  }
  for (const { userId, gateway } of tables.postings.rows.values()) {
    add(tables.users.get(userId)?.currency ?? null, gateway)
  }
  for (const payment of tables.payments.rows.values()) {
    const { id, currency, amount } = payment
    const times = BigInt(journal.executed.get(id)?.length ?? 0)
    const booked = isBooked(payment, tables) ? 1n : 0n
    const executed = payment.type === 'return' ? booked : times
    const open = payment.status === 'unknown'
    const mayDiffer = open || journal.broken.has(id) || hasWord(payment, tables)
    const excused = mayDiffer ? executed - booked : 0n
    add(currency, directionOf(payment) * amount * (excused - executed))
  }
  for (const [id, names] of journal.asked) {
    const own = tables.payments.get(id)?.gateway
    must(
      [...names].every((name) => name === own),
      'a payment stays with its gateway',
      id,
    )
  }
  for (const [currency, difference] of differences) {
    must(difference === 0n, 'the books of a currency are those of the gateway', currency)
  }
}

function isBooked({ id, userId, status }: PaymentRow, tables: Tables): boolean {
  return status === 'success' || tables.postings.get(`${userId} ${id} settle_late`) !== undefined
}

/** Somebody said how it ended, or took what the gateway did under another key for it. */
function hasWord({ id, gatewayKey }: PaymentRow, tables: Tables): boolean {
  return [...tables.acts.rows.values()].some(({ paymentId, act, after }) => {
    const ref = after['gateway_ref'] ?? ''
    const misread = act === 'correct' && ref.startsWith('gw-key-') && ref !== `gw-${gatewayKey}`
    return paymentId === id && (act === 'resolve' || misread)
  })
}

/** Paid out, or taken in. */
function directionOf({ type, returnKind }: PaymentRow): bigint {
  const taken = ['payout_returned', 'dispute_won', 'was_refund'].includes(returnKind ?? '')
  return type === 'deposit' || taken ? -1n : 1n
}

/** What ends well is looked at later, whoever ends it and by whatever question. */
export function checkLookedAt(
  payment: PaymentRow,
  before: PaymentRow | undefined,
  { tables, watchMs }: { readonly tables: Tables; readonly watchMs: readonly number[] },
): void {
  if (watchMs.length === 0 || payment.type === 'refund' || payment.status !== 'success') return
  if (before === undefined || before.status === 'success') return
  const watched = tables.watches.get(payment.id) !== undefined
  must(watched, 'what ends well is looked at later', payment)
}
