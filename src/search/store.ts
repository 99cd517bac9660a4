import { numbers } from '../domain/array-parameters.ts'
import { CURRENCIES } from '../domain/currency.ts'
import type { Sought } from '../domain/search.ts'
import type { Runner, Statement } from '../ports.ts'

/**
 * Payments of a shard that are compared with what no index has: their idempotency key, which the
 * index knows only with its user, their gateway reference and their amount. An index for each would
 * slow down every payment for a search now and then; the newest are those that people look for.
 */
export const COMPARED_MAX = 5_000
/** Payments of a shard that a search finds at most. */
const FOUND_MAX = 20

/** A payment that matches, and how. */
interface Match {
  readonly id: bigint
  readonly by: 'idempotency_key' | 'gateway_ref' | 'amount'
}

/**
 * Those of the newest payments that match, the newest in each way: many that are called so in one
 * way hide none that is in another. As many minor units are another amount in another currency:
 * `$5` is what the amount comes to in each of the currencies `$4`, compared without a join, which
 * would go through all of them for each payment.
 */
const RECENT: Statement<Match> = {
  name: 'search_recent_payments',
  text: `
  with recent as materialized (
    select id, idempotency_key, gateway_ref, coalesce(currency, $3::text) as currency, amount
    from payments
    where shard = $1
    order by id desc
    limit ${COMPARED_MAX}
  )
  (
    select id, 'idempotency_key' as by
    from recent
    where idempotency_key = $2
    order by id desc
    limit ${FOUND_MAX}
  )
  union all
  (
    select id, 'gateway_ref' as by
    from recent
    where gateway_ref = $2
    order by id desc
    limit ${FOUND_MAX}
  )
  union all
  (
    select id, 'amount' as by
    from recent
    where case
        when amount = any ($5::bigint[])
        then amount = ($5::bigint[])[array_position($4::text[], currency)]
      end
    order by id desc
    limit ${FOUND_MAX}
  )`,
}

/**
 * Payments by their reference, the newest first; those that failed too, and those that repeat one
 * of them. The limits keep the planner from reading all payments for a join.
 */
const REFERENCED: Statement<{ id: bigint }> = {
  name: 'search_referenced',
  text: `
  with recursive called (id) as (
    (
      select payment_id
      from payment_details
      where shard = $1 and reference is not null
        and (reference, payment_id) > ($2::text, 0)
        and (reference, payment_id) < ($2::text, 9223372036854775807)
      order by reference desc, payment_id desc
      limit ${FOUND_MAX}
    )
    union all
    select again.id
    from called
    cross join lateral (
      select id
      from payments
      where shard = $1 and redrive_of = called.id
      limit ${FOUND_MAX}
    ) again
  )
  select id
  from called
  order by id desc
  limit ${FOUND_MAX}`,
}

/** The newest payments of a shard whose key, gateway reference or amount is this. */
export function recentMatches(
  shard: Runner,
  { text, amounts }: Sought,
  books: string,
): Promise<Match[]> {
  const told = [...CURRENCIES].filter(([, exponent]) => amounts.has(exponent))
  const minors = told.map(([, exponent]) => amounts.get(exponent) ?? 0n)
  return shard.run(RECENT, [text, books, told.map(([code]) => code), numbers(minors)])
}

/** The newest payments of a shard that have this reference. */
export function referenced(shard: Runner, reference: string): Promise<{ id: bigint }[]> {
  return shard.run(REFERENCED, [reference])
}
