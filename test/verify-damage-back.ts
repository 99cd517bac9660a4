import {
  CANCELED,
  CHARGED_BACK,
  CORRECTED,
  DISPUTE,
  GAVE_BACK,
  OPEN_REFUND,
  PAYOUT_RETURNED,
  REFUND,
  WATCHED,
  WON_BACK,
} from './verify-money-back.ts'
import { copyPosting, drop, FAILED_IN, PAY, type Damage } from './verify-picks.ts'

/** Damage to money that goes back: refunds, returns, corrections, and what sums them up. */
export const BACK_DAMAGES: readonly Damage[] = [
  {
    name: 'a refund that was never reserved',
    sql: [`${PAY} refund_reserved = refund_reserved - 500 where id = ${GAVE_BACK}`],
    rules: ['refunds_sum'],
  },
  {
    name: 'a failed refund that is still reserved',
    sql: [`${PAY} refund_reserved = refund_reserved + 1000 where id = ${GAVE_BACK}`],
    rules: ['refunds_sum'],
  },
  {
    name: 'a return that its payment does not show',
    sql: [`${PAY} returned = 0, returned_fee = 0 where id = ${WATCHED}`],
    rules: ['returns_sum'],
  },
  {
    name: 'a refund that is booked as a return as well',
    sql: [
      `${PAY} return_kind = 'was_refund' where id = ${DISPUTE}`,
      `${PAY} gateway_ref = (
        select ref from payment_children where payment_id = ${CHARGED_BACK}
      ) where id = ${REFUND}`,
    ],
    rules: ['return_was_refund'],
  },
  {
    name: 'more refunds than the payment came to',
    sql: [
      ...drop('payments', 'given_back'),
      `${PAY} refund_reserved = amount + 1 where id = ${GAVE_BACK}`,
    ],
    rules: ['given_back_range', 'refunds_sum'],
  },
  {
    name: 'a refund of another payment than it says',
    sql: [`${PAY} parent_id = ${FAILED_IN} where id = ${REFUND}`],
    rules: ['child_unlisted', 'parent_wrong', 'refunds_sum'],
  },
  {
    name: 'a refund that is older than its payment',
    sql: [`${PAY} created_at = created_at - interval '1 hour' where id = ${REFUND}`],
    rules: ['parent_wrong'],
  },
  {
    name: 'a refund that its payment does not know',
    sql: [`delete from payment_children where payment_id = ${REFUND}`],
    rules: ['child_unlisted', 'refunds_sum'],
  },
  {
    name: 'a return without its reference',
    sql: [`update payment_children set ref = null where payment_id = ${PAYOUT_RETURNED}`],
    rules: ['child_unlisted'],
  },
  {
    name: 'a return that is listed under another reference',
    sql: [`update payment_children set ref = 'rt_9' where payment_id = ${CHARGED_BACK}`],
    rules: ['child_unlisted'],
  },
  {
    name: 'a refund that is listed under a reference',
    sql: [`update payment_children set ref = 'rt_9' where payment_id = ${REFUND}`],
    rules: ['child_unlisted'],
  },
  {
    name: 'a refund that returns more than it is',
    sql: [
      ...drop('payments', 'fee_returned'),
      `${PAY} fee_returned = amount + 1 where id = ${REFUND}`,
    ],
    rules: ['fee_returned_range', 'hold_legs', 'refunds_sum', 'settle_legs'],
  },
  {
    name: 'a refund that earns',
    sql: [`${PAY} commission = 1 where id = ${REFUND}`],
    rules: ['hold_legs', 'payment_fields', 'settle_legs'],
  },
  {
    name: 'a refund settled with another amount',
    sql: [
      `update postings set gateway = gateway + 100, user_held = user_held - 100
       where payment_id = ${REFUND} and kind = 'settle'`,
    ],
    rules: ['balance_held', 'settle_legs'],
  },
  {
    name: 'an open refund without its hold',
    sql: [`delete from postings where payment_id = ${OPEN_REFUND}`],
    rules: ['balance_available', 'balance_held', 'held_open', 'hold_missing'],
  },
  {
    name: 'a refund released while it is open',
    sql: [
      `insert into postings select shard, user_id, payment_id, 'release', -user_available,
         -user_held, 0, 0, 0, created_at from postings where payment_id = ${OPEN_REFUND}`,
      `update users set available = available + amount, held = held - amount
       from payments where payments.id = ${OPEN_REFUND} and users.id = user_id`,
    ],
    rules: ['release_unearned'],
  },
  {
    name: 'a canceled refund that keeps its hold',
    sql: [`delete from postings where payment_id = ${CANCELED} and kind = 'release'`],
    rules: ['balance_available', 'balance_held', 'release_missing'],
  },
  {
    name: 'a canceled refund that may have been sent',
    sql: [
      `insert into payment_attempts select shard, id, 1, 1, 'charge', 'in_doubt', 'timeout', true,
         null, created_at, 1 from payments where id = ${CANCELED}`,
    ],
    rules: ['canceled_but_sent'],
  },
  {
    name: 'a charge-back that takes more than it is, and books that as a gain',
    sql: [
      `update postings set user_available = user_available + losses - 5, losses = 5
       where payment_id = ${CHARGED_BACK}`,
    ],
    rules: ['balance_available', 'settle_legs'],
  },
  {
    name: 'a charge-back that gives the user money',
    sql: [
      `update postings set user_available = user_available + 5000, losses = losses - 5000
       where payment_id = ${CHARGED_BACK}`,
    ],
    rules: ['balance_available', 'settle_legs'],
  },
  {
    name: 'a loss with a payout that came back',
    sql: [
      `update postings set user_available = user_available + 5, losses = losses - 5
       where payment_id = ${PAYOUT_RETURNED}`,
    ],
    rules: ['balance_available', 'return_losses', 'settle_legs'],
  },
  {
    name: 'a payout that came back and pays for a loss that there was not',
    sql: [
      `update postings set user_available = user_available - 5, losses = losses + 5
       where payment_id = ${PAYOUT_RETURNED}`,
    ],
    rules: ['balance_available', 'return_losses'],
  },
  {
    name: 'a user who gets what a payout lost us',
    sql: [
      `update postings set user_available = user_available + 5, losses = losses - 5
       where payment_id = ${WON_BACK}`,
    ],
    rules: ['balance_available', 'return_losses'],
  },
  {
    name: 'a return that holds',
    sql: [
      `insert into postings select shard, user_id, id, 'hold', 0, 0, 0, 0, 0, created_at
       from payments where id = ${CHARGED_BACK}`,
    ],
    rules: ['deposit_held', 'hold_legs'],
  },
  {
    name: 'a failed deposit that nobody corrected and that was settled late',
    sql: [
      `insert into postings select shard, user_id, id, 'settle_late', amount - commission, 0,
         -amount, commission, 0, created_at from payments where id = ${FAILED_IN}`,
    ],
    rules: ['balance_available', 'late_unearned'],
  },
  {
    name: 'a payment settled late twice',
    sql: [...drop('postings', 'pkey'), copyPosting(CORRECTED, 'settle_late', '{}')],
    rules: ['balance_available', 'late_repeated'],
  },
  {
    name: 'a late settlement of another amount',
    sql: [
      `update postings set gateway = gateway + 1, losses = losses - 1
       where payment_id = ${CORRECTED} and kind = 'settle_late'`,
    ],
    rules: ['late_legs'],
  },
  {
    name: 'a late settlement that takes more than its cost, and books that as a gain',
    sql: [
      `update postings set user_available = user_available + losses - 5, losses = 5
       where payment_id = ${CORRECTED} and kind = 'settle_late'`,
    ],
    rules: ['balance_available', 'late_legs', 'return_losses'],
  },
  {
    name: 'a late settlement of a withdrawal that gives the user money',
    sql: [
      `update postings set user_available = 5, losses = losses + user_available - 5
       where payment_id = ${CORRECTED} and kind = 'settle_late'`,
    ],
    rules: ['balance_available', 'late_legs'],
  },
  {
    name: 'an opening balance that is a loss',
    sql: [
      "update postings set losses = opening, opening = 0 where user_id = 2 and kind = 'opening'",
    ],
    rules: ['opening_legs'],
  },
  {
    name: 'an open refund that is only watched',
    sql: [`update payment_tasks set purpose = 'watch' where payment_id = ${OPEN_REFUND}`],
    rules: ['payment_stranded'],
  },
  {
    name: 'a final payment that is not only watched',
    sql: [`update payment_tasks set purpose = 'charge' where payment_id = ${WATCHED}`],
    rules: ['task_of_final'],
  },
  {
    name: 'a refund that is sent like a charge',
    sql: [`update payment_tasks set operation = 'charge' where payment_id = ${OPEN_REFUND}`],
    rules: ['task_operation'],
  },
]
