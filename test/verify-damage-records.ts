import {
  FAILED_IN,
  NEW_IN,
  NEW_OUT,
  PAID_IN,
  PAID_OUT,
  PAY,
  REFUSED,
  UNKNOWN,
  UNKNOWN_OUT,
  drop,
  payment,
  type Damage,
} from './verify-picks.ts'

/** A payment is given a reference. */
const referred = (of: string) =>
  `insert into payment_details (shard, payment_id, reference, sent)
   select shard, id, 'order-1', '{}' from payments where id = ${of}`

/** A payment has a reference. */
const taken = (by: string, reference: string) =>
  `insert into payment_references (shard, user_id, reference, payment_id)
   select shard, user_id, '${reference}', id from payments where id = ${by}`

/** Damage to records: payments, evidence, tasks, letters, ids. */
export const RECORD_DAMAGES: readonly Damage[] = [
  {
    name: 'an unknown withdrawal that somebody failed',
    sql: [`${PAY} status = 'failed', finished_at = created_at where id = ${UNKNOWN_OUT}`],
    rules: [
      'event_missing',
      'failed_without_evidence',
      'failed_without_letter',
      'held_open',
      'letter_state',
      'release_missing',
      'task_of_final',
    ],
  },
  {
    name: 'a success whose event is gone',
    sql: [`delete from events where payment_id = ${PAID_IN}`],
    rules: ['event_missing'],
  },
  {
    name: 'a failure whose event is of a success',
    sql: [`update events set type = 'payment.succeeded' where payment_id = ${FAILED_IN}`],
    rules: ['event_missing'],
  },
  {
    name: 'a refund whose event is gone',
    sql: [
      `delete from events where payment_id = ${payment("type = 'refund' and status = 'success'")}`,
    ],
    rules: ['event_missing'],
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
    name: 'a yes of the gateway to an open payment that nobody believed',
    sql: [
      `insert into payment_attempts select shard, id, 1, 2, 'charge', 'success', null, true, 200,
             created_at, 1, true from payments where id = ${UNKNOWN}`,
    ],
    rules: ['evidence_ignored'],
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
    name: 'a key that is kept apart of a payment that has another',
    sql: [
      `insert into payment_keys select shard, user_id, 'other', id
       from payments where id = ${PAID_IN}`,
    ],
    rules: ['key_stray'],
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
    sql: [...drop('payments', 'type_check'), `${PAY} type = 'gift' where id = ${NEW_IN}`],
    rules: ['payment_fields'],
  },
  {
    name: 'a payment in another currency than its user’s account',
    sql: [`${PAY} currency = 'EUR' where id = ${NEW_IN}`],
    rules: ['currency_wrong'],
  },
  {
    name: 'an account that changed its currency',
    sql: [`update users set currency = 'EUR' where id = 4`],
    rules: ['currency_wrong'],
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
    name: 'a task that waits for another gateway than its payment',
    sql: [`update payment_tasks set gateway = 'other' where payment_id = ${NEW_OUT}`],
    rules: ['task_gateway'],
  },
  {
    name: 'a withdrawal that waits among the charges',
    sql: [`update payment_tasks set operation = 'charge' where payment_id = ${NEW_OUT}`],
    rules: ['task_operation'],
  },
  {
    name: 'a deposit that nobody claims',
    sql: [`update payment_tasks set operation = 'refund' where payment_id = ${NEW_IN}`],
    rules: ['task_operation'],
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
    name: 'a letter that was lost, beside a success that may be charged twice, which has its own',
    sql: [
      `update dead_letters letter set payment_id = payment.id, user_id = payment.user_id,
             payment_type = type, amount = payment.amount, commission = payment.commission,
             class = 'unknown', error = 'maybe_charged_twice'
           from payments payment
           where payment.id = ${PAID_IN} and letter.payment_id = ${FAILED_IN}`,
    ],
    rules: ['failed_without_letter'],
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
    name: 'a reference that its payment has not',
    sql: [referred(PAID_IN)],
    rules: ['reference_wrong'],
  },
  {
    name: 'a reference that a failed payment has',
    sql: [referred(FAILED_IN), taken(FAILED_IN, 'order-1')],
    rules: ['reference_wrong'],
  },
  {
    name: 'another reference than its payment was given',
    sql: [referred(PAID_IN), taken(PAID_IN, 'order-2')],
    rules: ['reference_wrong'],
  },
  {
    name: 'a reference that another user has',
    sql: [
      referred(PAID_IN),
      taken(PAID_IN, 'order-1'),
      'update payment_references set user_id = user_id + 1',
    ],
    rules: ['reference_wrong'],
  },
  {
    name: 'two payments that repeat the same failed one',
    sql: [
      `insert into payments select (jsonb_populate_record(failed, jsonb_build_object(
         'id', nextval('payment_ids'), 'redrive_of', failed.id, 'idempotency_key', null,
         'gateway_key', gen_random_uuid(), 'refused_for', 'insufficient_funds',
         'attempts', 0))).*
       from payments failed, generate_series(1, 2) where id = ${FAILED_IN}`,
    ],
    rules: ['repeat_twice'],
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
