import type { ChunkSql } from './chunk-store.ts'

/** What went back of the payments of a chunk, by its refunds and returns. */
const wentBack = (within: ChunkSql['within']) => `
  child as materialized (
    select parent_id, payment_id, ref
    from payment_children
    where shard = $1 and ${within('parent_id')}
  ), went_back as materialized (
    select
      child.parent_id,
      sum(amount) filter (where type = 'refund' and status <> 'failed') as refund_reserved,
      sum(fee_returned) filter (where type = 'refund' and status <> 'failed') as fee_reserved,
      sum(amount) filter (where type = 'refund' and status = 'success') as refunded,
      sum(case when return_kind in ('dispute_won', 'was_refund') then -amount else amount end)
        filter (where type = 'return') as returned,
      sum(case when return_kind in ('dispute_won', 'was_refund') then -fee_returned
        else fee_returned end)
        filter (where type = 'return') as returned_fee,
      sum(amount::numeric + coalesce(fee_returned, 0))
        filter (where return_kind = 'payout_returned') as paid_back,
      sum(amount) filter (where return_kind = 'charged_back') as charged_back,
      sum(losses) as won_back,
      count(*) filter (where amount is null) as strays,
      count(*) filter (
        where type = 'refund' and status = 'success' and booked.ref is not null
          and taken_back.ref is null
      ) > 0 and count(*) filter (where return_kind = 'dispute_won') = 0 as booked_twice
    from child
    left join lateral (
      select user_id, type, status, amount, fee_returned, return_kind, gateway_ref
      from payments
      where shard = $1 and id = child.payment_id and parent_id = child.parent_id
      limit 1
    ) payment on true
    left join lateral (
      select losses
      from postings
      where shard = $1 and user_id = payment.user_id and payment_id = child.payment_id
        and kind = 'settle' and payment.return_kind = 'payout_returned'
      limit 1
    ) entry on true
    left join child booked
      on booked.parent_id = child.parent_id and booked.ref = payment.gateway_ref
    left join child taken_back
      on taken_back.parent_id = child.parent_id
      and taken_back.ref = 'refund ' || child.payment_id
    group by child.parent_id
  )`

/** The references that payments of a chunk were given, and those that they have. */
const references = (within: ChunkSql['within']) => `
  referred as materialized (
    select
      coalesce(given.payment_id, taken.payment_id) as payment_id, given.reference as given,
      taken.reference as taken, taken.user_id as taken_by
    from (
      select payment_id, reference
      from payment_details
      where shard = $1 and ${within('payment_id')} and reference is not null
    ) given
    full join (
      select payment_id, user_id, reference
      from payment_references
      where shard = $1 and ${within('payment_id')}
    ) taken on taken.payment_id = given.payment_id
  )`

/**
 * What belongs to the payments of a chunk, and what would if they existed. Each table is read once,
 * through the index that begins with (shard, payment_id).
 */
export const belongings = (within: ChunkSql['within']) => `
  task as materialized (
    select payment_id, gateway, operation, purpose, fence, attempts, lookups, leased, run_at
    from payment_tasks
    where shard = $1 and ${within('payment_id')}
  ), kept_key as materialized (
    select payment_id, user_id, key
    from payment_keys
    where shard = $1 and ${within('payment_id')}
  ), letter as materialized (
    select *
    from dead_letters
    where shard = $1 and ${within('payment_id')}
  ), letters as materialized (
    select
      payment_id, count(*) as letters,
      count(*) filter (where state = 'open') as open,
      count(*) filter (where state = 'open' and class = 'unknown') as open_unknown,
      count(*) filter (where class = 'failed') as failed,
      bool_or(error = 'charged_after_failed') as contradicted,
      bool_or(error = 'charged_after_failed' and state = 'open') as alarmed
    from letter
    group by payment_id
  ), word as materialized (
    select
      payment_id,
      bool_or(act = 'resolve' and before ->> 'payment' = 'unknown') as resolved,
      bool_or(act = 'resolve' and after ->> 'against_evidence' = 'success') as insisted,
      bool_or(act = 'correct') as corrected
    from operator_acts
    where shard = $1 and ${within('payment_id')}
    group by payment_id
  ),${references(within)},${wentBack(within)}, said as materialized (
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
