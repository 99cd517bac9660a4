import type { Runner, Statement } from '../ports.ts'
import { COLUMNS, type DeadLetter } from './store.ts'

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
  select ${COLUMNS}
  from listed
  cross join lateral (
    select *
    from dead_letters
    where shard = $1 and id = listed.letter_id
    limit 1
  ) letter
  order by id desc`,
}

/** What a list of letters is filtered by; null: not. */
export interface LetterFilter {
  readonly class: DeadLetter['class'] | null
  readonly state: DeadLetter['state'] | null
}

/** A page of a shard's letters, newest first. */
export function pageOfLetters(
  shard: Runner,
  filter: LetterFilter,
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  return shard.run(PAGE, [limit, offset, filter.class, filter.state])
}
