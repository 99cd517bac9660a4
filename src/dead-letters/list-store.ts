import type { CarriedType } from '../domain/payment.ts'
import type { Runner, Statement } from '../ports.ts'
import { LETTER_COLUMNS, type DeadLetter } from './store.ts'

/**
 * A page, newest first, for the limit and offset of the original API; filters are optional. Each
 * class and state has its part of the index, newest first, of which no more is read than the page
 * may need.
 */
const PAGE: Statement<DeadLetter> = {
  name: 'dead_letters_page',
  text: `
  with part as (
    select class, state
    from unnest(array['failed', 'unknown']) as class
    cross join unnest(array['open', 'redriven', 'resolved']) as state
    where ($4::text is null or class = $4) and ($5::text is null or state = $5)
  ), listed as materialized (
    select letter.id as letter_id
    from part
    cross join lateral (
      select id
      from dead_letters
      where shard = $1 and class = part.class and state = part.state
      order by id desc
      limit $2::int + $3::int
    ) letter
    order by letter.id desc
    limit $2::int offset $3::int
  )
  select ${LETTER_COLUMNS}
  from listed
  cross join lateral (
    select *
    from dead_letters
    where shard = $1 and id = listed.letter_id
    limit 1
  ) letter
  order by id desc`,
}

/** Letters of one class and state that a list with an error looks at in a shard. */
export const LOOKED_AT_MAX = 10_000

/**
 * The same of one class, state and error. There is no index of errors, which are few: it looks at
 * so many of the newest letters.
 */
const PAGE_OF_ERROR: Statement<DeadLetter> = {
  name: 'dead_letters_page_of_error',
  text: `
  select ${LETTER_COLUMNS}
  from (
    select *
    from dead_letters
    where shard = $1 and class = $4 and state = $5
    order by id desc
    limit ${LOOKED_AT_MAX}
  ) letter
  where error = $6
  order by id desc
  limit $2::int offset $3::int`,
}

/** What a list of letters is filtered by; null: not. */
export interface LetterFilter {
  readonly class: DeadLetter['class'] | null
  readonly state: DeadLetter['state'] | null
  /** Of one class and state, which are given as well. */
  readonly error: string | null
}

/** A page of a shard's letters, newest first. */
export function pageOfLetters(
  shard: Runner,
  filter: LetterFilter,
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  const values = [limit, offset, filter.class, filter.state]
  if (filter.error === null) return shard.run(PAGE, values)
  return shard.run(PAGE_OF_ERROR, [...values, filter.error])
}

/** Open letters of one shard that have the same cause. */
export interface LetterGroup {
  readonly class: 'failed' | 'unknown'
  readonly error: string
  readonly type: CarriedType
  /** Null: that of the books. */
  readonly currency: string | null
  readonly count: number
  readonly amount: bigint
  readonly oldestAt: Date
  readonly newestAt: Date
}

/** Groups of one shard that are shown; errors are codes, so there are few. */
const GROUPS_MAX = 500

/** Open letters by cause: they are few, and an index holds exactly those. */
const GROUPS: Statement<LetterGroup> = {
  name: 'dead_letters_groups',
  text: `
  select
    class, error, payment_type as type, currency, count(*)::float8 as count,
    sum(amount)::bigint as amount, min(created_at) as "oldestAt", max(created_at) as "newestAt"
  from dead_letters
  where shard = $1 and state = 'open'
  group by class, error, payment_type, currency
  order by count(*) desc
  limit ${GROUPS_MAX}`,
}

/** A shard's open letters by cause, the largest groups first. */
export function groupsOfLetters(shard: Runner): Promise<LetterGroup[]> {
  return shard.run(GROUPS, [])
}
