import type { Entry } from '../domain/ledger.ts'
import type { Tx } from '../ports.ts'
import { insertPostings, moveBalances } from './store.ts'

/**
 * Post journal entries: append them and move the users' balances by their sums, in the caller's
 * transaction, so that balances equal postings by construction. Only the statement that accepts
 * (`ACCEPT` in src/payments/accept-store.ts) moves money without it: it writes the holds of a batch
 * itself.
 */
export function post(tx: Tx, entries: readonly Entry[]): void {
  if (entries.length === 0) return
  insertPostings(tx, entries)
  moveBalances(tx, entries)
}
