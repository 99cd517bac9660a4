/**
 * What accepting writes of the rows of `priced`, without the service's own checks: payments, tasks,
 * holds and balances. The end of a statement, behind its first parts.
 */
export const ACCEPTED = `
  ), payment as (
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
    select 0, id, user_id, case when withdrawal then 'withdraw' else 'deposit' end, 'new', amount,
      commission, 200, now()
    from priced
  ), task as (
    insert into payment_tasks (shard, payment_id, operation, run_at)
    select 0, id, case when withdrawal then 'payout' else 'charge' end, now() from priced
  ), posting as (
    insert into postings
      (shard, user_id, payment_id, kind, user_available, user_held, gateway, fees, opening,
       created_at)
    select 0, user_id, id, 'hold', -amount - commission, amount + commission, 0, 0, 0, now()
    from priced
    where withdrawal
  )
  update users
  set available = available - moved.total, held = held + moved.total
  from (
    select user_id, sum(amount + commission)::bigint as total
    from priced
    where withdrawal
    group by user_id
  ) moved
  where shard = 0 and id = moved.user_id`
