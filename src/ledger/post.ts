import type { Entry } from '../domain/ledger.ts'
import type { Tx } from '../ports.ts'
import { insertPostings, moveBalances } from './store.ts'

/**
 * Post journal entries: append them and move the users' balances by their sums, in the caller's
 * transaction. The only way by which money moves, so balances equal postings by construction.
 */
export function post(tx: Tx, shard: number, entries: readonly Entry[], at: Date | null): void {
  if (entries.length === 0) return
  insertPostings(tx, shard, entries, at)
  moveBalances(tx, shard, entries)
}
