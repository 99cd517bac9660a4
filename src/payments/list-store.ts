import { numbers } from '../domain/array-parameters.ts'
import type { Payment } from '../domain/payment.ts'
import type { Runner, Statement } from '../ports.ts'
import { hasReference, MATCHES, pageOfUser, type PaymentFilter } from './filter-store.ts'
import {
  floorOfReference,
  isCommon,
  pageOfReference,
  pageOfUserAndReference,
} from './reference-list-store.ts'
import { laterUnder } from './keys-store.ts'
import { idsOfTime } from './time-index-store.ts'
import { PAYMENT_COLUMNS } from './store.ts'

/**
 * Payments that one page of a filtered list looks at, in a shard. A filter may match nothing in a
 * million payments, and no index is to find what it matches: `status` in an index, even in its
 * condition, would end the cheap update of finishing a payment. So a page looks at so many and says
 * where the next one is to go on.
 */
const LOOKED_AT_MAX = 5_000

/** Payments that operators have corrected under one name, in a shard, of which anybody is told. */
const CORRECTED_MAX = 100

/**
 * Payments that failed and that somebody found at the gateway under this name, newest first. The
 * index of such acts is read where its whole condition is said.
 */
const CORRECTED_UNDER: Statement<{ id: bigint }> = {
  name: 'payments_corrected_under',
  text: `
  select distinct payment_id as id
  from operator_acts
  where shard = $1 and act = 'correct' and after ->> 'gateway_ref' = $2
    and after ->> 'gateway_ref' <> ''
  order by payment_id desc
  limit ${CORRECTED_MAX}`,
}

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
  select ${PAYMENT_COLUMNS}
  from payments
  where shard = $1 and id < $2 and id >= $3
    and ${MATCHES}
  order by id desc
  limit $6`,
}

/** The same of one user's payments. */
const PAGE_OF_USER: Statement<Payment> = {
  name: 'payments_page_of_user',
  text: pageOfUser(MATCHES),
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
 * A page of open payments. The limit of one keeps the planner from reading all payments for a join,
 * and the order of the candidates, which has all of them in its limit, from reading more once the
 * page is full.
 */
const OPEN_PAGE: Statement<Payment> = {
  name: 'payments_open_page',
  text: `
  select ${PAYMENT_COLUMNS}
  from (
    select payment_id
    from (
      select payment_id
      from payment_tasks
      where shard = $1 and payment_id < $2 and payment_id >= $3
      union
      select payment_id
      from dead_letters
      where shard = $1 and payment_id < $2 and payment_id >= $3 and state = 'open'
    ) open
    order by payment_id desc
    limit ${2 * LOOKED_AT_MAX}
  ) candidate
  cross join lateral (
    select *
    from payments
    where shard = $1 and id = candidate.payment_id and status = $4
      and ${MATCHES}
    limit 1
  ) payment
  order by candidate.payment_id desc
  limit $6`,
}

/** The payment that was made under a key of a user, if it matches. */
const PAGE_OF_KEY: Statement<Payment> = {
  name: 'payments_page_of_key',
  text: `
  select ${PAYMENT_COLUMNS}
  from payments
  where shard = $1 and user_id = $11::bigint and idempotency_key = $12 and id < $2 and id >= $3
    and ${MATCHES}
    and ($13::text is null or ${hasReference('$13')})
  limit $6`,
}

/** The last of the refunds and returns of a payment below `$2` that a page looks at. */
const FLOOR_OF_PARENT: Statement<{ floor: bigint }> = {
  name: 'payments_page_floor_of_parent',
  text: `
  select payment_id as floor
  from payment_children
  where shard = $1 and parent_id = $3::bigint and payment_id < $2
  order by payment_id desc
  offset ${LOOKED_AT_MAX - 1} limit 1`,
}

/**
 * A page of the refunds and returns of one payment. The limit of one keeps the planner from reading
 * all payments for a join.
 */
const PAGE_OF_PARENT: Statement<Payment> = {
  name: 'payments_page_of_parent',
  text: `
  with candidate as materialized (
    select payment_id
    from payment_children
    where shard = $1 and parent_id = $12::bigint and payment_id < $2 and payment_id >= $3
  )
  select ${PAYMENT_COLUMNS}
  from candidate
  cross join lateral (
    select *
    from payments
    where shard = $1 and id = candidate.payment_id
      and ($11::bigint is null or user_id = $11)
      and ${MATCHES}
    limit 1
  ) payment
  order by id desc
  limit $6`,
}

/** Which of these payments are final. A payment that does not exist is waited for by nobody. */
const FINAL: Statement<{ id: bigint; final: boolean }> = {
  name: 'payments_final',
  text: `
  select id, status in ('success', 'failed') as final
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/** What one look at a shard's payments gave. */
interface Look {
  /** Those that match, newest first. */
  readonly payments: readonly Payment[]
  /** The lowest id of which it is known whether it matches; null: of all of them. */
  readonly downTo: bigint | null
}

/** The newest payments of a shard that were corrected under this name at the gateway. */
export async function correctedUnder(shard: Runner, gatewayRef: string): Promise<bigint[]> {
  return (await shard.run(CORRECTED_UNDER, [gatewayRef])).map(({ id }) => id)
}

/** Up to `limit` payments of one shard that match, newest first, with ids below `before`. */
export async function lookAtPayments(
  shard: Runner,
  filter: PaymentFilter,
  before: bigint,
  limit: number,
): Promise<Look> {
  const { from, to } = filter
  if (from === null && to === null) return lookBetween(shard, filter, { before, low: 0n }, limit)
  const { low, high } = await idsOfTime(shard, from, to)
  const range = { before: before <= high ? before : high + 1n, low }
  if (range.before <= low) return { payments: [], downTo: null }
  return lookBetween(shard, filter, range, limit)
}

/** A filter, and what is known of where its payments are. */
interface Asked extends PaymentFilter {
  /** The payments that were corrected under the gateway's reference. */
  readonly corrected: readonly bigint[]
  /** So many payments have the reference that a page is made of some. */
  readonly common: boolean
}

async function lookBetween(
  shard: Runner,
  filter: PaymentFilter,
  { before, low }: { readonly before: bigint; readonly low: bigint },
  limit: number,
): Promise<Look> {
  const { gatewayRef, reference } = filter
  const corrected = gatewayRef === null ? [] : await correctedUnder(shard, gatewayRef)
  const common =
    reference !== null && filter.idempotencyKey === null && (await isCommon(shard, reference))
  const asked = { ...filter, corrected, common }
  const looked = await floorOf(shard, asked, before)
  const floor = looked !== null && looked > low ? looked : null
  const payments = await pageOf(shard, asked, [before, floor ?? low], limit)
  const full = payments.length === limit
  return { payments, downTo: full ? (payments.at(-1)?.id ?? null) : floor }
}

function pageOf(
  shard: Runner,
  asked: Asked,
  range: readonly [before: bigint, floor: bigint],
  limit: number,
): Promise<Payment[]> {
  const { userId, status, type, reference, idempotencyKey: key } = asked
  const { gatewayRef, from, to, parentId, corrected, common } = asked
  const all = [...range, status, type, limit, gatewayRef, from, to, numbers(corrected)]
  const values = [...all, userId]
  if (key !== null) return pageOfKey(shard, asked, [...values, key, reference])
  if (parentId !== null) return shard.run(PAGE_OF_PARENT, [...values, parentId])
  if (reference !== null) {
    if (common && userId !== null) return pageOfUserAndReference(shard, values, reference)
    return pageOfReference(shard, values, reference, common ? range[0] : null)
  }
  if (userId !== null) return shard.run(PAGE_OF_USER, values)
  return shard.run(isOpenList(asked) ? OPEN_PAGE : PAGE, all)
}

/** Where payments are in ranges, the first is asked, and the later one that has the key. */
async function pageOfKey(
  shard: Runner,
  { userId, idempotencyKey: key }: PaymentFilter,
  values: readonly unknown[],
): Promise<Payment[]> {
  const first = shard.ofFirstRange?.(PAGE_OF_KEY) ?? null
  if (first === null || userId === null || key === null) return shard.run(PAGE_OF_KEY, values)
  const [found, [later]] = await Promise.all([
    shard.run(first, values),
    laterUnder(shard, [{ userId, key }]),
  ])
  const [before, floor, ...others] = values as [bigint, bigint, ...unknown[]]
  if (later === undefined || later >= before || later < floor) return found
  return [...found, ...(await shard.run(PAGE_OF_KEY, [later + 1n, later, ...others]))]
}

async function floorOf(shard: Runner, asked: Asked, before: bigint): Promise<bigint | null> {
  const { userId, parentId, reference, idempotencyKey, common } = asked
  if (parentId !== null) {
    const [row] = await shard.run(FLOOR_OF_PARENT, [before, parentId])
    return row?.floor ?? null
  }
  // They lead to a few payments by themselves.
  if (idempotencyKey !== null || (reference !== null && !common)) return null
  if (reference !== null && userId === null) return floorOfReference(shard, reference, before)
  // Every payment matches: the limit is enough.
  if (!isNarrowed(asked)) return null
  const [row] =
    userId !== null
      ? await shard.run(FLOOR_OF_USER, [before, userId])
      : await shard.run<{ floor: bigint | null }>(isOpenList(asked) ? OPEN_FLOOR : FLOOR, [before])
  return row?.floor ?? null
}

/** Whether payments of a list are left out by what is compared one by one. */
function isNarrowed({ reference, status, type, gatewayRef, from, to }: PaymentFilter): boolean {
  return (reference ?? status ?? type ?? gatewayRef ?? from ?? to) !== null
}

/** Whether the tasks and letters lead to what is looked for. A user's payments are few enough. */
function isOpenList({ userId, status }: PaymentFilter): boolean {
  return userId === null && (status === 'new' || status === 'unknown')
}

/** Those of these payments for which nobody needs to wait: they are final, or do not exist. */
export async function finalPayments(shard: Runner, ids: readonly bigint[]): Promise<bigint[]> {
  const rows = await shard.run(FINAL, [numbers(ids)])
  const open = new Set(rows.filter(({ final }) => !final).map(({ id }) => id))
  return ids.filter((id) => !open.has(id))
}
