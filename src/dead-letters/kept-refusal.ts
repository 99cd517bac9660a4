import { exponentIn } from '../domain/currency.ts'
import type { Refusal } from '../domain/refusal.ts'

type Words = Readonly<Record<string, string | null>>

/**
 * What the record of an act says of its refusal, if it is one that is kept under a key: for lack of
 * funds. `currency` is that of the payment.
 */
export function recordRefusal({ code, required }: Refusal, currency: string): Words | null {
  if (code !== 'insufficient_funds') return null
  return { refused: code, required: required === undefined ? null : `${required}`, currency }
}

/** The refusal that a record is about; null: the act was carried out. */
export function recordedRefusal(after: Words): Refusal | null {
  const { refused = null, required = null, currency = null } = after
  if (refused !== 'insufficient_funds') return null
  if (required === null || currency === null) return { code: refused }
  return { code: refused, required: BigInt(required), exponent: exponentIn(null, currency) }
}
