import { exactNumber, type ExactNumber } from './json.ts'

/** The smallest amount that can be paid, in minor units: 0.01. */
const AMOUNT_MIN = 1n
/** The largest amount that can be paid or opened with, in minor units: 9,999,999,999.99. */
export const AMOUNT_MAX = 999_999_999_999n

/** Longer texts are refused before they are read: parsing a huge integer blocks the event loop. */
const TEXT_LENGTH_MAX = 40

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/

/** Why a text or number is not an amount of money. The names are codes of `refusal.ts`. */
export type MoneyProblem = 'amount_malformed' | 'amount_precision' | 'amount_range'

export type Money =
  | { readonly ok: true; readonly minor: bigint }
  | { readonly ok: false; readonly problem: MoneyProblem }

/**
 * Read an amount as it came over the wire: a decimal string, or a JSON number, which is read
 * through its shortest decimal text, so both take one path and no arithmetic is done on floats.
 * More than two decimals is refused and never rounded; zeros at the end are no decimals, because a
 * JSON number cannot show them: "1.000" and 1.000 are 1. `min` is 0 for opening balances.
 */
export function parseMoney(value: string | number, min: bigint = AMOUNT_MIN): Money {
  // Whole numbers, the most common, without a detour through their text.
  if (typeof value === 'number' && Number.isSafeInteger(value))
    return checked(BigInt(value) * 100n, min)
  // A number that prints with an exponent is below 0.000001 or at least 1e21: out of range both
  // ways.
  const text = typeof value === 'number' ? String(value) : value
  if (typeof value === 'number' && /[^\d.-]/.test(text)) return no('amount_range')
  if (text.length > TEXT_LENGTH_MAX) return no('amount_range')

  const match = DECIMAL.exec(text)
  if (match === null || text.endsWith('\n')) return no('amount_malformed')
  const [, sign, whole = '', fraction = ''] = match
  if (typeof value === 'string' && whole.length > 1 && whole.startsWith('0')) {
    return no('amount_malformed')
  }
  if (sign === '-') return no('amount_range')
  const decimals = fraction.replace(/0+$/, '')
  if (decimals.length > 2) return no('amount_precision')

  const minor = BigInt(whole) * 100n + BigInt(decimals.padEnd(2, '0'))
  return checked(minor, min)
}

function checked(minor: bigint, min: bigint): Money {
  return minor < min || minor > AMOUNT_MAX ? no('amount_range') : { ok: true, minor }
}

function no(problem: MoneyProblem): Money {
  return { ok: false, problem }
}

/** The decimal text of an amount in minor units: 20050n is "200.50". */
export function formatMoney(minor: bigint): string {
  const digits = (minor < 0n ? -minor : minor).toString().padStart(3, '0')
  return `${minor < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** The shortest decimal text of minor units: 20050n is "200.5", 20000n is "200", 5n is "0.05". */
export function shortestMoney(minor: bigint): string {
  const text = formatMoney(minor)
  if (text.endsWith('.00')) return text.slice(0, -3)
  return text.endsWith('0') ? text.slice(0, -1) : text
}

/**
 * An amount or a total as the JSON number of the HTTP API, with all its digits, however large it
 * is: 20050n is 200.5 and 9701999999990103n is 97019999999901.03. No float is in between.
 */
export function toWire(minor: bigint): ExactNumber {
  return exactNumber(shortestMoney(minor))
}

/**
 * The minor units of a number that `readExactJson` read from an answer of the HTTP API: an amount
 * or a total of any size and sign. Null for what is not one, or has more than two decimals.
 */
export function fromWire(value: unknown): bigint | null {
  if (typeof value !== 'number' && typeof value !== 'string') return null
  const match = DECIMAL.exec(`${value}`)
  if (match === null) return null
  const [, sign, whole = '', fraction = ''] = match
  if (fraction.length > 2) return null
  const minor = BigInt(`${whole}${fraction.padEnd(2, '0')}`)
  return sign === '-' ? -minor : minor
}
