import { eachShard, whole } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { journalPage, type JournalPayment } from './journal-store.ts'

/** A page of the journal, and below which payment the next one begins; null: it has ended. */
interface JournalPage {
  readonly payments: readonly JournalPayment[]
  readonly next: bigint | null
}

/** The entries of the newest payments below an id, over all shards. */
export async function journal(db: Db, before: bigint, limit: number): Promise<JournalPage> {
  const pages = await eachShard(db.shards, (shard) => journalPage(shard, before, limit + 1))
  const newest = whole(pages)
    .flat()
    .sort((one, other) => (one.id < other.id ? 1 : -1))
  const payments = newest.slice(0, limit)
  return { payments, next: newest.length > limit ? (payments.at(-1)?.id ?? null) : null }
}
