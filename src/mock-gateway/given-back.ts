import { exponentOf, type Exponent } from '../domain/currency.ts'
import type { SaidKind } from '../domain/returns.ts'
import type { Charge, Order } from './orders.ts'

/** Money that came back, `number` counts from 1; a dispute won goes the other way. */
export interface Returned {
  readonly number: number
  readonly kind: SaidKind
  readonly paymentId: number
  readonly amount: bigint
  readonly currency?: string
  /** ISO 8601. */
  readonly at: string
}

/** What became of the money of a payment after it was executed. */
export interface GivenBack {
  /** Null: it was never executed. */
  readonly charge: Charge | null
  /** The sum of its refunds, in minor units. */
  readonly refunded: bigint
  readonly returns: readonly Returned[]
}

/** Of a payment of which nothing went back. */
export function emptyGivenBack(
  books: { readonly firsts: ReadonlyMap<number, Charge> },
  paymentId: number,
): GivenBack {
  return { charge: books.firsts.get(paymentId) ?? null, refunded: 0n, returns: [] }
}

/** What came back of a payment, less what came back from disputes. */
function returnedOf({ returns }: GivenBack): bigint {
  return returns.reduce(
    (sum, { kind, amount }) => (kind === 'dispute_won' ? sum - amount : sum + amount),
    0n,
  )
}

/**
 * How much of a payment can still be refunded: a gateway gives back no more than it took. Null: it
 * took nothing that could be given back.
 */
export function refundableOf(given: GivenBack): bigint | null {
  const { charge, refunded } = given
  return charge?.type === 'deposit' ? charge.amount - refunded - returnedOf(given) : null
}

/** How much of a payment can still come back in this way. */
export function returnableOf(given: GivenBack, kind: Returned['kind']): bigint {
  const { charge } = given
  const type = kind === 'payout_returned' ? 'withdraw' : 'deposit'
  if (charge?.type !== type) return 0n
  return kind === 'dispute_won' ? returnedOf(given) : charge.amount - returnedOf(given)
}

/** The gateway's own name for a return. */
export function returnRef({ number }: Pick<Returned, 'number'>): string {
  return `rt_${number.toString(36).padStart(8, '0')}`
}

/** How many decimals the amounts of an order have. */
export function decimalsOf({ currency }: Pick<Order, 'currency'>): Exponent {
  return currency === undefined ? 2 : (exponentOf(currency) ?? 2)
}
