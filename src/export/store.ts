import type { Entry } from '../domain/ledger.ts'
import type { Statement, Tx } from '../ports.ts'

/** A journal entry with the account that it is of. */
export interface Posted extends Entry {
  readonly createdAt: Date
  /** The currency of its user; null: that of the books. */
  readonly currency: string | null
  /** What is stored of its user: the sum of the entries. */
  readonly available: bigint
  readonly reserved: bigint
}

/** Where a page of the journal ended. */
export type JournalPlace = Pick<Posted, 'userId' | 'paymentId' | 'kind'>

/**
 * The next `$5` entries of a shard behind a place, along the key. The user is looked up for each
 * entry, and the limit keeps the planner from joining all users instead.
 */
const PAGE: Statement<Posted> = {
  name: 'export_postings',
  text: `
  select
    posting.user_id as "userId", posting.payment_id as "paymentId", posting.kind,
    posting.user_available as "user", posting.user_held as "held", posting.gateway, posting.fees,
    posting.opening, posting.losses, posting.created_at as "createdAt", owner.currency,
    coalesce(owner.available, 0) as available, coalesce(owner.held, 0) as reserved
  from postings posting
  left join lateral (
    select currency, available, held
    from users
    where shard = $1 and id = posting.user_id
    limit 1
  ) owner on true
  where posting.shard = $1
    and (posting.user_id, posting.payment_id, posting.kind) > ($2::bigint, $3::bigint, $4::text)
  order by posting.user_id, posting.payment_id, posting.kind
  limit $5::int`,
}

/** Before the first entry of every journal. */
const BEGINNING = { userId: -9_223_372_036_854_775_808n, paymentId: 0n, kind: '' } as const

/** The next entries of a shard's journal, by user; null: from the beginning. */
export function postingsBehind(
  tx: Tx,
  place: JournalPlace | null,
  limit: number,
): Promise<Posted[]> {
  const { userId, paymentId, kind } = place ?? BEGINNING
  return tx.run(PAGE, [userId, paymentId, kind, limit])
}
