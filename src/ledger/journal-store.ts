import type { Posting } from './store.ts'
import type { Runner, Statement } from '../ports.ts'

/** A payment of a page of the journal, with one of its entries; without any, null stands there. */
interface JournalRow {
  readonly id: bigint
  readonly userId: bigint
  /** Null: that of the books. */
  readonly currency: string | null
  readonly kind: string | null
  readonly user: bigint | null
  readonly held: bigint | null
  readonly gateway: bigint | null
  readonly fees: bigint | null
  readonly opening: bigint | null
  readonly losses: bigint | null
  readonly createdAt: Date | null
}

/**
 * The entries of the newest payments below an id. Entries are stored by their user, so payments
 * lead to them; the limits keep the planner from reading all entries for a join.
 */
const PAGE: Statement<JournalRow> = {
  name: 'journal_page',
  text: `
  with newest as materialized (
    select id, user_id, currency
    from payments
    where shard = $1 and id < $2
    order by id desc
    limit $3
  )
  select
    newest.id, newest.user_id as "userId", newest.currency, entry.kind,
    entry.user_available as "user", entry.user_held as held, entry.gateway, entry.fees,
    entry.opening, entry.losses, entry.created_at as "createdAt"
  from newest
  left join lateral (
    select *
    from postings
    where shard = $1 and user_id = newest.user_id and payment_id = newest.id
    order by kind
    limit 10
  ) entry on true
  order by newest.id desc, entry.kind`,
}

/** An entry of a payment that is known. */
type JournalEntry = Omit<Posting, 'userId' | 'paymentId'>

/** A payment's entries, as the journal shows them. */
export interface JournalPayment {
  readonly id: bigint
  readonly userId: bigint
  readonly currency: string | null
  readonly entries: JournalEntry[]
}

/** The newest payments of a shard below an id, with their entries. */
export async function journalPage(
  shard: Runner,
  before: bigint,
  limit: number,
): Promise<JournalPayment[]> {
  const rows = await shard.run(PAGE, [before, limit])
  const payments = new Map<bigint, JournalPayment>()
  for (const { id, userId, currency, kind, ...entry } of rows) {
    const known = payments.get(id) ?? { id, userId, currency, entries: [] }
    payments.set(id, known)
    // The columns of an entry are null together.
    if (kind !== null) known.entries.push({ kind, ...entry } as JournalEntry)
  }
  return [...payments.values()]
}
