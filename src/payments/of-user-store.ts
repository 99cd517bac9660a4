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

/** A page of a user's payments with ids below `before`, newest first. */
export function paymentsToErase(
  shard: Runner,
  userId: bigint,
  before: bigint,
): Promise<readonly Seen[]> {
  return shard.run(PAGE, [userId, before])
}

/** Payments of a user above an id, oldest first. */
export function paymentsNewer(
  shard: Runner,
  userId: bigint,
  after: bigint,
): Promise<readonly Seen[]> {
  return shard.run(NEWER, [userId, after])
}
