import assert from 'node:assert'
import { exponentOf } from './currency.ts'
import { inCurrency, parseDecimal, type Decimal } from './money.ts'
import type { BookedType } from './payment.ts'

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
interface FeeMin {
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
  for (const { currency: named, least: asked } of mins) {
    const code = named ?? currency
    const exponent = exponentOf(code)
    const floor = exponent === undefined ? null : inCurrency(asked, exponent, 0n)
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

/** Whether a commission stays with us or goes back when the money of its payment goes back. */
export type FeePolicy = 'keep' | 'return'

/** What an executed payment came to, and what of it went back, in minor units. */
export interface GivenBack {
  readonly type: BookedType
  readonly amount: bigint
  readonly commission: bigint
  /** Its refunds that are open or done, and what they return of the commission. */
  readonly refundReserved: bigint
  readonly feeReserved: bigint
  /** What came back without our doing, less what came back from disputes; and of the commission. */
  readonly returned: bigint
  readonly returnedFee: bigint
}

/** The policies for what we give back, and for what comes back without our doing. */
export interface FeePolicies {
  readonly refundFee: FeePolicy
  readonly returnFee: FeePolicy
}

/** The policies alone of whatever has them, such as the settings. */
export function feePolicies({ refundFee, returnFee }: FeePolicies): FeePolicies {
  return { refundFee, returnFee }
}

/** How much of the commission a refund of `amount` more returns: at most `amount`. */
export function feeOfRefund(payment: GivenBack, amount: bigint, policies: FeePolicies): bigint {
  if (policies.refundFee === 'keep') return 0n
  const { refundReserved: gone, feeReserved: before } = payment
  return least(amount, shareOf(payment, together(payment, policies) ?? { gone, before }, amount))
}

/**
 * How much of the commission goes back when `amount` more came back: of a deposit at most `amount`,
 * because it is paid out of it.
 */
export function feeOfReturn(payment: GivenBack, amount: bigint, policies: FeePolicies): bigint {
  if (policies.returnFee === 'keep') return 0n
  const { returned: gone, returnedFee: before } = payment
  const share = shareOf(payment, together(payment, policies) ?? { gone, before }, amount)
  return payment.type === 'deposit' ? least(amount, share) : share
}

/** What went back of a payment before, and of its commission with that. */
interface Gone {
  readonly gone: bigint
  readonly before: bigint
}

/** Refunds and returns together, where both policies return the commission; null: they do not. */
function together(payment: GivenBack, { refundFee, returnFee }: FeePolicies): Gone | null {
  if (refundFee !== 'return' || returnFee !== 'return') return null
  const { refundReserved, feeReserved, returned, returnedFee } = payment
  return { gone: refundReserved + returned, before: feeReserved + returnedFee }
}

/**
 * What of the commission goes back with `amount` more of the payment, behind what went back before:
 * its share, rounded down, so that giving back everything gives back all of it. Never less than
 * nothing, and never more than is left, whatever was given back and taken back again.
 */
function shareOf(payment: GivenBack, { gone, before }: Gone, amount: bigint): bigint {
  const { feeReserved, returnedFee } = payment
  const left = payment.commission - feeReserved - returnedFee
  const share = (payment.commission * (gone + amount)) / payment.amount - before
  return share > 0n && left > 0n ? least(share, left) : 0n
}

/** The smaller of two amounts. */
export function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}
