import { EXPONENTS, type Exponent } from './currency.ts'
import { inCurrency, parseDecimal } from './money.ts'

/** Longest text that is looked for: that of the longest name anything has. */
export const SEARCH_LENGTH_MAX = 255

/** What somebody looks for, in every form that it may be. */
export interface Sought {
  /** As it was typed, without the white space around it. */
  readonly text: string
  /** Of a payment, a user or a dead letter; null: it is no id. */
  readonly id: bigint | null
  /** In minor units, by the decimals of a currency; empty: it is no amount. */
  readonly amounts: ReadonlyMap<Exponent, bigint>
}

/**
 * Read what was typed into the one box. Null: nothing could be called so. An id may stand behind a
 * `#`; everything is compared whole, never in part.
 */
export function readSought(typed: string): Sought | null {
  const text = typed.trim()
  if (text.length === 0 || text.length > SEARCH_LENGTH_MAX || /[\p{Cc}\p{Cs}]/u.test(text)) {
    return null
  }
  const [, digits] = /^#?([1-9]\d{0,14})$/.exec(text) ?? []
  const amounts = new Map<Exponent, bigint>()
  const decimal = parseDecimal(text)
  for (const exponent of decimal.ok ? EXPONENTS : []) {
    const money = decimal.ok ? inCurrency(decimal.decimal, exponent) : decimal
    if (money.ok) amounts.set(exponent, money.minor)
  }
  return { text, id: digits === undefined ? null : BigInt(digits), amounts }
}
