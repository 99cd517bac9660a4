import { USERS, type Database } from './rig.ts'
import { ACCEPTED } from './accepted.ts'

/** Rows per statement: enough to be fast, few enough to hold no lock for long. */
const CHUNK = 250_000

/**
 * Payments that wait in the queue, as if they had just been accepted: half of them withdrawals with
 * their holds. `$1` is the first id, `$2` how many.
 */
const FILL = `
  with draft as materialized (
    select id, 1 + id % ${USERS.count} as user_id, id % 2 = 0 as withdrawal,
      100 + id % 10000 as amount
    from generate_series($1::bigint, $1::bigint + $2::bigint - 1) id
  ), priced as materialized (
    select *, (amount * 200 + 5000) / 10000 as commission from draft${ACCEPTED}`

/** Put `count` more payments in our queue. */
export async function fillBacklog(database: Database, count: number): Promise<void> {
  const [row] = await database.sql<{ id: string }>(
    'select coalesce(max(id), 0) as id from payments',
  )
  const first = Number(row?.id) + 1
  for (let done = 0; done < count; done += CHUNK) {
    await database.sql(FILL, [first + done, Math.min(CHUNK, count - done)])
  }
  await database.sql(`select setval('payment_ids', $1)`, [first + count - 1])
  await database.sql('analyze')
}

/** The same for the baseline. */
export async function fillBaseline(database: Database, count: number): Promise<void> {
  await database.sql(
    `insert into payments (user_id, type, amount, commission, status)
     select 1 + id % ${USERS.count}, case when id % 2 = 0 then 'withdraw' else 'deposit' end,
       100 + id % 10000, 2, 'new'
     from generate_series(1, $1::int) id`,
    [count],
  )
  await database.sql(
    `insert into transactions (payment_id, user_id, amount, status)
     select id, user_id, amount, 'processing' from payments where status = 'new'
       and not exists (select from transactions where payment_id = payments.id)`,
  )
  await database.sql(
    `insert into payment_tasks (payment_id, status)
     select id, 'pending' from payments where status = 'new'
       and not exists (select from payment_tasks where payment_id = payments.id)`,
  )
  await database.sql('analyze')
}

/**
 * Payments that were finished long ago, half of them withdrawals and a tenth declined, with all
 * that the service leaves of each, so that `payments verify` finds nothing. What a payment is
 * depends on the lap over the users too: by its id alone, each user would have payments of one
 * kind. Nobody has looked at the dead letters, so they are open. `$1` is the first id, `$2` how
 * many.
 */
const FINISHED = `
  with draft as materialized (
    select id, 1 + id % ${USERS.count} as user_id, (id + lap) % 2 = 0 as withdrawal,
      (id + lap) % 20 in (3, 8) as declined, 100 + (id + lap) % 10000 as amount,
      now() - (1e9 - id) * interval '1 millisecond' as time
    from generate_series($1::bigint, $1::bigint + $2::bigint - 1) id
    cross join lateral (select id / ${USERS.count} as lap) laps
  ), priced as materialized (
    select *, case when withdrawal then 'withdraw' else 'deposit' end as type,
      (amount * 200 + 5000) / 10000 as commission, time + interval '50 milliseconds' as finished_at
    from draft
  ), payment as (
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, attempts, created_at,
       finished_at, last_error, gateway_ref)
    select 0, id, user_id, type, case when declined then 'failed' else 'success' end, amount,
      commission, 200, 1, time, finished_at, case when declined then 'payment_declined' end,
      case when not declined then 'gw_' || lpad(to_hex(id), 8, '0') end
    from priced
  ), attempt as (
    insert into payment_attempts
      (shard, payment_id, fence, call, kind, outcome, reason, sent, http_status, started_at,
       took_ms)
    select 0, id, 1, 1, 'charge', case when declined then 'declined' else 'success' end,
      case when declined then 'payment_declined' end, true,
      case when declined then 402 else 200 end, time, 50
    from priced
  ), letter as (
    insert into dead_letters
      (shard, id, payment_id, user_id, payment_type, amount, commission, class, error, attempts,
       created_at)
    select 0, nextval('dead_letter_ids'), id, user_id, type, amount, commission, 'failed',
      'payment_declined', 1, finished_at
    from priced
    where declined
  ), hold as (
    insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
    select 0, user_id, id, 'hold', -amount - commission, amount + commission, 0, 0, 0, time
    from priced
    where withdrawal
  ), release as (
    insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
    select 0, user_id, id, 'release', amount + commission, -amount - commission, 0, 0, 0,
      finished_at
    from priced
    where withdrawal and declined
  ), settle as (
    insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
    select 0, user_id, id, 'settle',
      case when withdrawal then 0 else amount - commission end,
      case when withdrawal then -amount - commission else 0 end,
      case when withdrawal then amount else -amount end, commission, 0, finished_at
    from priced
    where not declined
  )
  update users
  set available = available + moved.total
  from (
    select user_id,
      sum(case when withdrawal then -amount - commission else amount - commission end)::bigint
        as total
    from priced where not declined group by user_id
  ) moved
  where shard = 0 and id = moved.user_id`

/** Fill a database with `count` finished payments, and let the vacuum have been there. */
export async function fillHistory(
  database: Database,
  count: number,
  onDone: (count: number) => void,
): Promise<void> {
  for (let done = 0; done < count; done += CHUNK) {
    const size = Math.min(CHUNK, count - done)
    await database.sql(FINISHED, [1 + done, size])
    onDone(size)
  }
  await database.sql(`select setval('payment_ids', $1)`, [count])
  await database.sql('vacuum analyze')
}
