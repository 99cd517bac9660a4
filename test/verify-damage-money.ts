import {
  FAILED_IN,
  FAILED_OUT,
  NEW_IN,
  NEW_OUT,
  PAID_IN,
  PAID_OUT,
  UNKNOWN_OUT,
  copyPosting,
  drop,
  payment,
  type Damage,
} from './verify-picks.ts'

/** Damage to money: balances, postings, holds. */
export const MONEY_DAMAGES: readonly Damage[] = [
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
]
