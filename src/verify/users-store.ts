import { CLOCK, timed, type Statement } from '../ports.ts'
import { GIVEN, inList, inRange, verdict, type ChunkSql, type Reading } from './chunk-store.ts'
import { violatedBy } from './rules.ts'
import type { Seen } from './snapshot-store.ts'

/** Users with their postings, at most three a payment. */
const READING: Reading = {
  table: 'users',
  belongings: 'postings',
  columns: '*',
  key: 'user_id',
  cursor: 'payment_id',
  rest: 'kind',
  perRow: 4,
  sums: 'available held gateway fees opening losses openings openings_wrong open_cost'.split(' '),
}

/**
 * What is posted to the users of a chunk, by payment. A payment is looked up by its user and id,
 * which is a look into an index; only strays and unfinished holds, which are few, are looked up in
 * the table. LIMIT keeps the planner from reading all payments instead, and damage from failing it.
 */
const ENTRIES = `
  entry as materialized (
    select
      user_id, payment_id, count(*) as entries, max(created_at) as created_at,
      sum(user_available) as available, sum(user_held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening, sum(losses) as losses,
      count(*) filter (where kind = 'opening') as openings,
      count(*) filter (where kind = 'opening' and (payment_id <> 0 or opening > 0
        or user_available::numeric <> -opening::numeric or user_held <> 0 or gateway <> 0
        or fees <> 0 or losses <> 0)) as openings_wrong,
      count(*) filter (
        where user_available::numeric + user_held + gateway + fees + opening + losses <> 0
      ) as unbalanced,
      payment_id = 0 or (
        select true
        from payments
        where shard = $1 and user_id = posting.user_id and id = posting.payment_id
        limit 1
      ) is true as belongs
    from whole posting
    group by user_id, payment_id
  ), stray as (
    select *, case when belongs then false else (
      select true
      from payments
      where shard = $1 and id = entry.payment_id
      limit 1
    ) is true end as elsewhere
    from entry
  )`

/**
 * The balances of each user as the postings have them, with what open withdrawals and refunds must
 * hold.
 */
const POSTED = `
  summed as (
    select
      user_id, sum(available) as available, sum(held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening, sum(losses) as losses, sum(openings) as openings,
      sum(openings_wrong) as openings_wrong,
      sum(case when held <> 0 and payment_id <> 0 then (
        select amount::numeric + commission - coalesce(fee_returned, 0)
        from payments
        where shard = $1 and id = entry.payment_id and user_id = entry.user_id
          and type in ('withdraw', 'refund') and status in ('new', 'unknown')
        limit 1
      ) end) as open_cost
    from entry
    group by user_id
    union all
    select *
    from carried
  ), posted as materialized (
    select user_id, ${READING.sums.map((sum) => `coalesce(sum(${sum}), 0) as ${sum}`).join(', ')}
    from summed
    group by user_id
  ), known as (
    select
      coalesce(chunk.id, posted.user_id) as id, chunk.id is null as missing, chunk.available,
      chunk.held, created_at, coalesce(posted.available, 0) as posted_available,
      coalesce(posted.held, 0) as posted_held, coalesce(open_cost, 0) as open_cost,
      coalesce(openings, 0) as openings, coalesce(openings_wrong, 0) as openings_wrong
    from chunk
    full join posted on posted.user_id = chunk.id
    cross join part
    where not partial
  )`

/**
 * The findings, how many rows were looked at, and the sums of the accounts by currency, which
 * stands where a finding has its rules; null is that of the books.
 */
const VERDICT = `
  judged as (
    select
      'user' as subject, id, null::bigint as payment_id, id as user_id,
      ${violatedBy('user')} as rules
    from known
    cross join given
    union all
    select
      'posting', payment_id, payment_id, user_id, ${violatedBy('posting')}
    from stray
    cross join given
  )
  ${verdict(READING, 'posted')}
  union all
  select 'checked', 'user', null, null, null, null, count(*)::text
  from chunk
  union all
  select 'checked', 'posting', null, null, null, null, coalesce(sum(entries), 0)::text
  from entry
  union all
  select 'account', name, null, null, null, currency, coalesce(total, 0)::text
  from (
    select
      currency, sum(owned.available) as available, sum(owned.held) as held,
      sum(gateway) as gateway, sum(fees) as fees, sum(opening) as opening, sum(losses) as losses
    from (select) one
    left join (
      select
        user_id, sum(available) as available, sum(held) as held, sum(gateway) as gateway,
        sum(fees) as fees, sum(opening) as opening, sum(losses) as losses
      from entry
      group by user_id
    ) owned on true
    left join chunk on chunk.id = owned.user_id
    group by currency
  ) totals
  cross join lateral (values
    ('user', available), ('user_held', held), ('gateway', gateway), ('fees', fees),
    ('opening', opening), ('losses', losses)
  ) account (name, total)
  order by kind, id`

const checking = ({ text }: ChunkSql) => timed`
  with ${CLOCK}, ${GIVEN}, ${text}, ${ENTRIES}, ${POSTED}, ${VERDICT}`

/**
 * Check the first users of a range of ids of shard `$1` of `$3`, with all of their postings, and
 * the postings in the range whose user does not exist; see `walk` for the user that has too many.
 */
export const USERS_IN_RANGE: Statement<Seen> = {
  name: 'verify_users_range',
  ...checking(inRange(READING)),
}

/** The same of the users with the ids `$5`, in one statement and so of one moment. */
export const USERS_IN_LIST: Statement<Seen> = {
  name: 'verify_users_list',
  ...checking(inList(READING)),
}
