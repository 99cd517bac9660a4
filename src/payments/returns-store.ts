import { columns, numbers } from '../domain/array-parameters.ts'
import type { ReturnKind, ReturnPayment } from '../domain/returns.ts'
import { inCurrencyOfParent } from './back-store.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** A refund or return of a payment, with who paid for it. */
export interface Child {
  readonly parentId: bigint
  readonly id: bigint
  readonly userId: bigint
  readonly type: 'refund' | 'return'
  readonly status: 'new' | 'unknown' | 'success' | 'failed'
  readonly amount: bigint
  readonly feeReturned: bigint
  readonly kind: ReturnKind | null
  /** The gateway's reference of it. */
  readonly ref: string | null
  readonly createdAt: Date
  /** Of a return: what the user got or paid, out of the commission, and what is ours to lose. */
  readonly user: bigint
  readonly fees: bigint
  readonly losses: bigint
}

/**
 * The refunds and returns of payments, oldest first. A payment has few, and the index of children
 * leads to them; the limits keep the planner from reading all payments for a join. What a return
 * moved stands in its one entry.
 */
const CHILDREN: Statement<Child> = {
  name: 'payments_children',
  text: `
  select
    child.parent_id as "parentId", payment.id, payment.user_id as "userId", payment.type,
    payment.status, payment.amount, coalesce(payment.fee_returned, 0) as "feeReturned",
    payment.return_kind as kind,
    coalesce(child.ref, payment.gateway_ref) as ref, payment.created_at as "createdAt",
    coalesce(entry.user_available, 0) as "user", coalesce(entry.fees, 0) as fees,
    coalesce(entry.losses, 0) as losses
  from payment_children child
  cross join lateral (
    select *
    from payments
    where shard = $1 and id = child.payment_id
    limit 1
  ) payment
  left join lateral (
    select user_available, fees, losses
    from postings
    where shard = $1 and user_id = payment.user_id and payment_id = payment.id
      and kind = 'settle' and payment.type = 'return'
    limit 1
  ) entry on true
  where child.shard = $1 and child.parent_id = any ($2::bigint[])
  order by child.parent_id, child.payment_id`,
}

const RETURNS = columns<ReturnPayment>({
  id: 'bigint',
  userId: 'bigint',
  parentId: 'bigint',
  ref: 'text',
  kind: 'word',
  amount: 'bigint',
  feeReturned: 'bigint',
})

/**
 * Write returns: payments that are final from the start, each as a child of the payment that came
 * back, under the gateway's reference.
 */
const INSERT: Statement<never> = {
  name: 'payments_insert_returns',
  ...timed`
  with ${CLOCK}, ${inCurrencyOfParent('made', RETURNS.unnest('made', 3))}, payment as (
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, parent_id, fee_returned,
       return_kind, gateway_ref, currency, gateway, created_at, finished_at)
    select
      $1::int, id, user_id, 'return', 'success', amount, 0, 0, parent_id, fee_returned, kind,
      ref, currency, gateway, time, time
    from clock, made
  )
  insert into payment_children (shard, parent_id, payment_id, ref)
  select $1::int, parent_id, id, ref
  from made`,
}

const REFS = columns<{ readonly parentId: bigint; readonly ref: string }>({
  parentId: 'bigint',
  ref: 'text',
})

/** A return under its reference, and what of it is booked. */
type BookedUnder = Pick<ReturnPayment, 'parentId' | 'ref' | 'kind' | 'amount'>

/** Of references of what went back of payments, those that returns are booked under. */
const BOOKED_UNDER: Statement<BookedUnder> = {
  name: 'payments_booked_under',
  text: `
  select child.parent_id as "parentId", child.ref, booked.return_kind as kind, booked.amount
  from ${REFS.unnest('asked', 2)}
  cross join lateral (
    select parent_id, payment_id, ref
    from payment_children
    where shard = $1 and parent_id = asked.parent_id and ref = asked.ref
    limit 1
  ) child
  cross join lateral (
    select return_kind, amount
    from payments
    where shard = $1 and id = child.payment_id
    limit 1
  ) booked`,
}

/** Which of these references returns are booked under. */
export async function bookedUnder(
  shard: Runner,
  asked: readonly { readonly parentId: bigint; readonly ref: string }[],
): Promise<BookedUnder[]> {
  return asked.length === 0 ? [] : shard.run(BOOKED_UNDER, REFS.of(asked))
}

/** The refunds and returns of payments, oldest first. */
export async function childrenOf(shard: Runner, parentIds: readonly bigint[]): Promise<Child[]> {
  return parentIds.length === 0 ? [] : shard.run(CHILDREN, [numbers(parentIds)])
}

/** Write returns; the caller posts what they move. */
export function insertReturns(tx: Tx, returns: readonly ReturnPayment[]): void {
  if (returns.length > 0) tx.write(INSERT, RETURNS.of(returns))
}
