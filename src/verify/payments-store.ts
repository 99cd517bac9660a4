import type { Statement } from '../ports.ts'
import {
  belongings,
  CHUNK_OF_LIST,
  CHUNK_OF_RANGE,
  WITHIN_LIST,
  WITHIN_RANGE,
} from './payments-chunk-store.ts'
import type { Seen } from './snapshot-store.ts'

/**
 * Payments with everything the rules ask about them. Postings are found through the payment's user,
 * because their key begins with it; those under another user are found from their side, in the
 * users' statement. Amounts are numeric here, because damage may exceed a bigint.
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
      task.operation, task.lookups, coalesce(task.leased, false) as leased, task.run_at,
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
        case when open and queued and ((type = 'deposit' and operation <> 'charge')
          or (type = 'withdraw' and operation <> 'payout')) then 'task_operation' end,
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
 * Check the first payments of a range of ids of shard `$1` of `$3`, with their postings, tasks,
 * letters and evidence, and what lies in the range without a payment. One statement, so one
 * snapshot: whatever commits beside it is seen whole or not at all. See `walk` for the payment that
 * has too much evidence.
 */
export const PAYMENTS_IN_RANGE: Statement<Seen> = {
  name: 'verify_payments_range',
  clock: true,
  text: `
  with ${CLOCK}, ${CHUNK_OF_RANGE}, ${belongings(WITHIN_RANGE)}, ${KNOWN}, ${VERDICT}`,
}

/** The same of the payments with the ids `$5`. */
export const PAYMENTS_IN_LIST: Statement<Seen> = {
  name: 'verify_payments_list',
  clock: true,
  text: `
  with ${CLOCK}, ${CHUNK_OF_LIST}, ${belongings(WITHIN_LIST)}, ${KNOWN}, ${VERDICT}`,
}
