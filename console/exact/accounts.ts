import type { TimelineEvent } from '../app/shapes.ts'
import { exponentOf, fromMinor, toMinor } from './money.ts'

/** The accounts that a payment moves, as the page shows them. */
const ACCOUNTS = ['available', 'held', 'fees', 'gateway'] as const
type Account = (typeof ACCOUNTS)[number]

/** One side of an entry on one account. */
export interface Leg {
  readonly entry: string
  readonly amount: string
}

/** An account with a line down its middle: what left it, what came in, and the difference. */
export interface TAccount {
  readonly account: Account
  readonly left: readonly Leg[]
  readonly right: readonly Leg[]
  readonly sum: string
}

/**
 * The entries of a payment by account. An entry sums to zero, so what did not move on the user's
 * account, the fees or what is lost moved at the gateway. Accounts that nothing moved are left out.
 */
export function accountsOf(events: readonly TimelineEvent[], currency: string): TAccount[] {
  const exponent = exponentOf(currency)
  const entries = events
    .filter(({ balance }) => balance !== undefined)
    .map(({ event, balance = 0, held = 0, commission = 0, losses = 0 }) => {
      const own = [balance, held, commission].map((amount) => toMinor(amount, exponent))
      const others = own.reduce((sum, leg) => sum + leg, toMinor(losses, exponent))
      return { event, legs: [...own, -others] }
    })
  return ACCOUNTS.map((account, at) => {
    const moved = entries.map(({ event, legs }) => ({ event, minor: legs[at] ?? 0n }))
    const side = (sign: bigint): Leg[] =>
      moved
        .filter(({ minor }) => minor * sign > 0n)
        .map(({ event, minor }) => ({ entry: event, amount: fromMinor(minor * sign, exponent) }))
    const sum = moved.reduce((total, { minor }) => total + minor, 0n)
    return { account, left: side(-1n), right: side(1n), sum: fromMinor(sum, exponent) }
  }).filter(({ left, right }) => left.length + right.length > 0)
}
