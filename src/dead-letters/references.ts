import { keyOf } from '../domain/acceptance.ts'
import type { Refusal } from '../domain/refusal.ts'
import type { Left, takeReferences } from '../payments/details-store.ts'

/** References that acts of a batch give to payments, by user and reference. */
export type Taken = Map<string, Parameters<typeof takeReferences>[1][number]>

/** The payment that has a reference now, or will by a letter before; null: none. */
export function referenceHolder(left: Left, taken: Taken): bigint | null {
  return left.takenBy ?? taken.get(keyOf(left.userId, left.reference))?.paymentId ?? null
}

/** Why a payment that leaves its reference to its repeat cannot be repeated; null: it can. */
export function referenceTaken(left: Left | undefined, taken: Taken): Refusal | null {
  const paymentId = left === undefined ? null : referenceHolder(left, taken)
  return paymentId === null ? null : { code: 'reference_taken', paymentId }
}

/** Give a payment the reference that another one, or it itself before it failed, has left. */
export function take(taken: Taken, { userId, reference }: Left, paymentId: bigint): void {
  taken.set(keyOf(userId, reference), { userId, reference, paymentId })
}
