import assert from 'node:assert'
import { exponentOf } from './currency.ts'
import { inCurrency, parseDecimal, type Decimal } from './money.ts'

/** The commission's rule. Part of every payment's row, so that a later change rewrites nothing. */
export interface Fee {
  /** Basis points of the amount: 200 is 2 %. */
  readonly bps: number
  /** The least commission in minor units; 0 for none. */
  readonly min: bigint
}

/** The rule in every currency: one rate, and a floor for each currency that has one. */
export interface Fees {
  readonly bps: number
  /** By currency, in its minor units; a currency that is not in it has no floor. */
  readonly mins: ReadonlyMap<string, bigint>
}

/** The rule in one currency. */
export function feeIn({ bps, mins }: Fees, currency: string): Fee {
  return { bps, min: mins.get(currency) ?? 0n }
}

/** A floor as it is written: `0.30` of the default currency (null), or `JPY:40`. */
export interface FeeMin {
  readonly currency: string | null
  readonly least: Decimal
}

/**
 * Read floors such as `0.30` or `USD:0.30,JPY:40`. Undefined for what is not such a list, names
 * what is no currency, or has decimals that the named currency has not.
 */
export function parseFeeMins(text: string): readonly FeeMin[] | undefined {
  const mins: FeeMin[] = []
  for (const part of text.split(',')) {
    const [, currency = null, amount = ''] = /^\s*(?:([A-Za-z]{3}):)?([\d.]+)\s*$/.exec(part) ?? []
    const read = parseDecimal(amount)
    if (!read.ok) return undefined
    mins.push({ currency: currency?.toUpperCase() ?? null, least: read.decimal })
  }
  const named = mins.filter(({ currency }) => currency !== null)
  return feeMinsIn(named, '') === null ? undefined : mins
}

/**
 * Floors in minor units, by currency; the one without a name is for `currency`. Null when a
 * currency is none or has two floors, or a floor is out of range or has more decimals than its
 * currency.
 */
export function feeMinsIn(
  mins: readonly FeeMin[],
  currency: string,
): ReadonlyMap<string, bigint> | null {
  const floors = new Map<string, bigint>()
  for (const { currency: named, least } of mins) {
    const code = named ?? currency
    const exponent = exponentOf(code)
    const floor = exponent === undefined ? null : inCurrency(least, exponent, 0n)
    if (floor === null || !floor.ok || floors.has(code)) return null
    floors.set(code, floor.minor)
  }
  return floors
}

/** The commission on `amount`, in minor units: half-up to the minor unit, in integer arithmetic. */
export function commission(amount: bigint, fee: Fee): bigint {
  assert(amount > 0n)
  const share = (amount * BigInt(fee.bps) + 5_000n) / 10_000n
  return share > fee.min ? share : fee.min
}
