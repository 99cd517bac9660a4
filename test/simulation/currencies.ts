import type { PaymentDraft } from '../../src/domain/acceptance.ts'
import type { Decimal } from '../../src/domain/money.ts'

/** The decimals of the currencies of the histories, told apart from the code under test. */
const DECIMALS: Readonly<Record<string, number>> = { USD: 2, JPY: 0, KWD: 3 }

/** The books' currency; null in the tables. */
export const HOME = 'USD'

/** How many minor units an amount is; null: it has more decimals than the currency. */
export function minorOf({ unscaled, scale }: Decimal, currency: string | null): bigint | null {
  const up = (DECIMALS[currency ?? HOME] ?? 2) - scale
  if (up >= 0) return unscaled * 10n ** BigInt(up)
  const whole = 10n ** BigInt(-up)
  return unscaled % whole === 0n ? unscaled / whole : null
}

/** The same of what a draft asks for. */
export function minorAsked(
  { amount, asked }: PaymentDraft,
  currency: string | null,
): bigint | null {
  return minorOf(asked?.amount ?? { unscaled: amount, scale: 2 }, currency)
}

/** Minor units as a text with the decimals of the currency. */
export function written(minor: bigint, currency: string | null): string {
  const decimals = DECIMALS[currency ?? HOME] ?? 2
  const digits = String(minor).padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  return decimals === 0 ? whole : `${whole}.${digits.slice(-decimals)}`
}
