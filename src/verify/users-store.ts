import type { Statement } from '../ports.ts'
import type { Seen } from './snapshot-store.ts'

/**
 * Users `$4` < id ≤ `$5`, at most `$6` of them, and at most four times as many of the postings
 * behind the payment `$8` of the user `$7`. What is judged ends before the user whose postings may
 * not all be here. If that is the first one it is judged not at all: its sums are carried, up to
 * the last whole payment, and come back as `$9` with the next step.
 */
const CHUNK_OF_RANGE = `
  listed as materialized (
    select *
    from users
    where shard = $1 and id > $4 and id <= $5
    order by id
    limit $6::int
  ), taken as materialized (
    select *
    from postings
    where shard = $1 and (user_id, payment_id) > ($7::bigint, $8::bigint) and user_id <= $5
    order by user_id, payment_id, kind
    limit $6::int * 4
  ), last as materialized (
    select user_id, payment_id
    from taken
    order by user_id desc, payment_id desc
    limit (case when (select count(*) from taken) < $6::int * 4 then 0 else 1 end)
  ), bound as materialized (
    select least(
      case when (select count(*) from listed) < $6::int then $5::bigint
        else (select max(id) from listed) end,
      coalesce((select user_id - 1 from last), $5::bigint)
    ) as upto
  ), part as materialized (
    select upto, upto <= $4::bigint and $4::bigint < $5::bigint as partial, coalesce(
      (select max(payment_id) from taken where payment_id < (select payment_id from last)),
      (select payment_id from last)
    ) as upto_payment
    from bound
  ), chunk as materialized (
    select listed.*
    from listed
    cross join part
    where not partial and id <= upto
  ), whole as materialized (
    select taken.*
    from taken
    cross join part
    where case when partial then payment_id <= upto_payment else user_id <= upto end
  ), carried as materialized (
    select
      $7::bigint as user_id, sums[1] as available, sums[2] as held, sums[3] as gateway,
      sums[4] as fees, sums[5] as opening, sums[6] as openings, sums[7] as openings_wrong,
      sums[8] as open_cost
    from (select $9::numeric[] as sums) given
    where sums is not null
  ), large as materialized (
    select null::bigint as user_id
    where false
  )`

/**
 * The users with the ids `$4`, each with at most `$5` postings. Those with more are not judged but
 * named, to be walked through. There is nothing behind a list.
 */
const CHUNK_OF_LIST = `
  taken as materialized (
    select posting.*
    from unnest($4::bigint[]) as listed (id)
    cross join lateral (
      select *
      from postings
      where shard = $1 and user_id = listed.id
      order by payment_id, kind
      limit $5::int
    ) posting
  ), large as materialized (
    select user_id
    from taken
    group by user_id
    having count(*) >= $5::int
  ), chunk as materialized (
    select *
    from users
    where shard = $1 and id = any ($4::bigint[]) and id not in (select user_id from large)
  ), whole as materialized (
    select *
    from taken
    where user_id not in (select user_id from large)
  ), part as materialized (
    select 9223372036854775807 as upto, false as partial, null::bigint as upto_payment
  ), carried as materialized (
    select
      null::bigint as user_id, 0::numeric as available, 0::numeric as held, 0::numeric as gateway,
      0::numeric as fees, 0::numeric as opening, 0::numeric as openings,
      0::numeric as openings_wrong, 0::numeric as open_cost
    where false
  )`

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
    from whole posting
    group by user_id, payment_id
  )`

/** The balances of each user as the postings have them, with what open withdrawals must hold. */
const POSTED = `
  summed as (
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
    union all
    select *
    from carried
  ), posted as materialized (
    select
      user_id, sum(available) as available, sum(held) as held, sum(gateway) as gateway,
      sum(fees) as fees, sum(opening) as opening, sum(openings) as openings,
      sum(openings_wrong) as openings_wrong, sum(open_cost) as open_cost
    from summed
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
    cross join part
    where not partial
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
    from entry
  ) totals
  cross join lateral (values
    ('user', available), ('user_held', held), ('gateway', gateway), ('fees', fees),
    ('opening', opening)
  ) account (name, total)
  union all
  select 'large', 'user', user_id, null, null, null, null
  from large
  union all
  select 'carry', 'user', user_id, upto_payment, null, null, concat_ws(',',
    available, held, gateway, fees, opening, openings, openings_wrong, coalesce(open_cost, 0))
  from posted
  cross join part
  where partial
  union all
  select 'upto', '', upto, null, null, null, null
  from part
  order by kind, id`

const CLOCK = `
  clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) + interval '1 minute' as latest
  )`

/**
 * Check the first users of a range of ids of shard `$1` of `$3`, with all of their postings, and
 * the postings in the range whose user does not exist; see `walk` for the user that has too many.
 */
export const USERS_IN_RANGE: Statement<Seen> = {
  name: 'verify_users_range',
  clock: true,
  text: `
  with ${CLOCK}, ${CHUNK_OF_RANGE}, ${ENTRIES}, ${POSTED}, ${VERDICT}`,
}

/** The same of the users with the ids `$4`, in one statement and so of one moment. */
export const USERS_IN_LIST: Statement<Seen> = {
  name: 'verify_users_list',
  clock: true,
  text: `
  with ${CLOCK}, ${CHUNK_OF_LIST}, ${ENTRIES}, ${POSTED}, ${VERDICT}`,
}
