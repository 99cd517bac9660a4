import { columns } from '../domain/columns.ts'
import { GATEWAY, type BookedType } from '../domain/payment.ts'
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

/** What an operator says that the gateway calls a payment. */
export interface Named {
  /** The payment that they speak of. */
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly gateway: string
  readonly ref: string
}

const NAMED = columns<Named>({
  id: 'bigint',
  userId: 'bigint',
  type: 'word',
  gateway: 'text',
  ref: 'text',
})

/**
 * Other payments that their gateway calls so: those that did not fail, and those that failed and
 * were corrected under that name. No index has the references, because nothing else asks: the
 * user's newest payments are looked at.
 */
const NAMED_SO: Statement<Named & { readonly other: bigint }> = {
  name: 'payments_named_so',
  text: `
  select
    input.id, input.user_id as "userId", input.type, input.gateway, input.ref, payment.id as other
  from ${NAMED.unnest('input', 2)}
  cross join lateral (
    select min(id) as id
    from (
      select id, type, status, coalesce(gateway, '${GATEWAY}') as gateway, gateway_ref
      from payments
      where shard = $1 and (user_id, id) > (input.user_id, 0)
        and (user_id, id) < (input.user_id, 9223372036854775807)
      order by user_id desc, id desc
      limit ${PAGE_MAX}
    ) newest
    where newest.id <> input.id and newest.type = input.type and newest.gateway = input.gateway
      and case
        when status <> 'failed' then gateway_ref = input.ref
        else exists (
          select
          from operator_acts
          where shard = $1 and payment_id = newest.id and act = 'correct'
            and after ->> 'gateway_ref' = input.ref
        )
      end
  ) payment
  where payment.id is not null`,
}

/** The key of a name among those of all users. */
export function nameKeyOf({ userId, type, gateway, ref }: Omit<Named, 'id'>): string {
  return `${userId} ${type} ${gateway} ${ref}`
}

/** The other payments of these names, by `nameKeyOf`. */
export async function paymentsNamed(
  shard: Runner,
  names: readonly Named[],
): Promise<Map<string, bigint>> {
  const rows = names.length === 0 ? [] : await shard.run(NAMED_SO, NAMED.of(names))
  return new Map(rows.map((row) => [nameKeyOf(row), row.other]))
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
