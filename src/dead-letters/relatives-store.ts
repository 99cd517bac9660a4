import { numbers } from '../domain/array-parameters.ts'
import type { Relative } from '../domain/correction.ts'
import type { Runner, Statement } from '../ports.ts'

/** How many times a payment is repeated at most that all are looked at. */
const REPEATS_MAX = 1_000

/**
 * The other payments of the chains that redrives made of these: each repeats the one before. Up to
 * the first, and from there down to the last; a failed payment is repeated once, so a chain has no
 * branches. What was booked of one by an operator's word stands in its `settle_late`, and the
 * word's reference in the record. The limits of one keep the planner from reading all payments.
 */
const RELATIVES: Statement<Relative & { readonly of: bigint }> = {
  name: 'payments_relatives',
  text: `
  with recursive up (asked, id, repeats, steps) as (
    select id, id, redrive_of, 0
    from payments
    where shard = $1 and id = any ($2::bigint[])
    union all
    select up.asked, before.id, before.redrive_of, up.steps + 1
    from up
    cross join lateral (
      select id, redrive_of
      from payments
      where shard = $1 and id = up.repeats
      limit 1
    ) before
    where up.steps < ${REPEATS_MAX}
  ), down (asked, id, steps) as (
    select asked, id, 0
    from up
    where repeats is null
    union all
    select down.asked, later.id, down.steps + 1
    from down
    cross join lateral (
      select id
      from payments
      where shard = $1 and redrive_of = down.id
      limit 1
    ) later
    where down.steps < ${REPEATS_MAX}
  )
  select
    down.asked as "of", payment.id, payment.status, payment.gateway_ref as "gatewayRef",
    late.corrected, word.ref as "correctedAs"
  from down
  cross join lateral (
    select id, user_id, status, gateway_ref
    from payments
    where shard = $1 and id = down.id
    limit 1
  ) payment
  cross join lateral (
    select count(*) > 0 as corrected
    from postings
    where shard = $1 and user_id = payment.user_id and payment_id = payment.id
      and kind = 'settle_late'
  ) late
  cross join lateral (
    select max(after ->> 'gateway_ref') as ref
    from operator_acts
    where shard = $1 and payment_id = payment.id and act = 'correct'
  ) word
  where down.id <> down.asked
  order by down.asked, payment.id`,
}

/** Under which references operators have booked that failed payments were executed. */
const CORRECTED_AS: Statement<{ readonly paymentId: bigint; readonly ref: string }> = {
  name: 'payments_corrected_as',
  text: `
  select payment_id as "paymentId", max(after ->> 'gateway_ref') as ref
  from operator_acts
  where shard = $1 and payment_id = any ($2::bigint[]) and act = 'correct'
    and after ->> 'gateway_ref' is not null
  group by payment_id`,
}

/** The references under which payments are corrected; not of those without one. */
export async function correctedAs(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<ReadonlyMap<bigint, string>> {
  if (paymentIds.length === 0) return new Map()
  const rows = await shard.run(CORRECTED_AS, [numbers(paymentIds)])
  return new Map(rows.map(({ paymentId, ref }) => [paymentId, ref]))
}

/** The other payments of the chains of these, by the id of the one that was asked about. */
export async function relativesOf(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<ReadonlyMap<bigint, readonly Relative[]>> {
  const relatives = new Map<bigint, Relative[]>()
  if (paymentIds.length === 0) return relatives
  for (const { of, ...relative } of await shard.run(RELATIVES, [numbers(paymentIds)])) {
    const chain = relatives.get(of)
    if (chain === undefined) relatives.set(of, [relative])
    else chain.push(relative)
  }
  return relatives
}
