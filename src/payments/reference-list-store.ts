import type { Payment } from '../domain/payment.ts'
import type { Runner, Statement } from '../ports.ts'
import { hasReference, MATCHES, pageOfUser } from './filter-store.ts'
import { PAYMENT_COLUMNS } from './store.ts'

/** Payments of which a reference was said that a page is made of, in a shard. */
const SAID_MAX = 1_000
/** Above every id. */
const TOP = 9_223_372_036_854_775_807n

/**
 * The last of the payments below `$2` that a page of a reference is made of. They are compared as
 * rows, so that only the index of references has this order.
 */
const FLOOR: Statement<{ floor: bigint }> = {
  name: 'payments_page_floor_of_reference',
  text: `
  select payment_id as floor
  from payment_details
  where shard = $1 and reference is not null
    and (reference, payment_id) > ($3::text, 0)
    and (reference, payment_id) < ($3::text, $2::bigint)
  order by reference desc, payment_id desc
  offset $4::int limit 1`,
}

/**
 * A page of the payments that have a reference, whether they failed or not, and of those that
 * repeat them. What is looked at begins below `$13`, and goes on as far again behind the floor of
 * the page: a payment that repeats one there may be on the page. The limits keep the planner from
 * reading all payments for a join.
 */
const PAGE: Statement<Payment> = {
  name: 'payments_page_of_reference',
  text: `
  with recursive candidate (payment_id) as (
    (
      select payment_id
      from payment_details
      where shard = $1 and reference is not null
        and (reference, payment_id) > ($12::text, 0)
        and (reference, payment_id) < ($12::text, $13::bigint)
      order by reference desc, payment_id desc
      limit ${2 * SAID_MAX}
    )
    union all
    select again.id
    from candidate
    cross join lateral (
      select id
      from payments
      where shard = $1 and redrive_of = candidate.payment_id
      limit ${SAID_MAX}
    ) again
  )
  select ${PAYMENT_COLUMNS}
  from candidate
  cross join lateral (
    select *
    from payments
    where shard = $1 and id = candidate.payment_id and id < $2 and id >= $3
      and ($11::bigint is null or user_id = $11)
      and ${MATCHES}
    limit 1
  ) payment
  order by id desc
  limit $6`,
}

/**
 * The same of one user, where so many have the reference that the user's own payments are the
 * shorter way to theirs.
 */
const PAGE_OF_USER: Statement<Payment> = {
  name: 'payments_page_of_user_and_reference',
  text: pageOfUser(`${MATCHES}
    and ${hasReference('$12')}`),
}

/** Whether more payments of a shard have a reference than one page is made of. */
export async function isCommon(shard: Runner, reference: string): Promise<boolean> {
  return (await shard.run(FLOOR, [TOP, reference, SAID_MAX])).length > 0
}

/** How far down a page of a common reference goes; null: to the end. */
export async function floorOfReference(
  shard: Runner,
  reference: string,
  before: bigint,
): Promise<bigint | null> {
  const [row] = await shard.run(FLOOR, [before, reference, SAID_MAX - 1])
  return row?.floor ?? null
}

/**
 * A page of a reference: of one that few have from all of them, so that none is missed whatever its
 * id is; of a common one, a payment that repeats another is found with at most as many in between
 * as a page is made of.
 */
export function pageOfReference(
  shard: Runner,
  values: readonly unknown[],
  reference: string,
  below: bigint | null,
): Promise<Payment[]> {
  return shard.run(PAGE, [...values, reference, below ?? TOP])
}

/** A page of one user's payments of a common reference. */
export function pageOfUserAndReference(
  shard: Runner,
  values: readonly unknown[],
  reference: string,
): Promise<Payment[]> {
  return shard.run(PAGE_OF_USER, [...values, reference])
}
