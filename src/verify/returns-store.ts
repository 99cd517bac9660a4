import { columns, gatewayOf } from '../domain/array-parameters.ts'
import type { ReturnKind } from '../domain/returns.ts'
import { NOW, timed, type Runner, type Statement } from '../ports.ts'

/** The payments of a shard that a gateway calls so. */
const CALLED: Statement<{ ref: string; paymentId: bigint }> = {
  name: 'verify_payments_called',
  text: `
  select ref, payment_id as "paymentId"
  from gateway_refs
  where shard = $1 and gateway = $2 and ref = any ($3::text[])`,
}

/** Something that came back, by the gateway's word. */
interface Told {
  readonly parentId: bigint
  readonly ref: string
  /** What it undoes; empty: nothing. */
  readonly undoes: string
}

const TOLD = columns<Told>({ parentId: 'bigint', ref: 'text', undoes: 'text' })

/**
 * What came back of payments of the gateway `$3`, and is booked neither as a return nor as a refund
 * under its reference. What undoes something that was never booked is no loss, and what is looked
 * at within an hour is about to be booked.
 */
const MISSING: Statement<Told> = {
  name: 'verify_returns_missing',
  ...timed`
  select told.parent_id as "parentId", told.ref, told.undoes
  from ${TOLD.unnest('told', 4)}
  cross join lateral (
    select ${gatewayOf()} as gateway
    from payments
    where shard = $1 and id = told.parent_id
    limit 1
  ) parent
  cross join lateral (
    select
      count(*) filter (where coalesce(child.ref, refund.gateway_ref) = told.ref) as booked,
      count(*) filter (where child.ref = told.undoes) as undone
    from payment_children child
    cross join lateral (
      select gateway_ref
      from payments
      where shard = $1 and id = child.payment_id
      limit 1
    ) refund
    where child.shard = $1 and child.parent_id = told.parent_id
  ) seen
  where parent.gateway = $3 and seen.booked = 0 and (told.undoes = '' or seen.undone > 0)
    and not exists (
      select from payment_watches
      where shard = $1 and payment_id = told.parent_id and not looked
        and (leased or run_at < ${NOW} + interval '1 hour')
    )`,
}

interface Under {
  readonly parentId: bigint
  readonly ref: string
}

const UNDER = columns<Under>({ parentId: 'bigint', ref: 'text' })

/** A return under its reference, and what of it is booked. */
export interface BookedReturn extends Under {
  readonly kind: ReturnKind
  readonly amount: bigint
  /** Null: that of the books. */
  readonly currency: string | null
  readonly gateway: string
}

/** Of references of what went back of payments, those that returns are booked under. */
const BOOKED: Statement<BookedReturn> = {
  name: 'verify_returns_booked',
  text: `
  select
    told.parent_id as "parentId", told.ref, booked.return_kind as kind, booked.amount,
    booked.currency, booked.gateway
  from ${UNDER.unnest('told', 2)}
  cross join lateral (
    select payment_id
    from payment_children
    where shard = $1 and parent_id = told.parent_id and ref = told.ref
    limit 1
  ) child
  cross join lateral (
    select return_kind, amount, currency, ${gatewayOf()} as gateway
    from payments
    where shard = $1 and id = child.payment_id and type = 'return'
    limit 1
  ) booked`,
}

/** The payments of a shard that a gateway calls so. */
export function paymentsCalled(
  shard: Runner,
  gateway: string,
  refs: readonly string[],
): Promise<{ ref: string; paymentId: bigint }[]> {
  return shard.run(CALLED, [gateway, refs])
}

/** Under which of these references returns are booked. */
export async function returnsBooked(
  shard: Runner,
  told: readonly Under[],
): Promise<BookedReturn[]> {
  return told.length === 0 ? [] : shard.run(BOOKED, UNDER.of(told))
}

/** What came back and is not booked. */
export async function returnsMissing(
  shard: Runner,
  gateway: string,
  told: readonly Told[],
): Promise<Told[]> {
  return told.length === 0 ? [] : shard.run(MISSING, [gateway, ...TOLD.of(told)])
}
