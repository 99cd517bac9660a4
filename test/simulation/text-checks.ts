import { must } from './promises.ts'
import type { PaymentRow, Tables } from './tables.ts'
import { isCorrected } from './watch-statements.ts'

/**
 * A reference belongs to the one payment of its user that has it and did not fail, or that was
 * corrected while nobody else had it.
 */
export function checkReferences(tables: Tables): void {
  const holders = new Map<string, bigint>()
  for (const payment of tables.payments.rows.values()) {
    const reference = referenceOf(payment, tables)
    if (reference === null || !isLive(payment, tables)) continue
    const key = `${payment.userId} ${reference}`
    must(!holders.has(key), 'a reference belongs to one payment that did not fail', payment)
    holders.set(key, payment.id)
    const kept = tables.references.get(key)?.paymentId
    must(kept === payment.id, 'a payment that did not fail keeps its reference', payment)
  }
  must(tables.references.rows.size === holders.size, 'what failed gives up its reference')
}

/** Whoever corrected a payment was told who has its reference, or it has it again. */
function isLive(payment: PaymentRow, tables: Tables): boolean {
  if (payment.status !== 'failed') return true
  if (!isCorrected(tables, payment)) return false
  const acts = [...tables.acts.rows.values()]
  const first = acts.find(({ act, paymentId }) => act === 'correct' && paymentId === payment.id)
  return first?.after['reference_taken_by'] === undefined
}

/** A repeat has the reference of the payment that it repeats. */
function referenceOf(payment: PaymentRow, tables: Tables): string | null {
  const first = payment.redriveOf === null ? undefined : tables.payments.get(payment.redriveOf)
  if (first !== undefined) return referenceOf(first, tables)
  return tables.details.get(payment.id)?.reference ?? null
}
