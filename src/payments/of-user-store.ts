import { numbers } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'

/** Payments of a user that are looked at, or whose texts are erased, at a time. */
const PAGE_MAX = 1_000

/** A payment of a user, and whether it needs what was said about it. */
interface Seen {
  readonly id: bigint
  readonly open: boolean
}

/**
 * A page of a user's payments, newest first. Users and ids are compared as rows, so that the index
 * of users has this order.
 */
const PAGE: Statement<Seen> = {
  name: 'payments_to_erase',
  text: `
  select id, status in ('new', 'unknown') as open
  from payments
  where shard = $1 and (user_id, id) < ($2::bigint, $3::bigint) and (user_id, id) > ($2::bigint, 0)
  order by user_id desc, id desc
  limit ${PAGE_MAX}`,
}

/** The oldest payments of a user above an id. */
const NEWER: Statement<Seen> = {
  name: 'payments_newer',
  text: `
  select id, status in ('new', 'unknown') as open
  from payments
  where shard = $1 and (user_id, id) > ($2::bigint, $3::bigint)
    and (user_id, id) < ($2::bigint, 9223372036854775807)
  order by user_id, id
  limit ${PAGE_MAX}`,
}

/** How many times a payment is repeated at most that all are looked at. */
const REPEATS_MAX = 1_000

/**
 * One of these payments that is open, or an open one that repeats one of them, also by others in
 * between. Ids do not tell which are newer: a repeat may have one of a reserve.
 */
const OPEN_AMONG: Statement<{ readonly id: bigint }> = {
  name: 'payments_open_among',
  text: `
  with recursive own (id, steps) as (
    select unnest($2::bigint[]), 0
    union all
    select again.id, own.steps + 1
    from own
    cross join lateral (
      select id
      from payments
      where shard = $1 and redrive_of = own.id
      limit 1
    ) again
    where own.steps < ${REPEATS_MAX}
  )
  select payment.id
  from own
  cross join lateral (
    select id
    from payments
    where shard = $1 and id = own.id and status in ('new', 'unknown')
    limit 1
  ) payment
  limit 1`,
}

/** A page of a user's payments with ids below `before`, newest first. */
export function paymentsToErase(
  shard: Runner,
  userId: bigint,
  before: bigint,
): Promise<readonly Seen[]> {
  return shard.run(PAGE, [userId, before])
}

/** Whether one of these payments, or of those that repeat them, is not final. */
export async function isOpenAmong(shard: Runner, ids: readonly bigint[]): Promise<boolean> {
  return ids.length > 0 && (await shard.run(OPEN_AMONG, [numbers(ids)])).length > 0
}

/** Payments of a user above an id, oldest first. */
export function paymentsNewer(
  shard: Runner,
  userId: bigint,
  after: bigint,
): Promise<readonly Seen[]> {
  return shard.run(NEWER, [userId, after])
}
