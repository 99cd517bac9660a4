import { columns, gatewayOf, numbers } from '../domain/array-parameters.ts'
import type { GivenBackMove, RefundShare } from '../domain/ends.ts'
import { type BookedType, type Payment, type StoredStatus } from '../domain/payment.ts'
import type { ReturnKind } from '../domain/returns.ts'
import type { SentFields } from '../domain/sent-fields.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'
import { paymentEvents } from '../events/write-store.ts'
import { countAccepted } from './counted-store.ts'
import { UNDER_KEYS, underKeys, type Keyed } from './keys-store.ts'
import { BEGUN, PAYMENT_COLUMNS, REFUSED_FOR, returned } from './store.ts'

/** What is written on a payment of what went back of it, and of what it gives back. */
interface Back {
  /** Of a refund or a return: the payment that it is of. */
  readonly parentId: bigint | null
  /** Of a refund or a return: what of the commission goes back with it. */
  readonly feeReturned: bigint | null
  readonly returnKind: ReturnKind | null
  /** The failed payment that it repeats. */
  readonly repeats: bigint | null
  /** Its refunds that are done, and what came back of it by itself. */
  readonly refunded: bigint
  readonly returned: bigint
}

/** A payment with what goes back. */
export type WholePayment = Omit<Payment, 'type'> & Back & { readonly type: BookedType }

/** The columns of `Back`. */
const BACK = `
    parent_id as "parentId", fee_returned as "feeReturned", return_kind as "returnKind",
    redrive_of as repeats, coalesce(refunded, 0) as refunded, coalesce(returned, 0) as returned`

/** Read payments with what goes back: apart from the reading of claims, which needs less. */
const READ_WHOLE: Statement<WholePayment> = {
  name: 'payments_read_whole',
  ranged: 'payments',
  text: `
  select ${PAYMENT_COLUMNS},${BACK}
  from payments
  where shard = $1 and id = any ($2::bigint[])`,
}

/** What a refund gives back, as its claim and its gateway have to know it. */
export interface Share extends RefundShare {
  /** The gateway's own reference of the deposit, which is final; null: it gave none. */
  readonly parentRef: string | null
}

/**
 * What refunds give back. The limit keeps the planner from reading all payments for a join.
 */
const SHARES: Statement<{ id: bigint } & Share> = {
  name: 'payments_refund_shares',
  text: `
  select
    refund.id, refund.parent_id as "parentId",
    coalesce(refund.fee_returned, 0) as "feeReturned", parent.gateway_ref as "parentRef"
  from payments refund
  cross join lateral (
    select gateway_ref
    from payments
    where shard = $1 and id = refund.parent_id
    limit 1
  ) parent
  where refund.shard = $1 and refund.id = any ($2::bigint[])`,
}

/** A payment whose money goes back, as it is stored. */
export interface StoredParent {
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly status: StoredStatus
  readonly amount: bigint
  readonly commission: bigint
  readonly refundReserved: bigint
  readonly feeReserved: bigint
  readonly refunded: bigint
  readonly returned: bigint
  readonly returnedFee: bigint
  /** Null: that of the books. */
  readonly currency: string | null
  /** Where it was carried out, and so what gives it back. */
  readonly gateway: string
  /** What it is called there; null: nobody has said. */
  readonly gatewayRef: string | null
}

const PARENTS = `
  select
    id, user_id as "userId", type, status, amount, commission,
    coalesce(refund_reserved, 0) as "refundReserved", coalesce(fee_reserved, 0) as "feeReserved",
    coalesce(refunded, 0) as refunded, coalesce(returned, 0) as returned,
    coalesce(returned_fee, 0) as "returnedFee", currency,
    ${gatewayOf()} as gateway, gateway_ref as "gatewayRef"
  from payments
  where shard = $1 and id = any ($2::bigint[])
  order by id`

/** Read payments whose money may go back; whose they are never changes. */
const READ_PARENTS: Statement<StoredParent> = {
  name: 'payments_read_parents',
  text: PARENTS,
}

/**
 * Lock payments whose money goes back, in id order, behind their users. What is written on them of
 * that changes only under both locks.
 */
const LOCK_PARENTS: Statement<StoredParent> = {
  name: 'payments_lock_parents',
  text: `${PARENTS}
  for no key update`,
}

const MOVES = columns<GivenBackMove>({
  parentId: 'bigint',
  refundReserved: 'bigint',
  feeReserved: 'bigint',
  refunded: 'bigint',
  returned: 'bigint',
  returnedFee: 'bigint',
})

/**
 * Move what is written on payments of what goes back of them. Their users are locked, so nothing
 * waits here; the checks on the table refuse to give back more than there was. What is refunded and
 * what came back is told to whoever wants to know.
 */
const MOVE: Statement<never> = {
  name: 'payments_move_given_back',
  ...timed`
  with ${CLOCK}, back as (
    update payments
    set
      refund_reserved = coalesce(payments.refund_reserved, 0) + moved.refund_reserved,
      fee_reserved = coalesce(payments.fee_reserved, 0) + moved.fee_reserved,
      refunded = coalesce(payments.refunded, 0) + moved.refunded,
      returned = coalesce(payments.returned, 0) + moved.returned,
      returned_fee = coalesce(payments.returned_fee, 0) + moved.returned_fee,
      transitions =
        coalesce(payments.transitions, 0) + (moved.refunded <> 0)::int
        + (moved.returned <> 0)::int
    from (
      select
        parent_id, sum(refund_reserved)::bigint as refund_reserved,
        sum(fee_reserved)::bigint as fee_reserved, sum(refunded)::bigint as refunded,
        sum(returned)::bigint as returned, sum(returned_fee)::bigint as returned_fee
      from ${MOVES.unnest('move', 3)}
      group by parent_id
    ) moved
    where payments.shard = $1 and payments.id = moved.parent_id
    returning
      ${returned('payments')}, moved.refunded <> 0 as refunds, moved.returned <> 0 as returns
  )${paymentEvents(
    'back',
    `
    (
      case when changed.refunds then 'payment.refunded' end,
      changed.transitions - changed.returns::int
    ),
    (case when changed.returns then 'payment.returned' end, changed.transitions)`,
  )}`,
}

/** The rows of `name`, each with the currency of the payment whose money goes back. */
export function inCurrencyOfParent(name: string, rows: string): string {
  return `${name} as materialized (
    select ${name}.*, parent.currency, parent.gateway
    from ${rows}
    cross join lateral (
      select currency, gateway
      from payments
      where shard = $1 and id = ${name}.parent_id
      limit 1
    ) parent
  )`
}

/** A refund as it is written. */
interface NewRefund {
  readonly id: bigint
  readonly userId: bigint
  readonly parentId: bigint
  readonly amount: bigint
  readonly feeReturned: bigint
  readonly idempotencyKey: string | null
  readonly refusedFor: string | null
}

const REFUNDS = columns<NewRefund>({
  id: 'bigint',
  userId: 'bigint',
  parentId: 'bigint',
  amount: 'bigint',
  feeReturned: 'bigint',
  idempotencyKey: 'text',
  refusedFor: 'text',
})

/**
 * Write refunds, those refused for lack of funds included, which are final from the start, each as
 * a child of its deposit. The caller writes what was said about them.
 */
const INSERT_REFUNDS: Statement<never> = {
  name: 'payments_insert_refunds',
  ...timed`
  with ${CLOCK}, ${inCurrencyOfParent('draft', REFUNDS.unnest('draft', 3))}, payment as (
    insert into payments
      (shard, id, user_id, type, amount, commission, fee_bps, parent_id, fee_returned,
       idempotency_key, currency, gateway, ${BEGUN.columns})
    select
      $1::int, id, user_id, 'refund', amount, 0, 0, parent_id, fee_returned, idempotency_key,
      currency, gateway, ${BEGUN.values}
    from clock, draft
  ), ${countAccepted('draft where refused_for is null')}
  insert into payment_children (shard, parent_id, payment_id)
  select $1::int, parent_id, id
  from draft`,
}

/** An earlier payment under a key; of one that is no refund only its type counts. */
export interface KeyedRefund {
  readonly id: bigint
  readonly userId: bigint
  readonly type: BookedType
  readonly amount: bigint
  readonly parentId: bigint | null
  readonly feeReturned: bigint | null
  readonly idempotencyKey: string
  readonly refusedFor: string | null
  readonly sent: SentFields | null
}

const AS_KEYED = `select
    payment.id, payment.user_id as "userId", payment.type, payment.amount,
    payment.parent_id as "parentId", payment.fee_returned as "feeReturned",
    payment.idempotency_key as "idempotencyKey", ${REFUSED_FOR} as "refusedFor",
    (
      select sent
      from payment_details
      where payment_details.shard = $1 and payment_details.payment_id = payment.id
    ) as sent`

/** The payments first made under these keys, as refunds are compared with them. */
const BY_KEYS: Statement<KeyedRefund> = {
  name: 'payments_refunds_by_keys',
  text: `
  ${AS_KEYED}
  from ${UNDER_KEYS}`,
}

/** The same by their ids: of payments in later ranges that have the keys. */
const KEYED_BY_IDS: Statement<KeyedRefund> = {
  name: 'payments_refunds_by_ids',
  ranged: 'payments',
  text: `
  ${AS_KEYED}
  from payments payment
  where payment.shard = $1 and payment.id = any ($2::bigint[])`,
}

interface RepeatedRefund {
  readonly id: bigint
  readonly repeated: bigint
  readonly feeReturned: bigint
}

const REPEATED = columns<RepeatedRefund>({
  id: 'bigint',
  repeated: 'bigint',
  feeReturned: 'bigint',
})

/**
 * Insert new refunds that repeat failed ones: the same, but for what they return of the commission.
 */
const INSERT_REPEATS: Statement<never> = {
  name: 'payments_insert_refund_repeats',
  ...timed`
  with ${CLOCK}, payment as (
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, parent_id, fee_returned,
       redrive_of, currency, gateway, created_at)
    select
      $1::int, input.id, first.user_id, first.type, 'new', first.amount, 0, 0, first.parent_id,
      input.fee_returned, first.id, first.currency, first.gateway, clock.time
    from clock, ${REPEATED.unnest('input', 3)}
    join payments first on first.shard = $1 and first.id = input.repeated
    returning id, parent_id
  ), ${countAccepted('payment')}
  insert into payment_children (shard, parent_id, payment_id)
  select $1::int, parent_id, id
  from payment`,
}

/** Read payments of a shard by id with what goes back, in no order; those missing are left out. */
export function readWhole(shard: Runner, ids: readonly bigint[]): Promise<WholePayment[]> {
  return shard.run(READ_WHOLE, [numbers(ids)])
}

/** What refunds give back, by their ids. */
export async function readShares(
  shard: Runner,
  ids: readonly bigint[],
): Promise<Map<bigint, Share>> {
  const rows = await shard.run(SHARES, [numbers(ids)])
  return new Map(rows.map(({ id, ...share }) => [id, share]))
}

/** Read payments whose money may go back. */
export async function readParents(shard: Runner, ids: readonly bigint[]): Promise<StoredParent[]> {
  return ids.length === 0 ? [] : shard.run(READ_PARENTS, [numbers(ids)])
}

/** Lock payments whose money goes back; their users are locked. */
export async function lockParents(tx: Runner, ids: readonly bigint[]): Promise<StoredParent[]> {
  return ids.length === 0 ? [] : tx.run(LOCK_PARENTS, [numbers(ids)])
}

/** Move what is written on payments of what goes back of them. */
export function moveGivenBack(tx: Tx, moves: readonly GivenBackMove[]): void {
  if (moves.length > 0) tx.write(MOVE, MOVES.of(moves))
}

/** Write refunds; the caller writes their tasks, holds and reservations. */
export function insertRefunds(tx: Tx, refunds: readonly NewRefund[]): void {
  if (refunds.length > 0) tx.write(INSERT_REFUNDS, REFUNDS.of(refunds))
}

/** The payments first made under these keys of these users. */
export function refundsByKeys(
  tx: Runner,
  requests: readonly Keyed[],
): Promise<readonly KeyedRefund[]> {
  return underKeys(tx, requests, BY_KEYS, (ids) => tx.run(KEYED_BY_IDS, [numbers(ids)]))
}

/** Insert new refunds, each repeating a failed one. */
export function insertRefundRepeats(tx: Tx, repeats: readonly RepeatedRefund[]): void {
  if (repeats.length > 0) tx.write(INSERT_REPEATS, REPEATED.of(repeats))
}
