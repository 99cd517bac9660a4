import type { Runner, Statement } from '../ports.ts'

/** Entries of a user that a statement adds up; of those who have more, the newest payments'. */
export const ENTRIES_MAX = 50_000

/** What a user's entries of a month or a day come to, in minor units. */
export interface PeriodRow {
  readonly from: Date
  readonly entries: number
  /** What entries added to what is the user's, held or not, and what they took, as 0 or less. */
  readonly credited: bigint
  readonly debited: bigint
  /** How what can be spent changed. */
  readonly available: bigint
  readonly fees: bigint
  /** What the user has now, in the moment in which all this was read. */
  readonly availableNow: bigint
  readonly heldNow: bigint
}

/** A user's entries by period, the newest first, with the balance of the same moment. */
const PERIODS: Statement<PeriodRow> = {
  name: 'postings_by_period',
  text: `
  with entry as materialized (
    select created_at, user_available, user_available + user_held as change, fees
    from postings
    where shard = $1 and user_id = $2
    order by payment_id desc, kind desc
    limit ${ENTRIES_MAX}
  ), period as (
    select
      date_trunc($3::text, created_at, 'UTC') as start, count(*)::float8 as entries,
      sum(greatest(change, 0))::bigint as credited, sum(least(change, 0))::bigint as debited,
      sum(user_available)::bigint as available, sum(fees)::bigint as fees
    from entry
    group by 1
  )
  select
    start as "from", entries, credited, debited, period.available, fees,
    owner.available as "availableNow", owner.held as "heldNow"
  from period
  join users owner on owner.shard = $1 and owner.id = $2
  order by start desc`,
}

/** A user's entries by period, the newest first. */
export function entriesByPeriod(
  shard: Runner,
  userId: bigint,
  period: 'day' | 'month',
): Promise<PeriodRow[]> {
  return shard.run(PERIODS, [userId, period])
}
