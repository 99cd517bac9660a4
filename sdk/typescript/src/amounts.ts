import type { Decimal } from './answers.ts'

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/

/** Whether a text is a decimal number such as `200`, `-0.5` or `10.50`. */
export function isDecimal(text: string): text is Decimal {
  return DECIMAL.test(text)
}

/**
 * An amount in minor units, such as cents: `toMinor('12.3', 2)` is `1230n`. Throws where it has
 * more decimals than the currency; money is never rounded here.
 */
export function toMinor(amount: Decimal, decimals: number): bigint {
  checkDecimals(decimals)
  const [, sign = '', whole = '', fraction = ''] = DECIMAL.exec(amount) ?? []
  if (whole === '') throw new RangeError(`${amount} is no decimal number`)
  const significant = fraction.replace(/0+$/, '')
  if (significant.length > decimals) {
    throw new RangeError(`${amount} has more than ${decimals} decimals`)
  }
  return BigInt(`${sign}${whole}${significant.padEnd(decimals, '0')}`)
}

/** An amount of minor units: `fromMinor(1230n, 2)` is `12.30`. */
export function fromMinor(minor: bigint, decimals: number): Decimal {
  checkDecimals(decimals)
  const sign = minor < 0n ? '-' : ''
  const digits = String(minor < 0n ? -minor : minor).padStart(decimals + 1, '0')
  if (decimals === 0) return `${sign}${digits}`
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

/** The exact sum, with as many decimals as the longer of the two. */
export function add(a: Decimal, b: Decimal): Decimal {
  const decimals = Math.max(decimalsOf(a), decimalsOf(b))
  return fromMinor(toMinor(a, decimals) + toMinor(b, decimals), decimals)
}

/** The exact difference. */
export function subtract(a: Decimal, b: Decimal): Decimal {
  const decimals = Math.max(decimalsOf(a), decimalsOf(b))
  return fromMinor(toMinor(a, decimals) - toMinor(b, decimals), decimals)
}

/** Negative, 0 or positive, as `sort` wants it; `1.0` and `1` are the same. */
export function compare(a: Decimal, b: Decimal): number {
  const decimals = Math.max(decimalsOf(a), decimalsOf(b))
  const difference = toMinor(a, decimals) - toMinor(b, decimals)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** Of a currency that somebody looked up in vain there are none, and 12.3 would become 123. */
function checkDecimals(decimals: number): void {
  if (Number.isInteger(decimals) && decimals >= 0) return
  throw new RangeError(`${decimals} is no number of decimals`)
}

function decimalsOf(amount: Decimal): number {
  return DECIMAL.exec(amount)?.[3]?.length ?? 0
}
