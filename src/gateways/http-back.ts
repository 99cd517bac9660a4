import type { CameBack, LookupOutcome } from '../domain/outcome.ts'
import { isFields, minorUnits, refIn, type Fields } from './http-reply.ts'

/** What a lookup tells beside a success. */
type WentBack = Pick<Extract<LookupOutcome, { kind: 'success' }>, 'refunded' | 'returns'>

const KINDS: readonly CameBack['kind'][] = [
  'payout_returned',
  'charged_back',
  'refunded_there',
  'dispute_won',
]

/**
 * What went back of a charge since, in the words of the contract: `refunded`, and `returns` with
 * the gateway's reference of each. A return that is not whole is left out: nothing is booked of it.
 */
export function wentBack(fields: Fields, exponent: number): WentBack {
  const { refunded: amount, returns: rows } = fields
  const refunded = minorUnits(amount, exponent)
  const returns = Array.isArray(rows) ? rows.flatMap((row) => returnIn(row, exponent)) : []
  return {
    ...(refunded === null ? {} : { refunded }),
    ...(returns.length === 0 ? {} : { returns }),
  }
}

function returnIn(row: unknown, exponent: number): CameBack[] {
  if (!isFields(row)) return []
  const kind = KINDS.find((known) => known === row['kind'])
  const ref = refIn(row['gateway_ref'])
  const amount = minorUnits(row['amount'], exponent)
  if (kind === undefined || ref === null || amount === null || amount === 0n) return []
  const atMs = typeof row['at'] === 'string' ? Date.parse(row['at']) : NaN
  return [{ ref, amount, kind, at: Number.isNaN(atMs) ? null : new Date(atMs) }]
}
