import type { CameBack, LookupOutcome, UnreadReturn } from '../domain/outcome.ts'
import { fieldsIn, minorUnits, refIn, type ReplyFields, type HttpOrder } from './http-reply.ts'

/** What a lookup tells beside a success. */
type WentBack = Pick<Extract<LookupOutcome, { kind: 'success' }>, 'refunded' | 'returns' | 'unread'>

/** In the words of the contract; null: it is none of them. */
export function kindIn(word: unknown): CameBack['kind'] | null {
  return KINDS.find((known) => known === word) ?? null
}

const KINDS: readonly CameBack['kind'][] = [
  'payout_returned',
  'charged_back',
  'refunded_there',
  'dispute_won',
]

/**
 * What went back of a charge since, in the words of the contract: `refunded`, and `returns` with
 * the gateway's reference of each. Nothing can be booked of a return that is not whole: it is told
 * as `unread`.
 */
export function wentBack(fields: ReplyFields, order: Money): WentBack {
  const { refunded: amount, returns: rows } = fields
  const refunded = minorUnits(amount, order.exponent)
  const told = Array.isArray(rows) ? rows.map((row) => returnIn(row, order)) : []
  const returns = told.flatMap((one) => ('code' in one ? [] : [one]))
  const unread = told.flatMap((one) => ('code' in one ? [one] : []))
  return {
    ...(refunded === null ? {} : { refunded }),
    ...(returns.length === 0 ? {} : { returns }),
    ...(unread.length === 0 ? {} : { unread }),
  }
}

type Money = Pick<HttpOrder, 'exponent' | 'currency'>

function returnIn(given: unknown, { exponent, currency }: Money): CameBack | UnreadReturn {
  const row = fieldsIn(given)
  const kind = kindIn(row['kind'])
  const ref = refIn(row['gateway_ref'])
  const amount = minorUnits(row['amount'], exponent)
  if (ref === null) return { ref, code: 'ref_unreadable' }
  const other = row['currency'] ?? currency
  if (currency !== null && other !== currency) return { ref, code: 'currency_differs' }
  if (kind === null) return { ref, code: 'kind_unknown' }
  if (amount === null || amount === 0n) return { ref, code: 'amount_unreadable' }
  const atMs = typeof row['at'] === 'string' ? Date.parse(row['at']) : NaN
  return { ref, amount, kind, at: Number.isNaN(atMs) ? null : new Date(atMs) }
}
