import { gatewayOf } from '../domain/array-parameters.ts'
import { CURRENCIES, EXPONENTS, type Exponent } from '../domain/currency.ts'
import { AMOUNTS_MAX } from '../domain/money.ts'
import { ID_MAX } from '../domain/shard.ts'
import { CLOCK, timed, type Statement } from '../ports.ts'
import { belongings } from './belongings-store.ts'
import { GIVEN, inList, inRange, verdict, type ChunkSql, type Reading } from './chunk-store.ts'
import { violatedBy } from './rules.ts'
import type { Seen } from './snapshot-store.ts'

/** Payments with their evidence, at most four calls a claim. */
const READING: Reading = {
  table: 'payments',
  belongings: 'payment_attempts',
  columns: 'payment_id, fence, outcome, started_at',
  key: 'payment_id',
  cursor: 'fence',
  rest: 'call',
  perRow: 8,
  sums: 'calls claims fence_max fence_min yes no not_executed in_doubt yes_at'.split(' '),
}

/**
 * How much the clocks of two servers may differ that stamp what belongs together. Ids tell nothing
 * of time: those of a reserve are older than what they are given to.
 */
const CLOCKS = `interval '1 minute'`

/** The codes of the currencies with an exponent, as a list of SQL. */
function codes(exponent: Exponent): string {
  const named = [...CURRENCIES].filter(([, other]) => other === exponent)
  return named.map(([code]) => `'${code}'`).join(', ')
}

/** The largest amount of the payment's currency; most have two decimals. */
const AMOUNT_MAX = `case
        ${EXPONENTS.filter((exponent) => exponent !== 2)
          .map(
            (exponent) => `when coalesce(payment.currency, (select books from given)) in (
          ${codes(exponent)}
        ) then ${AMOUNTS_MAX[exponent]}`,
          )
          .join('\n        ')}
        else ${AMOUNTS_MAX[2]} end`

/** Since when a type of event is wanted in this shard; null: it is not. */
const wantedSince = (type: string) => `(
        select since[array_position(types, '${type}')]
        from event_wants
        where shard = $1
      )`

/**
 * Whether a final payment has no event although it was wanted when it ended. Who wants a type has
 * locked out whoever ended payments without knowing, so the time when it ended tells. A return is
 * told of the payment that it is of. Events up to `kept_since` may be gone for their age.
 */
const UNTOLD = `payment.type <> 'return' and case payment.status
        when 'success' then payment.finished_at >= ${wantedSince('payment.succeeded')}
        when 'failed' then payment.finished_at >= ${wantedSince('payment.failed')}
      end is true and (
        select payment.finished_at <= kept_since
        from event_wants
        where shard = $1
      ) is not true and (
        select true
        from events
        where shard = $1 and payment_id = payment.id and type = case payment.status
          when 'success' then 'payment.succeeded' else 'payment.failed' end
        limit 1
      ) is not true`

/**
 * Whether a payment has not the reference that it was given, or one that it may not have: who
 * failed has none, unless it was corrected and has its own again. What repeats a payment has the
 * reference that the first one was given; an erasure takes both away, perhaps one after the other.
 */
const REFERENCE_WRONG = `case
        when referred.taken is null then referred.given is not null and payment.status <> 'failed'
        else referred.taken_by <> payment.user_id
          or (payment.status = 'failed' and word.corrected is not true)
          or (payment.redrive_of is null and referred.taken is distinct from referred.given)
      end`

/**
 * Payments with everything the rules ask about them. Postings are found through the payment's user,
 * because their key begins with it; those under another user are found from their side, in the
 * users' statement. Amounts are numeric here, because damage may exceed a bigint.
 */
const KNOWN = `
  known as materialized (
    select
      payment.*,
      payment.refused_for is not null or coalesce(payment.last_error like 'refused:%', false)
        as refused,
      payment.status in ('new', 'unknown') as open,
      div(payment.amount::numeric * payment.fee_bps + 5000, 10000) as share,
      posted.*, task.payment_id is not null as queued, task.fence, task.attempts as task_attempts,
      task.gateway as task_gateway, ${gatewayOf('payment.gateway')} as own_gateway,
      task.operation, coalesce(task.purpose, '') as purpose, task.lookups,
      coalesce(task.leased, false) as leased, task.run_at,
      coalesce(letters.letters, 0) as letters, coalesce(letters.open, 0) as letters_open,
      coalesce(letters.open_unknown, 0) as letters_unknown,
      coalesce(letters.failed, 0) as letters_failed,
      coalesce(letters.contradicted, false) as contradicted,
      coalesce(letters.alarmed, false) as alarmed,
      coalesce(word.resolved, false) as by_operator, coalesce(word.insisted, false) as insisted,
      coalesce(word.corrected, false) as corrected,
      (coalesce(payment.refund_reserved, 0), coalesce(payment.fee_reserved, 0),
        coalesce(payment.refunded, 0)) is distinct from
        (coalesce(went_back.refund_reserved, 0), coalesce(went_back.fee_reserved, 0),
          coalesce(went_back.refunded, 0)) as refunds_wrong,
      (coalesce(payment.returned, 0), coalesce(payment.returned_fee, 0)) is distinct from
        (coalesce(went_back.returned, 0), coalesce(went_back.returned_fee, 0)) as returns_wrong,
      coalesce(went_back.charged_back, 0) as charged_back,
      coalesce(went_back.strays, 0) as children_wrong,
      coalesce(went_back.won_back, 0) is distinct from
        least(coalesce(went_back.paid_back, 0), posted.lost) as recovery_wrong,
      coalesce(went_back.booked_twice, false) as booked_twice,
      payment.parent_id is null or (
        select true
        from payments parent
        where shard = $1 and id = payment.parent_id and user_id = payment.user_id
          and created_at <= payment.created_at + ${CLOCKS}
          and (status = 'success' or payment.type = 'return' and exists (
            select
            from postings
            where shard = $1 and user_id = payment.user_id and payment_id = payment.parent_id
              and kind = 'settle_late'
          ))
          and type = case payment.return_kind
            when 'payout_returned' then 'withdraw'
            else 'deposit'
          end
        limit 1
      ) is true as parent_right,
      payment.parent_id is null or payment.refused_for is not null or (
        select true
        from payment_children
        where shard = $1 and parent_id = payment.parent_id and payment_id = payment.id
          and ref is not distinct from
            case when payment.type = 'return' then payment.gateway_ref end
        limit 1
      ) is true as listed,
      coalesce(evidence.calls, 0) as calls, coalesce(evidence.claims, 0) as claims,
      evidence.fence_min, evidence.fence_max, coalesce(evidence.said_yes, false) as said_yes,
      coalesce(evidence.said_no, false) as said_no, coalesce(evidence.in_doubt, 0) as doubts,
      to_timestamp(evidence.yes_at) as yes_at,
      (select 1 from users where shard = $1 and id = payment.user_id limit 1) as user_found,
      (select currency from users where shard = $1 and id = payment.user_id limit 1)
        as user_currency,
      ${AMOUNT_MAX} as amount_max,
      payment.idempotency_key is not null and (
        select true
        from payments
        where shard = $1 and user_id = payment.user_id
          and idempotency_key = payment.idempotency_key and id < payment.id
          and id < (select coalesce(keyed_from, ${ID_MAX}) from given)
        limit 1
      ) is true as key_taken,
      payment.idempotency_key is not null and kept_key.key is null as key_unkept,
      payment.redrive_of is null or (
        select true
        from payments first
        where shard = $1 and id = payment.redrive_of and id <> payment.id and status = 'failed'
          and created_at <= payment.created_at + ${CLOCKS}
          and (user_id, type, amount, commission) =
            (payment.user_id, payment.type, payment.amount, payment.commission)
        limit 1
      ) is true as repeats_rightly,
      payment.redrive_of is not null and (
        select count(*)
        from payments
        where shard = $1 and redrive_of = payment.redrive_of
      ) > 1 as repeats_again,
      ${REFERENCE_WRONG} as reference_wrong,
      ${UNTOLD} as untold
    from chunk payment
    cross join lateral (
      select
        count(*) as entries,
        count(*) filter (where kind = 'hold') as holds,
        count(*) filter (where kind = 'settle') as settles,
        count(*) filter (where kind = 'release') as releases,
        count(*) filter (where kind = 'settle_late') as lates,
        coalesce(sum(-losses) filter (where kind = 'settle_late'), 0) as lost,
        count(*) filter (where kind = 'hold' and
          (user_available, user_held, gateway, fees, opening, losses) is distinct from
          (-cost, cost, 0, 0, 0, 0)) as holds_wrong,
        count(*) filter (where kind = 'release' and
          (user_available, user_held, gateway, fees, opening, losses) is distinct from
          (cost, -cost, 0, 0, 0, 0)) as releases_wrong,
        count(*) filter (where kind = 'settle' and case payment.type
          when 'deposit' then
            (user_available, user_held, gateway, fees, opening, losses) is distinct from
            (paid - earned, 0, -paid, earned, 0, 0)
          when 'return' then
            (user_held, gateway, fees, opening) is distinct from
              (0, taken * paid, case when payment.return_kind in ('dispute_won', 'was_refund')
                then given else -given end, 0)
            or greatest(taken * user_available, taken * losses) > 0
          else
            (user_available, user_held, gateway, fees, opening, losses) is distinct from
            (0, -cost, paid, earned - given, 0, 0)
          end) as settles_wrong,
        count(*) filter (where kind = 'settle_late' and case payment.type
          when 'deposit' then
            (user_available, user_held, gateway, fees, opening, losses) is distinct from
            (paid - earned, 0, -paid, earned, 0, 0)
          else
            (user_held, gateway, fees, opening) is distinct from (0, paid, earned, 0)
            or greatest(user_available, losses) > 0
          end) as lates_wrong
      from postings
      cross join (
        select
          payment.amount::numeric as paid, payment.commission::numeric as earned,
          coalesce(payment.fee_returned, 0)::numeric as given,
          payment.amount::numeric + payment.commission - coalesce(payment.fee_returned, 0) as cost,
          case when payment.return_kind in ('charged_back', 'refunded_there') then 1 else -1 end
            as taken
      ) price
      where shard = $1 and user_id = payment.user_id and payment_id = payment.id
    ) posted
    left join task on task.payment_id = payment.id
    left join letters on letters.payment_id = payment.id
    left join evidence on evidence.payment_id = payment.id
    left join kept_key on kept_key.payment_id = payment.id
    left join word on word.payment_id = payment.id
    left join went_back on went_back.parent_id = payment.id
    left join referred on referred.payment_id = payment.id
  )`

/** The findings, and how many rows were looked at. */
const VERDICT = `
  judged as (
    select
      'payment' as subject, id, id as payment_id, user_id, ${violatedBy('payment')} as rules
    from known
    cross join given
    union all
    select
      'letter', letter.id, letter.payment_id, letter.user_id, ${violatedBy('letter')}
    from letter
    cross join given
    left join chunk payment on payment.id = letter.payment_id
    union all
    select
      'payment', payment_id, payment_id, kept_key.user_id, ${violatedBy('key')}
    from kept_key
    cross join given
    left join chunk payment on payment.id = payment_id
    union all
    select
      'task', payment_id, payment_id, null, ${violatedBy('task')}
    from (
      select payment_id, payment.id is null as orphan
      from task
      left join chunk payment on payment.id = payment_id
    ) task
    cross join given
    union all
    select
      'attempt', payment_id, payment_id, null, ${violatedBy('attempt')}
    from (
      select payment_id, payment.id is null as orphan
      from evidence
      cross join part
      left join chunk payment on payment.id = payment_id
      where not partial
    ) evidence
  )
  ${verdict(READING, 'evidence')}
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
  order by kind, id`

const checking = ({ text, within }: ChunkSql) => timed`
  with ${CLOCK}, ${GIVEN}, ${text}, ${belongings(within)}, ${KNOWN}, ${VERDICT}`

/**
 * Check the first payments of a range of ids of shard `$1` of `$3`, with their postings, tasks,
 * letters and evidence, and what lies in the range without a payment. One statement, so one
 * snapshot: whatever commits beside it is seen whole or not at all. See `walk` for the payment that
 * has too much evidence.
 */
export const PAYMENTS_IN_RANGE: Statement<Seen> = {
  name: 'verify_payments_range',
  ...checking(inRange(READING)),
}

/** The same of the payments with the ids `$5`. */
export const PAYMENTS_IN_LIST: Statement<Seen> = {
  name: 'verify_payments_list',
  ...checking(inList(READING)),
}
