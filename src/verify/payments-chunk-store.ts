/**
 * Payments `$5` < id ≤ `$6`, at most `$7` of them, and at most eight times as many pieces of
 * evidence behind the claim `$9` of the payment `$8`. What is judged ends before the payment whose
 * evidence may not all be here. If that is the first one it is judged not at all: what its evidence
 * says is carried, up to the last whole claim, and comes back as `$10` with the next step.
 */
export const CHUNK_OF_RANGE = `
  listed as materialized (
    select *
    from payments
    where shard = $1 and id > $5 and id <= $6
    order by id
    limit $7::int
  ), listed_upto as materialized (
    select case when count(*) < $7::int then $6::bigint else max(id) end as id
    from listed
  ), taken as materialized (
    select payment_id, fence, outcome, started_at
    from payment_attempts
    where shard = $1 and (payment_id, fence) > ($8::bigint, $9::bigint)
      and payment_id <= (select id from listed_upto)
    order by payment_id, fence, call
    limit $7::int * 8
  ), last as materialized (
    select payment_id, fence
    from taken
    order by payment_id desc, fence desc
    limit (case when (select count(*) from taken) < $7::int * 8 then 0 else 1 end)
  ), part as materialized (
    select
      least(id, coalesce(last.payment_id - 1, id)) as upto,
      coalesce(last.payment_id - 1 <= $5::bigint, false) as partial,
      coalesce((select max(fence) from taken where fence < last.fence), last.fence) as upto_fence
    from listed_upto
    left join last on true
  ), chunk as materialized (
    select listed.*
    from listed
    cross join part
    where not partial and id <= upto
  ), whole as materialized (
    select taken.*
    from taken
    cross join part
    where case when partial then fence <= upto_fence else payment_id <= upto end
  ), carried as materialized (
    select
      $8::bigint as payment_id, sums[1] as calls, sums[2] as claims, sums[3] as fence_max,
      sums[4] as fence_min, sums[5] as yes, sums[6] as no, sums[7] as not_executed,
      sums[8] as in_doubt, sums[9] as yes_at
    from (select $10::bigint[] as sums) given
    where sums is not null
  ), large as materialized (
    select null::bigint as payment_id
    where false
  )`

/**
 * The payments with the ids `$5`, each with at most `$6` pieces of evidence. Those with more are
 * not judged but named, to be walked through. There is nothing behind a list.
 */
export const CHUNK_OF_LIST = `
  taken as materialized (
    select attempt.*
    from unnest($5::bigint[]) as listed (id)
    cross join lateral (
      select payment_id, fence, outcome, started_at
      from payment_attempts
      where shard = $1 and payment_id = listed.id
      order by fence, call
      limit $6::int
    ) attempt
  ), large as materialized (
    select payment_id
    from taken
    group by payment_id
    having count(*) >= $6::int
  ), chunk as materialized (
    select *
    from payments
    where shard = $1 and id = any ($5::bigint[]) and id not in (select payment_id from large)
  ), whole as materialized (
    select *
    from taken
    where payment_id not in (select payment_id from large)
  ), part as materialized (
    select 9223372036854775807 as upto, false as partial, null::int as upto_fence
  ), carried as materialized (
    select
      null::bigint as payment_id, 0::bigint as calls, 0::bigint as claims, 0::bigint as fence_max,
      0::bigint as fence_min, 0::bigint as yes, 0::bigint as no, 0::bigint as not_executed,
      0::bigint as in_doubt, 0::bigint as yes_at
    where false
  )`

/** What lies in a range of payments, and what belongs to those of a list. */
export const WITHIN_RANGE = 'payment_id > $5 and payment_id <= (select upto from part)'
export const WITHIN_LIST =
  'payment_id = any ($5::bigint[]) and payment_id not in (select payment_id from large)'

/**
 * What belongs to the payments of a chunk, and what would if they existed. Each table is read once,
 * through the index that begins with (shard, payment_id).
 */
export const belongings = (within: string) => `
  task as materialized (
    select payment_id, operation, fence, attempts, lookups, leased, run_at
    from payment_tasks
    where shard = $1 and ${within}
  ), letter as materialized (
    select *
    from dead_letters
    where shard = $1 and ${within}
  ), letters as materialized (
    select
      payment_id, count(*) as letters,
      count(*) filter (where state = 'open') as open,
      count(*) filter (where state = 'open' and class = 'unknown') as open_unknown,
      count(*) filter (where class = 'failed') as failed,
      bool_or(error = 'charged_after_failed') as contradicted
    from letter
    group by payment_id
  ), word as materialized (
    select payment_id, bool_or(after ->> 'against_evidence' = 'success') as insisted
    from operator_acts
    where shard = $1 and ${within} and act = 'resolve' and before ->> 'payment' = 'unknown'
    group by payment_id
  ), said as materialized (
    select
      payment_id, count(*) as calls, count(distinct fence) as claims, max(fence) as fence_max,
      min(fence) as fence_min,
      count(*) filter (where outcome = 'success') as yes,
      count(*) filter (where outcome in ('declined', 'not_found')) as no,
      count(*) filter (where outcome in ('not_executed', 'rejected', 'misconfigured'))
        as not_executed,
      count(*) filter (where outcome in ('in_doubt', 'pending')) as in_doubt,
      coalesce(max(extract(epoch from started_at)) filter (where outcome = 'success'), 0)::bigint
        as yes_at
    from whole
    group by payment_id
  ), known_so_far as (
    select *
    from said
    union all
    select *
    from carried
  ), evidence as materialized (
    select
      payment_id, sum(calls) as calls, sum(claims) as claims, max(fence_max) as fence_max,
      min(fence_min) as fence_min, sum(yes) as yes, sum(no) as no,
      sum(not_executed) as not_executed, sum(in_doubt) as in_doubt, max(yes_at) as yes_at,
      sum(yes) > 0 as said_yes,
      sum(no) > 0 or (sum(not_executed) > 0 and sum(in_doubt) = 0) as said_no
    from known_so_far
    group by payment_id
  )`
