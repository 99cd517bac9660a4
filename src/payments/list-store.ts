import type { BookedType, Payment, StoredStatus } from '../domain/payment.ts'
import type { Runner, Statement } from '../ports.ts'
import { COLUMNS } from './store.ts'

/**
 * Payments that one page of a filtered list looks at, in a shard. A filter may match nothing in a
 * million payments, and no index is to find what it matches: `status` in an index, even in its
 * condition, would end the cheap update of finishing a payment. So a page looks at so many and says
 * where the next one is to go on.
 */
const LOOKED_AT_MAX = 10_000

/** The last of the payments below `$2` that a page looks at; none when there are fewer. */
const FLOOR: Statement<{ floor: bigint }> = {
  name: 'payments_page_floor',
  text: `
  select id as floor
  from payments
  where shard = $1 and id < $2
  order by id desc
  offset ${LOOKED_AT_MAX - 1} limit 1`,
}

/**
 * The same of one user's payments. Users and ids are compared as rows, so that only the index of
 * users has this order: by ids alone, somebody without payments would be looked for among
 * everybody's.
 */
const FLOOR_OF_USER: Statement<{ floor: bigint }> = {
  name: 'payments_page_floor_of_user',
  text: `
  select id as floor
  from payments
  where shard = $1 and (user_id, id) < ($3::bigint, $2::bigint)
    and (user_id, id) > ($3::bigint, 0)
  order by user_id desc, id desc
  offset ${LOOKED_AT_MAX - 1} limit 1`,
}

/**
 * A page of payments with every filter optional, newest first, from below the id `$2` down to `$3`.
 */
const PAGE: Statement<Payment> = {
  name: 'payments_page',
  text: `
  select ${COLUMNS}
  from payments
  where shard = $1 and id < $2 and id >= $3
    and ($4::text is null or status = $4)
    and ($5::text is null or type = $5)
  order by id desc
  limit $6`,
}

/** The same of one user's payments. */
const PAGE_OF_USER: Statement<Payment> = {
  name: 'payments_page_of_user',
  text: `
  select ${COLUMNS}
  from payments
  where shard = $1 and (user_id, id) < ($7::bigint, $2::bigint)
    and (user_id, id) >= ($7::bigint, $3::bigint)
    and ($4::text is null or status = $4)
    and ($5::text is null or type = $5)
  order by user_id desc, id desc
  limit $6`,
}

/**
 * The same of open payments. There are few beside all that ever were, and every one has a task or
 * an open letter, which lead to it: a payment in doubt is on the first page, however old it is.
 */
const OPEN_FLOOR: Statement<{ floor: bigint | null }> = {
  name: 'payments_open_floor',
  text: `
  select greatest(
    (
      select payment_id
      from payment_tasks
      where shard = $1 and payment_id < $2
      order by payment_id desc
      offset ${LOOKED_AT_MAX - 1} limit 1
    ), (
      select payment_id
      from dead_letters
      where shard = $1 and payment_id < $2 and state = 'open'
      order by payment_id desc
      offset ${LOOKED_AT_MAX - 1} limit 1
    )
  ) as floor`,
}

/**
 * A page of open payments. The limit of one keeps the planner from reading all payments for a join.
 */
const OPEN_PAGE: Statement<Payment> = {
  name: 'payments_open_page',
  text: `
  with candidate as materialized (
    select payment_id
    from payment_tasks
    where shard = $1 and payment_id < $2 and payment_id >= $3
    union
    select payment_id
    from dead_letters
    where shard = $1 and payment_id < $2 and payment_id >= $3 and state = 'open'
  )
  select ${COLUMNS}
  from candidate
  cross join lateral (
    select *
    from payments
    where shard = $1 and id = candidate.payment_id and status = $4
      and ($5::text is null or type = $5)
    limit 1
  ) payment
  order by id desc
  limit $6`,
}

/** What a list of payments is filtered by; null: not. */
export interface PaymentFilter {
  readonly userId: bigint | null
  readonly status: StoredStatus | null
  readonly type: BookedType | null
}

/** What one look at a shard's payments gave. */
interface Look {
  /** Those that match, newest first. */
  readonly payments: readonly Payment[]
  /** The lowest id of which it is known whether it matches; null: of all of them. */
  readonly downTo: bigint | null
}

/** Up to `limit` payments of one shard that match, newest first, with ids below `before`. */
export async function lookAtPayments(
  shard: Runner,
  filter: PaymentFilter,
  before: bigint,
  limit: number,
): Promise<Look> {
  const { userId, status, type } = filter
  const floor = await floorOf(shard, filter, before)
  const values = [before, floor ?? 0n, status, type, limit]
  const payments = await (userId !== null
    ? shard.run(PAGE_OF_USER, [...values, userId])
    : shard.run(isOpenList(filter) ? OPEN_PAGE : PAGE, values))
  const full = payments.length === limit
  return { payments, downTo: full ? (payments.at(-1)?.id ?? null) : floor }
}

async function floorOf(
  shard: Runner,
  filter: PaymentFilter,
  before: bigint,
): Promise<bigint | null> {
  const { userId, status, type } = filter
  // Every payment matches: the limit is enough.
  if (status === null && type === null) return null
  const [row] =
    userId !== null
      ? await shard.run(FLOOR_OF_USER, [before, userId])
      : await shard.run<{ floor: bigint | null }>(isOpenList(filter) ? OPEN_FLOOR : FLOOR, [before])
  return row?.floor ?? null
}

/** Whether the tasks and letters lead to what is looked for. A user's payments are few enough. */
function isOpenList({ userId, status }: PaymentFilter): boolean {
  return userId === null && (status === 'new' || status === 'unknown')
}
