import type { Exponent } from './currency.ts'
import { exactNumber, printingDouble, type JsonNumber } from './exact-json.ts'

/** Ten to the power of 0 to 4: by exponent, what one major unit is in minor units. */
const POWERS = [1n, 10n, 100n, 1_000n, 10_000n] as const

/** So many major units are too many, in every currency. */
const MAJOR_LIMIT = 10_000_000_000n

/** The smallest amount that can be paid in any currency, in its minor units. */
const AMOUNT_MIN = 1n
/**
 * The largest amount that can be paid or opened with, in minor units, by the currency's exponent.
 */
export const AMOUNTS_MAX: Readonly<Record<Exponent, bigint>> = {
  0: MAJOR_LIMIT * POWERS[0] - 1n,
  2: MAJOR_LIMIT * POWERS[2] - 1n,
  3: MAJOR_LIMIT * POWERS[3] - 1n,
  4: MAJOR_LIMIT * POWERS[4] - 1n,
}

/** No currency has more decimals, so more are refused before the currency is known. */
const SCALE_MAX = 4

/** Longer texts are refused before they are read: parsing a huge integer blocks the event loop. */
const TEXT_LENGTH_MAX = 40

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/

/** Why a text or number is not an amount of money. The names are codes of `refusal.ts`. */
export type MoneyProblem = 'amount_malformed' | 'amount_precision' | 'amount_range'

/** A decimal number of 0 or more, exactly: `unscaled` × 10^−`scale`, without zeros at its end. */
export interface Decimal {
  readonly unscaled: bigint
  /** Decimals, from 0 to 4. */
  readonly scale: number
}

type Money = { readonly ok: true; readonly minor: bigint } | NoMoney
interface NoMoney {
  readonly ok: false
  readonly problem: MoneyProblem
}
type ReadDecimal = { readonly ok: true; readonly decimal: Decimal } | NoMoney

/**
 * Read an amount as it came over the wire, before its currency is known: a decimal string, or a
 * JSON number, which is read through its shortest decimal text, so both take one path and no
 * arithmetic is done on floats. Zeros at the end are no decimals, because a JSON number cannot show
 * them: "1.000" and 1.000 are 1. What no currency has is refused: something else, a sign, more than
 * four decimals.
 */
export function parseDecimal(value: string | number): ReadDecimal {
  // Whole numbers, the most common, without a detour through their text.
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    if (value < 0) return no('amount_range')
    return { ok: true, decimal: { unscaled: BigInt(value), scale: 0 } }
  }
  // A number that prints with an exponent is below 0.000001 or at least 1e21: out of range both
  // ways.
  const text = typeof value === 'number' ? String(value) : value
  if (typeof value === 'number' && /[^\d.-]/.test(text)) return no('amount_range')
  return text.length > TEXT_LENGTH_MAX ? no('amount_range') : decimalOf(text)
}

function decimalOf(text: string): ReadDecimal {
  const match = DECIMAL.exec(text)
  if (match === null || text.endsWith('\n')) return no('amount_malformed')
  const [, sign, whole = '', fraction = ''] = match
  // A number prints no such zeros.
  if (whole.length > 1 && whole.startsWith('0')) return no('amount_malformed')
  if (sign === '-') return no('amount_range')
  const decimals = fraction.replace(/0+$/, '')
  if (decimals.length > SCALE_MAX) return no('amount_precision')
  return { ok: true, decimal: { unscaled: BigInt(whole + decimals), scale: decimals.length } }
}

/** The same number without zeros at its end. */
export function shortest({ unscaled, scale }: Decimal): Decimal {
  let [digits, decimals] = [unscaled, scale]
  while (decimals > 0 && digits % 10n === 0n) {
    digits /= 10n
    decimals -= 1
  }
  return { unscaled: digits, scale: decimals }
}

/**
 * A decimal as minor units of a currency with this exponent. More decimals than it has are refused
 * and never rounded. `min` is 0 for opening balances.
 */
export function inCurrency(
  { unscaled, scale }: Decimal,
  exponent: Exponent,
  min: bigint = AMOUNT_MIN,
): Money {
  const power = POWERS[exponent - scale]
  return power === undefined ? no('amount_precision') : checked(unscaled * power, exponent, min)
}

/** Read an amount in a currency that is known: `parseDecimal` and `inCurrency` in one. */
export function parseMoney(
  value: string | number,
  min: bigint = AMOUNT_MIN,
  exponent: Exponent,
): Money {
  if (typeof value === 'number' && Number.isSafeInteger(value)) {
    return checked(BigInt(value) * POWERS[exponent], exponent, min)
  }
  const read = parseDecimal(value)
  return read.ok ? inCurrency(read.decimal, exponent, min) : read
}

function checked(minor: bigint, exponent: Exponent, min: bigint): Money {
  return minor < min || minor > AMOUNTS_MAX[exponent] ? no('amount_range') : { ok: true, minor }
}

function no(problem: MoneyProblem): NoMoney {
  return { ok: false, problem }
}

/**
 * The decimal text of minor units with all decimals: 20050n is "200.50", with exponent 0 "20050".
 */
export function formatMoney(minor: bigint, exponent: Exponent): string {
  const digits = (minor < 0n ? -minor : minor).toString().padStart(exponent + 1, '0')
  const sign = minor < 0n ? '-' : ''
  if (exponent === 0) return sign + digits
  return `${sign}${digits.slice(0, -exponent)}.${digits.slice(-exponent)}`
}

/** The shortest decimal text of minor units: 20050n is "200.5", 20000n is "200", 5n is "0.05". */
export function shortestMoney(minor: bigint, exponent: Exponent): string {
  const text = formatMoney(minor, exponent)
  if (exponent === 2) {
    if (text.endsWith('.00')) return text.slice(0, -3)
    return text.endsWith('0') ? text.slice(0, -1) : text
  }
  return exponent === 0 ? text : text.replace(/\.?0+$/, '')
}

/**
 * An amount or a total as the JSON number of the HTTP API, with all its digits, however large it
 * is: 20050n is 200.5 and 9701999999990103n is 97019999999901.03.
 */
export function toWire(minor: bigint, exponent: Exponent): JsonNumber {
  return printingDouble(minor, exponent) ?? exactNumber(shortestMoney(minor, exponent))
}

/**
 * The minor units of a number that `readExactJson` read from an answer of the HTTP API: an amount
 * or a total of any size and sign. Null for what is not one, or has more decimals than the
 * currency.
 */
export function fromWire(value: unknown, exponent: Exponent): bigint | null {
  if (typeof value !== 'number' && typeof value !== 'string') return null
  const match = DECIMAL.exec(`${value}`)
  if (match === null) return null
  const [, sign, whole = '', decimals = ''] = match
  // By value: gateways write zeros behind it.
  const fraction = decimals.replace(/0+$/, '')
  if (fraction.length > exponent) return null
  const minor = BigInt(`${whole}${fraction.padEnd(exponent, '0')}`)
  return sign === '-' ? -minor : minor
}
