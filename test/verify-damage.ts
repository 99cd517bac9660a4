/** One kind of damage: what is done to healthy books, and every rule that must then be violated. */
export interface Damage {
  readonly name: string
  readonly sql: readonly string[]
  readonly rules: readonly string[]
}

const payment = (where: string) => `(select min(id) from payments where ${where})`
const PAID_IN = payment("type = 'deposit' and status = 'success'")
const PAID_OUT = payment("type = 'withdraw' and status = 'success'")
const FAILED_IN = payment("type = 'deposit' and status = 'failed'")
const FAILED_OUT = payment(
  "type = 'withdraw' and status = 'failed' and last_error not like 'refused:%'",
)
const REFUSED = payment("last_error like 'refused:%'")
const NEW_IN = payment("type = 'deposit' and status = 'new'")
const NEW_OUT = payment("type = 'withdraw' and status = 'new'")
const UNKNOWN_OUT = payment(
  `type = 'withdraw' and status = 'unknown' and not exists (select from payment_attempts
     where payment_id = payments.id and outcome = 'not_found')`,
)
const UNKNOWN = payment("status = 'unknown'")

const drop = (table: string, ...names: readonly string[]) =>
  names.map((name) => `alter table ${table} drop constraint ${table}_${name}`)

/** A posting like another one, with some of its columns changed. */
const copyPosting = (of: string, kind: string, changes: string) =>
  `insert into postings select (jsonb_populate_record(posting, '${changes}')).*
   from postings posting where payment_id = ${of} and kind = '${kind}'`

const PAY = 'update payments set'

export const DAMAGES: readonly Damage[] = [
  {
    name: 'an entry that does not sum to zero',
    sql: [
      ...drop('postings', 'balanced'),
      `update postings set fees = fees + 1 where payment_id = ${PAID_IN}`,
    ],
    rules: ['entry_unbalanced', 'ledger_unbalanced', 'settle_legs'],
  },
  {
    name: 'two unbalanced entries that make up for each other',
    sql: [
      ...drop('postings', 'balanced'),
      `update postings set gateway = gateway + 1 where payment_id = ${PAID_IN}`,
      `update postings set gateway = gateway - 1
       where payment_id = ${PAID_OUT} and kind = 'settle'`,
    ],
    rules: ['entry_unbalanced', 'settle_legs'],
  },
  {
    name: 'money given to a user without a posting',
    sql: ['update users set available = available + 1 where id = 3'],
    rules: ['balance_available'],
  },
  {
    name: 'a hold raised without a posting',
    sql: ['update users set held = held + 1 where id = 3'],
    rules: ['balance_held', 'held_open'],
  },
  {
    name: 'held money moved to what can be spent',
    sql: ['update users set held = 0, available = available + held where held > 0'],
    rules: ['balance_available', 'balance_held', 'held_open'],
  },
  {
    name: 'a balance below zero',
    sql: [
      ...drop('users', 'available_check'),
      'update users set available = -1 where id = 1',
      `insert into postings select shard, user_id, 0, 'opening', -1 - available, 0, 0, 0,
         1 + available, created_at from (select shard, user_id, sum(user_available) as available,
         min(created_at) as created_at from postings where user_id = 1 group by 1, 2) sum
       on conflict (shard, user_id, payment_id, kind) do update
       set user_available = postings.user_available + excluded.user_available,
         opening = postings.opening + excluded.opening`,
    ],
    rules: ['balance_negative', 'opening_legs'],
  },
  {
    name: 'an opening entry deleted',
    sql: ["delete from postings where user_id = 2 and kind = 'opening'"],
    rules: ['balance_available', 'opening_missing'],
  },
  {
    name: 'an opening entry twice',
    sql: [
      ...drop('postings', 'pkey'),
      "insert into postings select * from postings where user_id = 2 and kind = 'opening'",
    ],
    rules: ['balance_available', 'opening_repeated'],
  },
  {
    name: 'an opening balance that comes from the fees',
    sql: [`update postings set fees = opening, opening = 0 where user_id = 2 and kind = 'opening'`],
    rules: ['opening_legs'],
  },
  {
    name: 'an opening entry under a payment',
    sql: [
      `update postings set payment_id = ${PAID_IN}, user_id = (select user_id from payments
       where id = ${PAID_IN}) where user_id = 1 and kind = 'opening'`,
    ],
    rules: ['opening_legs', 'opening_missing', 'opening_repeated', 'posting_kind'],
  },
  {
    name: 'a posting of no payment',
    sql: [copyPosting(PAID_IN, 'settle', '{"payment_id": 999999}')],
    rules: ['balance_available', 'posting_orphan'],
  },
  {
    name: 'a posting moved to another user',
    sql: [`update postings set user_id = user_id % 4 + 1 where payment_id = ${PAID_IN}`],
    rules: ['balance_available', 'posting_user', 'settle_missing'],
  },
  {
    name: 'a posting of no user',
    sql: [copyPosting(PAID_IN, 'settle', '{"user_id": 77, "payment_id": 999999}')],
    rules: ['posting_orphan', 'posting_user_missing'],
  },
  {
    name: 'a posting of a kind that does not exist',
    sql: [...drop('postings', 'kind_check'), copyPosting(PAID_IN, 'settle', '{"kind": "gift"}')],
    rules: ['balance_available', 'posting_kind'],
  },
  {
    name: 'a success without its settlement',
    sql: [`delete from postings where payment_id = ${PAID_IN}`],
    rules: ['balance_available', 'settle_missing'],
  },
  {
    name: 'a withdrawal that succeeded and only holds',
    sql: [`delete from postings where payment_id = ${PAID_OUT} and kind = 'settle'`],
    rules: ['balance_held', 'settle_missing'],
  },
  {
    name: 'a payment settled twice',
    sql: [...drop('postings', 'pkey'), copyPosting(PAID_IN, 'settle', '{}')],
    rules: ['balance_available', 'settle_repeated'],
  },
  {
    name: 'a deposit settled while it is open',
    sql: [
      copyPosting(PAID_IN, 'settle', '{}').replace(
        "jsonb_populate_record(posting, '{}')",
        `jsonb_populate_record(posting, jsonb_build_object('payment_id', ${NEW_IN},
        'user_id', (select user_id from payments where id = ${NEW_IN})))`,
      ),
    ],
    rules: ['balance_available', 'settle_legs', 'settle_unearned'],
  },
  {
    name: 'a failed deposit that was settled',
    sql: [
      `insert into postings select shard, user_id, id, 'settle', amount - commission, 0, -amount,
         commission, 0, created_at from payments where id = ${FAILED_IN}`,
    ],
    rules: ['balance_available', 'settle_unearned'],
  },
  {
    name: 'a settlement of another amount',
    sql: [
      `update postings set gateway = gateway - 100, user_available = user_available + 100
       where payment_id = ${PAID_IN}`,
    ],
    rules: ['balance_available', 'settle_legs'],
  },
  {
    name: 'a commission booked as the user’s money',
    sql: [
      `update postings set fees = 0, user_available = user_available + fees
       where payment_id = ${payment("type = 'deposit' and status = 'success' and commission > 0")}`,
    ],
    rules: ['balance_available', 'settle_legs'],
  },
  {
    name: 'an open withdrawal without its hold',
    sql: [`delete from postings where payment_id = ${NEW_OUT}`],
    rules: ['balance_available', 'balance_held', 'held_open', 'hold_missing'],
  },
  {
    name: 'a withdrawal held twice',
    sql: [...drop('postings', 'pkey'), copyPosting(NEW_OUT, 'hold', '{}')],
    rules: ['balance_available', 'balance_held', 'hold_repeated'],
  },
  {
    name: 'a hold of another amount',
    sql: [
      `update postings set user_available = user_available + 1, user_held = user_held - 1
       where payment_id = ${NEW_OUT}`,
    ],
    rules: ['balance_available', 'balance_held', 'hold_legs'],
  },
  {
    name: 'a deposit that holds',
    sql: [
      `insert into postings select shard, user_id, id, 'hold', 0, 0, 0, 0, 0, created_at
       from payments where id = ${PAID_IN}`,
    ],
    rules: ['deposit_held', 'hold_legs'],
  },
  {
    name: 'a failed withdrawal that keeps its hold',
    sql: [`delete from postings where payment_id = ${FAILED_OUT} and kind = 'release'`],
    rules: ['balance_available', 'balance_held', 'release_missing'],
  },
  {
    name: 'a hold released twice',
    sql: [...drop('postings', 'pkey'), copyPosting(FAILED_OUT, 'release', '{}')],
    rules: ['balance_available', 'balance_held', 'release_repeated'],
  },
  {
    name: 'a hold released while the outcome is unknown',
    sql: [
      `insert into postings select shard, user_id, payment_id, 'release', -user_available,
         -user_held, 0, 0, 0, created_at from postings where payment_id = ${UNKNOWN_OUT}`,
      `update users set available = available + amount + commission,
         held = held - amount - commission
       from payments where payments.id = ${UNKNOWN_OUT} and users.id = user_id`,
    ],
    rules: ['release_unearned'],
  },
  {
    name: 'a release of another amount',
    sql: [
      `update postings set user_available = user_available - 1, user_held = user_held + 1
       where payment_id = ${FAILED_OUT} and kind = 'release'`,
    ],
    rules: ['balance_available', 'balance_held', 'release_legs'],
  },
  {
    name: 'an unknown withdrawal that somebody failed',
    sql: [`${PAY} status = 'failed', finished_at = created_at where id = ${UNKNOWN_OUT}`],
    rules: [
      'failed_without_evidence',
      'failed_without_letter',
      'held_open',
      'letter_state',
      'release_missing',
      'task_of_final',
    ],
  },
  {
    name: 'a refused payment with a task',
    sql: [
      `insert into payment_tasks (shard, payment_id, run_at)
           select shard, id, created_at from payments where id = ${REFUSED}`,
    ],
    rules: ['refused_traces', 'task_of_final'],
  },
  {
    name: 'a refused payment that was charged',
    sql: [
      `insert into payment_attempts select shard, id, 1, 1, 'charge', 'success', null, true, 200,
             created_at, 1 from payments where id = ${REFUSED}`,
    ],
    rules: ['failed_but_charged', 'refused_traces'],
  },
  {
    name: 'a yes of the gateway to a failed payment that nobody was told of',
    sql: [
      `insert into payment_attempts select shard, id, 1, 2, 'charge', 'success', null, true, 200,
             created_at, 1, true from payments where id = ${FAILED_IN}`,
    ],
    rules: ['failed_but_charged'],
  },
  {
    name: 'two payments under one key, the index gone',
    sql: [
      'drop index payments_idempotency_key',
      `${PAY} idempotency_key = 'same' where id in (
         select id from payments where user_id = 2 order by id limit 2)`,
    ],
    rules: ['key_repeated'],
  },
  {
    name: 'two payments under one gateway key',
    sql: [
      `${PAY} gateway_key = (select gateway_key from payments where id = ${PAID_IN})
       where id = ${PAID_OUT}`,
    ],
    rules: ['gateway_key_repeated'],
  },
  {
    name: 'an amount of nothing',
    sql: [
      ...drop('payments', 'amount_check', 'check'),
      `${PAY} amount = 0, commission = 0 where id = ${NEW_IN}`,
    ],
    rules: ['amount_range'],
  },
  {
    name: 'an amount that overflows all arithmetic',
    sql: [`${PAY} amount = 9223372036854775807 where id = ${NEW_IN}`],
    rules: ['amount_range', 'commission_rule'],
  },
  {
    name: 'a commission below its rate',
    sql: [`${PAY} fee_bps = 9000 where id = ${NEW_IN}`],
    rules: ['commission_rule'],
  },
  {
    name: 'a commission that takes the whole deposit',
    sql: [`${PAY} commission = amount where id = ${NEW_IN}`],
    rules: ['commission_floor', 'commission_rule'],
  },
  {
    name: 'a commission above its rate that is no floor',
    sql: [
      `${PAY} commission = commission + 1 where id = ${payment(
        "type = 'deposit' and status = 'new' and amount > 100",
      )}`,
    ],
    rules: ['commission_floor'],
  },
  {
    name: 'a status that does not exist',
    sql: [...drop('payments', 'status_check'), `${PAY} status = 'processing' where id = ${NEW_IN}`],
    rules: ['finish_time', 'payment_fields', 'task_of_final'],
  },
  {
    name: 'a type that does not exist',
    sql: [...drop('payments', 'type_check'), `${PAY} type = 'refund' where id = ${NEW_IN}`],
    rules: ['payment_fields'],
  },
  {
    name: 'a payment of no user',
    sql: [`${PAY} user_id = 77 where id = ${NEW_IN}`],
    rules: ['payment_user_missing'],
  },
  {
    name: 'a user deleted',
    sql: ['delete from users where id = 4'],
    rules: ['payment_user_missing', 'posting_user_missing'],
  },
  {
    name: 'a success that the gateway never confirmed',
    sql: [`delete from payment_attempts where payment_id = ${PAID_IN} and outcome = 'success'`],
    rules: ['attempts_without_evidence', 'success_without_evidence'],
  },
  {
    name: 'a failure without a no',
    sql: [`update payment_attempts set outcome = 'in_doubt' where payment_id = ${FAILED_IN}`],
    rules: ['failed_without_evidence'],
  },
  {
    name: 'attempts nobody made',
    sql: [`${PAY} attempts = attempts + 3 where id = ${PAID_IN}`],
    rules: ['attempts_without_evidence'],
  },
  {
    name: 'evidence of no payment',
    sql: [`update payment_attempts set payment_id = 999999 where payment_id = ${PAID_IN}`],
    rules: ['attempt_orphan', 'attempts_without_evidence', 'success_without_evidence'],
  },
  {
    name: 'evidence of a claim that was not made',
    sql: [
      `insert into payment_attempts select shard, payment_id, fence + 1, 1, 'charge', 'in_doubt',
             null, true, null, run_at, 1 from payment_tasks where payment_id = ${NEW_IN}`,
    ],
    rules: ['evidence_unclaimed'],
  },
  {
    name: 'a new payment without its task',
    sql: [`delete from payment_tasks where payment_id = ${NEW_IN}`],
    rules: ['payment_stranded'],
  },
  {
    name: 'an unknown payment without task and letter',
    sql: [
      `delete from payment_tasks where payment_id = ${UNKNOWN}`,
      `delete from dead_letters where payment_id = ${UNKNOWN}`,
    ],
    rules: ['payment_stranded', 'unknown_without_letter'],
  },
  {
    name: 'a task of no payment',
    sql: ["insert into payment_tasks (shard, payment_id, run_at) values (0, 999999, '2030-01-01')"],
    rules: ['task_orphan'],
  },
  {
    name: 'a task of a finished payment',
    sql: [
      `insert into payment_tasks (shard, payment_id, run_at, fence)
           select shard, id, created_at, 9 from payments where id = ${PAID_IN}`,
    ],
    rules: ['task_of_final'],
  },
  {
    name: 'more attempts than claims',
    sql: [`update payment_tasks set lookups = 1 where payment_id = ${NEW_IN}`],
    rules: ['task_counters'],
  },
  {
    name: 'money at risk whose letter is closed',
    sql: [
      `update dead_letters set state = 'resolved', closed_at = created_at, closed_by = 'jane'
           where payment_id = ${UNKNOWN}`,
    ],
    rules: ['unknown_without_letter'],
  },
  {
    name: 'a failed payment without a letter',
    sql: [`delete from dead_letters where payment_id = ${FAILED_IN}`],
    rules: ['failed_without_letter'],
  },
  {
    name: 'a letter of no payment',
    sql: [`update dead_letters set payment_id = 999999 where payment_id = ${FAILED_IN}`],
    rules: ['failed_without_letter', 'letter_orphan'],
  },
  {
    name: 'a letter about another amount',
    sql: [`update dead_letters set amount = amount + 1 where payment_id = ${FAILED_IN}`],
    rules: ['letter_values'],
  },
  {
    name: 'an open letter of a success',
    sql: [
      `update dead_letters letter set payment_id = payment.id, user_id = payment.user_id,
             payment_type = type, amount = payment.amount, commission = payment.commission
           from payments payment
           where payment.id = ${PAID_IN} and letter.payment_id = ${FAILED_IN}`,
    ],
    rules: ['failed_without_letter', 'letter_state'],
  },
  {
    name: 'a letter of the other class',
    sql: [`update dead_letters set class = 'unknown' where payment_id = ${FAILED_IN}`],
    rules: ['failed_without_letter', 'letter_state'],
  },
  {
    name: 'a closed letter without its time',
    sql: [`update dead_letters set state = 'resolved' where payment_id = ${FAILED_IN}`],
    rules: ['letter_closing'],
  },
  {
    name: 'two open letters of a payment',
    sql: [
      'drop index dead_letters_open',
      `insert into dead_letters select (jsonb_populate_record(letter, '{"id": 0}')).*
       from dead_letters letter where payment_id = ${FAILED_IN}`,
    ],
    rules: ['letter_repeated'],
  },
  {
    name: 'a redriven payment of another amount than the failed one',
    sql: [
      `${PAY} redrive_of = ${FAILED_IN} where id = (select max(id) from payments
         where type = 'deposit' and status = 'new'
         and amount <> (select amount from payments where id = ${FAILED_IN}))`,
    ],
    rules: ['repeat_wrong'],
  },
  {
    name: 'a final payment without the time it finished',
    sql: [...drop('payments', 'check1'), `${PAY} finished_at = null where id = ${PAID_IN}`],
    rules: ['finish_time'],
  },
  {
    name: 'a payment that finished before it began',
    sql: [`${PAY} finished_at = created_at - interval '1 second' where id = ${PAID_IN}`],
    rules: ['time_order'],
  },
  {
    name: 'a payment made tomorrow',
    sql: [`${PAY} created_at = created_at + interval '1 day' where id = ${NEW_IN}`],
    rules: ['time_in_future'],
  },
  {
    name: 'a posting made tomorrow',
    sql: [
      `update postings set created_at = created_at + interval '1 day' where payment_id = ${PAID_IN}`,
    ],
    rules: ['time_in_future'],
  },
  {
    name: 'a sequence set back',
    sql: ['alter sequence payment_ids restart with 3'],
    rules: ['sequence_behind'],
  },
  {
    name: 'a row in a shard that there is not',
    sql: ["insert into payment_tasks (shard, payment_id, run_at) values (7, 999999, '2030-01-01')"],
    rules: ['row_outside_shards'],
  },
]
