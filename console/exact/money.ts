import type { Exact } from './json.ts'

/** Exponents of ISO 4217 that are not 2. */
const EXPONENTS: Readonly<Record<string, number>> = Object.fromEntries(
  (
    [
      [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'],
      [3, 'BHD IQD JOD KWD LYD OMR TND'],
      [4, 'CLF UYW'],
    ] as const
  ).flatMap(([exponent, codes]) => codes.split(' ').map((code) => [code, exponent])),
)

/** How many decimals an amount of a currency has. */
export function exponentOf(currency: string): number {
  return EXPONENTS[currency] ?? 2
}

/** How a language writes numbers. */
export interface Marks {
  readonly group: string
  readonly decimal: string
}

/** In front of what is less than nothing. */
export const MINUS = '−'

/** An amount in whole minor units. Throws for a text that is no amount of `exponent` decimals. */
export function toMinor(amount: Exact, exponent: number): bigint {
  const [, sign = '', whole = '', decimals = ''] =
    /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(amount)) ?? []
  const kept = decimals.slice(0, exponent).padEnd(exponent, '0')
  if (whole === '' || /[1-9]/.test(decimals.slice(exponent))) {
    throw new Error(`${amount} is no amount with ${exponent} decimals`)
  }
  const minor = BigInt(whole + kept)
  return sign === '-' ? -minor : minor
}

/** Whole minor units as the API writes them: `-12.50`, without marks between thousands. */
export function fromMinor(minor: bigint, exponent: number): string {
  const digits = (minor < 0n ? -minor : minor).toString().padStart(exponent + 1, '0')
  const at = digits.length - exponent
  const text = exponent === 0 ? digits : `${digits.slice(0, at)}.${digits.slice(at)}`
  return minor < 0n ? `-${text}` : text
}

/**
 * An amount for people: every decimal of its currency, thousands apart, exact at any size. What is
 * no amount is shown as it came.
 */
export function formatAmount(amount: Exact, currency: string, marks: Marks): string {
  const exponent = exponentOf(currency)
  const [, sign = '', whole = '', decimals = ''] =
    /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(amount)) ?? []
  if (whole === '') return String(amount)
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, marks.group)
  const shown = decimals.padEnd(exponent, '0')
  const text = shown === '' ? grouped : `${grouped}${marks.decimal}${shown}`
  return sign === '-' ? MINUS + text : text
}

/** The same with its sign in front, also a plus: how much something moved. */
export function formatMoved(amount: Exact, currency: string, marks: Marks): string {
  const text = formatAmount(amount, currency, marks)
  return /[1-9]/.test(text) && !text.startsWith(MINUS) ? `+${text}` : text
}

/** The sum of amounts of one currency. */
export function sumOf(amounts: readonly Exact[], currency: string): string {
  const exponent = exponentOf(currency)
  const sum = amounts.reduce<bigint>((total, amount) => total + toMinor(amount, exponent), 0n)
  return fromMinor(sum, exponent)
}

/**
 * What a person typed as an amount, as the API takes it; null: it is none. A comma is what it is in
 * the viewer's language: "1,000" is a thousand in English, and one dinar in Russian, where a point
 * does for the comma as well. Marks between thousands must stand between thousands.
 */
export function readAmount(typed: string, currency: string, { decimal }: Marks): string | null {
  const spaced = typed.trim().replace(/(\d)[\s\u00a0\u202f'](?=\d{3}(?!\d))/g, '$1')
  const text =
    decimal === ','
      ? spaced.replace(',', '.')
      : spaced.replace(/^\d{1,3}(?:,\d{3})+(?!\d)/, (whole) => whole.replaceAll(',', ''))
  const pattern = /^\d{1,16}(?:\.(\d+))?$/.exec(text)
  if (pattern === null || (pattern[1] ?? '').length > exponentOf(currency)) return null
  return /[1-9]/.test(text) ? text : null
}
