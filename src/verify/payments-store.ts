import type { Statement } from '../ports.ts'
import type { Seen } from './snapshot-store.ts'

/**
 * Payments `$5` < id ≤ `$6`, at most `$7` of them, and at most eight times as many pieces of evidence
 * behind the claim `$9` of the payment `$8`. What is judged ends before the payment whose evidence may
 * not all be here. If that is the first one it is judged not at all: what its evidence says is carried,
 * up to the last whole claim, and comes back as `$10` with the next step.
 */
const CHUNK_OF_RANGE = `
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
 * The payments with the ids `$5`, each with at most `$6` pieces of evidence. Those with more are not
 * judged but named, to be walked through. There is nothing behind a list.
 */
const CHUNK_OF_LIST = `
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

const WITHIN_RANGE = 'payment_id > $5 and payment_id <= (select upto from part)'
const WITHIN_LIST =
  'payment_id = any ($5::bigint[]) and payment_id not in (select payment_id from large)'

/**
 * What belongs to the payments of a chunk, and what would if they existed. Each table is read once,
 * through the index that begins with (shard, payment_id).
 */
const belongings = (within: string) => `
  task as materialized (
    select payment_id, fence, attempts, lookups, leased, run_at
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

/**
 * Payments with everything the rules ask about them. Postings are found through the payment's user,
 * because their key begins with it; those under another user are found from their side, in the users'
 * statement. Amounts are numeric here, because damage may exceed a bigint.
 */
const KNOWN = `
  known as materialized (
    select
      payment.*,
      payment.amount::numeric + payment.commission as cost,
      coalesce(payment.last_error like 'refused:%', false) as refused,
      payment.status in ('new', 'unknown') as open,
      div(payment.amount::numeric * payment.fee_bps + 5000, 10000) as share,
      posted.*, task.payment_id is not null as queued, task.fence, task.attempts as task_attempts,
      task.lookups, coalesce(task.leased, false) as leased, task.run_at,
      coalesce(letters.letters, 0) as letters, coalesce(letters.open, 0) as letters_open,
      coalesce(letters.open_unknown, 0) as letters_unknown,
      coalesce(letters.failed, 0) as letters_failed,
      coalesce(letters.contradicted, false) as contradicted,
      word.payment_id is not null as by_operator, coalesce(word.insisted, false) as insisted,
      coalesce(evidence.calls, 0) as calls, coalesce(evidence.claims, 0) as claims,
      evidence.fence_min, evidence.fence_max, coalesce(evidence.said_yes, false) as said_yes,
      coalesce(evidence.said_no, false) as said_no, to_timestamp(evidence.yes_at) as yes_at,
      (select 1 from users where shard = $1 and id = payment.user_id limit 1) as user_found,
      payment.idempotency_key is not null and (
        select true
        from payments
        where shard = $1 and user_id = payment.user_id
          and idempotency_key = payment.idempotency_key and id < payment.id
        limit 1
      ) is true as key_taken,
      payment.redrive_of is null or (
        select true
        from payments first
        where shard = $1 and id = payment.redrive_of and id < payment.id and status = 'failed'
          and (user_id, type, amount, commission) =
            (payment.user_id, payment.type, payment.amount, payment.commission)
        limit 1
      ) is true as repeats_rightly,
      payment.redrive_of is not null and (
        select count(*)
        from payments
        where shard = $1 and redrive_of = payment.redrive_of
      ) > 1 as repeats_again
    from chunk payment
    cross join lateral (
      select
        count(*) as entries,
        count(*) filter (where kind = 'hold') as holds,
        count(*) filter (where kind = 'settle') as settles,
        count(*) filter (where kind = 'release') as releases,
        count(*) filter (where kind = 'hold' and
          (user_available, user_held, gateway, fees, opening) is distinct from
          (-cost, cost, 0, 0, 0)) as holds_wrong,
        count(*) filter (where kind = 'release' and
          (user_available, user_held, gateway, fees, opening) is distinct from
          (cost, -cost, 0, 0, 0)) as releases_wrong,
        count(*) filter (where kind = 'settle' and payment.type = 'deposit' and
          (user_available, user_held, gateway, fees, opening) is distinct from
          (payment.amount::numeric - payment.commission, 0, -payment.amount::numeric,
           payment.commission, 0)) as deposits_wrong,
        count(*) filter (where kind = 'settle' and payment.type = 'withdraw' and
          (user_available, user_held, gateway, fees, opening) is distinct from
          (0, -cost, payment.amount, payment.commission, 0)) as withdrawals_wrong
      from postings
      cross join (select payment.amount::numeric + payment.commission as cost) price
      where shard = $1 and user_id = payment.user_id and payment_id = payment.id
    ) posted
    left join task on task.payment_id = payment.id
    left join letters on letters.payment_id = payment.id
    left join evidence on evidence.payment_id = payment.id
    left join word on word.payment_id = payment.id
  )`

/** The rules of the ledger: what each status and type must have posted, and nothing else. */
const POSTED = `
        case when status = 'success' and settles = 0 then 'settle_missing' end,
        case when settles > 1 then 'settle_repeated' end,
        case when status <> 'success' and settles > 0 then 'settle_unearned' end,
        case when deposits_wrong + withdrawals_wrong > 0 then 'settle_legs' end,
        case when type = 'withdraw' and not refused and holds = 0 then 'hold_missing' end,
        case when holds > 1 then 'hold_repeated' end,
        case when holds_wrong > 0 then 'hold_legs' end,
        case when type = 'deposit' and holds + releases > 0 then 'deposit_held' end,
        case when status = 'failed' and holds > 0 and releases = 0 then 'release_missing' end,
        case when releases > 1 then 'release_repeated' end,
        case when status <> 'failed' and releases > 0 then 'release_unearned' end,
        case when releases_wrong > 0 then 'release_legs' end,
        case when entries > holds + settles + releases then 'posting_kind' end,
        case when refused and (status <> 'failed' or entries > 0 or queued or calls > 0 or letters > 0)
          then 'refused_traces' end`

/**
 * The rules of the payment's own row. A commission is half-up of its stored rate, or a floor above
 * that. Which floors were ever configured is not stored: `$4` lists them, or is null for any floor.
 * A deposit that its commission would take whole is never accepted.
 */
const ROW = `
        case when amount not between 1 and 999999999999 then 'amount_range' end,
        case when commission < share or (type = 'deposit' and commission >= amount and commission > 0)
          then 'commission_rule' end,
        case when commission > share and $4::bigint[] is not null
          and commission <> all ($4::bigint[]) then 'commission_floor' end,
        case when type not in ('deposit', 'withdraw') or commission < 0 or fee_bps < 0
          or status not in ('new', 'success', 'failed', 'unknown') then 'payment_fields' end,
        case when key_taken then 'key_repeated' end,
        case when user_found is null then 'payment_user_missing' end,
        case when not repeats_rightly then 'repeat_wrong' end,
        case when repeats_again then 'repeat_twice' end,
        case when open <> (finished_at is null) then 'finish_time' end,
        case when finished_at < created_at then 'time_order' end,
        case when greatest(created_at, finished_at) > latest then 'time_in_future' end,
        case when id % $3::int <> $1 or user_id % $3 <> $1 then 'id_in_wrong_shard' end`

/**
 * The rules of work and evidence. A claim in flight has no evidence yet, and each letter may stand
 * for one claim that decided without a call, so that much slack is given. That nothing was executed
 * is a no only if no other charge is in doubt. A new payment needs a task;
 * an unknown one may instead wait for an operator. A yes that has been stored for a minute ends a
 * payment, unless a worker is on it; an operator who fails one against it has said so.
 */
const WORKED = `
        case when open and not queued and (status = 'new' or letters_open = 0)
          then 'payment_stranded' end,
        case when not open and queued then 'task_of_final' end,
        case when queued and (task_attempts not between 0 and fence or lookups < 0
          or (status = 'new' and lookups > 0)) then 'task_counters' end,
        case when status = 'unknown' and letters_unknown = 0 then 'unknown_without_letter' end,
        case when status = 'failed' and not refused and letters_failed = 0
          and not contradicted and not by_operator
          then 'failed_without_letter' end,
        case when letters_open > 1 then 'letter_repeated' end,
        case when status = 'success' and not said_yes and not by_operator
          then 'success_without_evidence' end,
        case when status = 'failed' and not refused and not said_no and not by_operator
          then 'failed_without_evidence' end,
        case when status = 'failed' and said_yes and not contradicted and not insisted
          then 'failed_but_charged' end,
        case when open and said_yes and yes_at < latest - interval '2 minutes'
          and not (leased and run_at > latest - interval '1 minute') then 'evidence_ignored' end,
        case when greatest(attempts, task_attempts) > claims + letters + leased::int
          then 'attempts_without_evidence' end,
        case when fence_min < 1 or fence_max > fence then 'evidence_unclaimed' end`

/** The findings, one row for each violating row, and the counts. */
const VERDICT = `
  judged as (
    select id, user_id, array_to_string(array[${POSTED},${ROW},${WORKED}
    ], ',') as rules
    from known
    cross join clock
  ), judged_letter as (
    select letter.id, letter.user_id, letter.payment_id, array_to_string(array[
      case when payment.id is null then 'letter_orphan' end,
      case when (letter.user_id, letter.payment_type, letter.amount, letter.commission) is distinct from
        (payment.user_id, payment.type, payment.amount, payment.commission) and payment.id is not null
        then 'letter_values' end,
      case when letter.state = 'open' and payment.id is not null and not (
        letter.class = payment.status
        or (letter.error = 'charged_after_failed' and payment.status = 'failed'))
        then 'letter_state' end,
      case when (letter.state = 'open') <> (closed_at is null) or closed_at < letter.created_at
        then 'letter_closing' end,
      case when greatest(letter.created_at, closed_at) > latest then 'time_in_future' end,
      case when letter.id % $3 <> $1 or letter.payment_id % $3 <> $1 then 'id_in_wrong_shard' end
    ], ',') as rules
    from letter
    cross join clock
    left join chunk payment on payment.id = letter.payment_id
  ), orphan_task as (
    select payment_id
    from task
    where not exists (select from chunk where chunk.id = payment_id)
  ), orphan_evidence as (
    select payment_id
    from evidence
    cross join part
    where not partial and not exists (select from chunk where chunk.id = payment_id)
  )
  select
    'finding' as kind, 'payment' as subject, id, id as "paymentId", user_id as "userId", rules,
    null as total
  from judged
  where rules <> ''
  union all
  select 'finding', 'letter', id, payment_id, user_id, rules, null
  from judged_letter
  where rules <> ''
  union all
  select 'finding', 'task', payment_id, payment_id, null, concat_ws(',',
    'task_orphan', case when payment_id % $3 <> $1 then 'id_in_wrong_shard' end), null
  from orphan_task
  union all
  select 'finding', 'attempt', payment_id, payment_id, null, 'attempt_orphan', null
  from orphan_evidence
  union all
  select 'checked', 'payment', null, null, null, null, count(*)::text
  from chunk
  union all
  select 'checked', 'task', null, null, null, null, count(*)::text
  from task
  union all
  select 'checked', 'letter', null, null, null, null, count(*)::text
  from letter
  union all
  select 'checked', 'attempt', null, null, null, null, coalesce(sum(calls), 0)::text
  from said
  union all
  select 'large', 'payment', payment_id, null, null, null, null
  from large
  union all
  select 'carry', 'payment', payment_id, upto_fence, null, null, concat_ws(',',
    calls, claims, fence_max, fence_min, yes, no, not_executed, in_doubt, yes_at)
  from evidence
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
 * Check the first payments of a range of ids of shard `$1` of `$3`, with their postings, tasks, letters
 * and evidence, and what lies in the range without a payment. One statement, so one snapshot: whatever
 * commits beside it is seen whole or not at all. See `walk` for the payment that has too much evidence.
 */
export const PAYMENTS_IN_RANGE: Statement<Seen> = {
  name: 'verify_payments_range',
  text: `
  with ${CLOCK}, ${CHUNK_OF_RANGE}, ${belongings(WITHIN_RANGE)}, ${KNOWN}, ${VERDICT}`,
}

/** The same of the payments with the ids `$5`. */
export const PAYMENTS_IN_LIST: Statement<Seen> = {
  name: 'verify_payments_list',
  text: `
  with ${CLOCK}, ${CHUNK_OF_LIST}, ${belongings(WITHIN_LIST)}, ${KNOWN}, ${VERDICT}`,
}
