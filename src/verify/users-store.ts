import type { Statement } from '../ports.ts'
import type { Seen } from './store.ts'

/** Users `$4` < id ≤ the `$5`-th after it; behind the last user up to the end of all ids. */
const CHUNK_OF_RANGE = `
  chunk as materialized (
    select *
    from users
    where shard = $1 and id > $4
    order by id
    limit $5::int
  ), bound as materialized (
    select case when count(*) < $5 then 9223372036854775807 else max(id) end as upto
    from chunk
  )`

/** The users with the ids `$4`. There is nothing behind a list. */
const CHUNK_OF_LIST = `
  chunk as materialized (
    select *
    from users
    where shard = $1 and id = any ($4::bigint[])
  ), bound as materialized (
    select 9223372036854775807 as upto
  )`

const WITHIN_RANGE = 'user_id > $4 and user_id <= (select upto from bound)'
const WITHIN_LIST = 'user_id = any ($4::bigint[])'

/**
 * What is posted to the users of a chunk, by payment. A payment is looked up by its user and id, which
 * is a look into an index; only strays and unfinished holds, which are few, are looked up in the
 * table. LIMIT keeps the planner from reading all payments instead, and damage from failing it.
 */
const entries = (within: string) => `
  entry as materialized (
    select
      user_id, payment_id, count(*) as entries, max(created_at) as created_at,
      sum(user_available) as available, sum(user_held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening,
      count(*) filter (where kind = 'opening') as openings,
      count(*) filter (where kind = 'opening' and (payment_id <> 0 or opening > 0
        or user_available::numeric <> -opening::numeric or user_held <> 0 or gateway <> 0
        or fees <> 0)) as openings_wrong,
      count(*) filter (where user_available::numeric + user_held + gateway + fees + opening <> 0)
        as unbalanced,
      payment_id = 0 or (
        select true
        from payments
        where shard = $1 and user_id = posting.user_id and id = posting.payment_id
        limit 1
      ) is true as belongs
    from postings posting
    where shard = $1 and ${within}
    group by user_id, payment_id
  ), repeated as materialized (
    select user_id, idempotency_key
    from payments
    where shard = $1 and idempotency_key is not null and ${within}
    group by user_id, idempotency_key
    having count(*) > 1
  )`

/** The balances of each user as the postings have them, with what open withdrawals must hold. */
const POSTED = `
  posted as materialized (
    select
      user_id, sum(available) as available, sum(held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening, sum(openings) as openings,
      sum(openings_wrong) as openings_wrong,
      sum(case when held <> 0 and payment_id <> 0 then (
        select amount::numeric + commission
        from payments
        where shard = $1 and id = entry.payment_id and user_id = entry.user_id
          and type = 'withdraw' and status in ('new', 'unknown')
        limit 1
      ) end) as open_cost
    from entry
    group by user_id
  )`

/** The findings, one row for each violating row, the counts, and the sums of the accounts. */
const VERDICT = `
  judged as (
    select coalesce(chunk.id, posted.user_id) as id, array_to_string(array[
      case when chunk.id is null then 'posting_user_missing' end,
      case when chunk.available <> coalesce(posted.available, 0) then 'balance_available' end,
      case when chunk.held <> coalesce(posted.held, 0) then 'balance_held' end,
      case when chunk.held <> coalesce(posted.open_cost, 0) then 'held_open' end,
      case when least(chunk.available, chunk.held) < 0 then 'balance_negative' end,
      case when chunk.id is not null and coalesce(posted.openings, 0) = 0 then 'opening_missing' end,
      case when posted.openings > 1 then 'opening_repeated' end,
      case when posted.openings_wrong > 0 then 'opening_legs' end,
      case when chunk.created_at > latest then 'time_in_future' end,
      case when coalesce(chunk.id, posted.user_id) % $3::int <> $1 then 'id_in_wrong_shard' end
    ], ',') as rules
    from chunk
    full join posted on posted.user_id = chunk.id
    cross join clock
  ), judged_entry as (
    select payment_id, user_id, array_to_string(array[
      case when unbalanced > 0 then 'entry_unbalanced' end,
      case when not belongs then case when (
        select true from payments where shard = $1 and id = entry.payment_id limit 1
      ) then 'posting_user' else 'posting_orphan' end end,
      case when payment_id = 0 and entries > openings then 'posting_kind' end,
      case when created_at > latest then 'time_in_future' end,
      case when payment_id <> 0 and payment_id % $3 <> $1 then 'id_in_wrong_shard' end
    ], ',') as rules
    from entry
    cross join clock
  )
  select
    'finding' as kind, 'user' as subject, id, null::bigint as "paymentId", id as "userId", rules,
    null as total
  from judged
  where rules <> ''
  union all
  select 'finding', 'posting', payment_id, payment_id, user_id, rules, null
  from judged_entry
  where rules <> ''
  union all
  select 'finding', 'payment', newest.id, newest.id, user_id, 'key_repeated', null
  from repeated
  cross join lateral (
    select max(id) as id
    from payments
    where shard = $1 and user_id = repeated.user_id
      and idempotency_key = repeated.idempotency_key
  ) newest
  union all
  select 'checked', 'user', null, null, null, null, count(*)::text
  from chunk
  union all
  select 'checked', 'posting', null, null, null, null, coalesce(sum(entries), 0)::text
  from entry
  union all
  select 'account', name, null, null, null, null, coalesce(total, 0)::text
  from (
    select
      sum(available) as available, sum(held) as held, sum(gateway) as gateway, sum(fees) as fees,
      sum(opening) as opening
    from posted
  ) totals
  cross join lateral (values
    ('user', available), ('user_held', held), ('gateway', gateway), ('fees', fees),
    ('opening', opening)
  ) account (name, total)
  union all
  select 'upto', '', upto, null, null, null, null
  from bound`

const CLOCK = `
  clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) + interval '1 minute' as latest
  )`

/**
 * Check the users of a range of ids of shard `$1` of `$3`, with all of their postings and keys, and
 * the postings in the range whose user does not exist. One statement, so one snapshot.
 */
export const USERS_IN_RANGE: Statement<Seen> = {
  name: 'verify_users_range',
  text: `
  with ${CLOCK}, ${CHUNK_OF_RANGE}, ${entries(WITHIN_RANGE)}, ${POSTED}, ${VERDICT}`,
}

/** The same of the users with the ids `$4`. */
export const USERS_IN_LIST: Statement<Seen> = {
  name: 'verify_users_list',
  text: `
  with ${CLOCK}, ${CHUNK_OF_LIST}, ${entries(WITHIN_LIST)}, ${POSTED}, ${VERDICT}`,
}
