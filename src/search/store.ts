import { numbers } from '../domain/columns.ts'
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
  readonly byKey: boolean
  readonly byRef: boolean
  readonly amount: bigint
}

/** Those of the newest payments that match. */
const RECENT: Statement<Match> = {
  name: 'search_recent_payments',
  text: `
  select
    id, idempotency_key is not distinct from $2 as "byKey",
    gateway_ref is not distinct from $2 as "byRef", amount
  from (
    select id, idempotency_key, gateway_ref, amount
    from payments
    where shard = $1
    order by id desc
    limit ${COMPARED_MAX}
  ) recent
  where idempotency_key = $2 or gateway_ref = $2 or amount = any ($3::bigint[])
  order by id desc
  limit ${FOUND_MAX}`,
}

/** Payments by their reference, the newest first; those that failed too. */
const REFERENCED: Statement<{ id: bigint }> = {
  name: 'search_referenced',
  text: `
  select payment_id as id
  from payment_details
  where shard = $1 and reference is not null
    and (reference, payment_id) > ($2::text, 0)
    and (reference, payment_id) < ($2::text, 9223372036854775807)
  order by reference desc, payment_id desc
  limit ${FOUND_MAX}`,
}

/** The newest payments of a shard whose key, gateway reference or amount is this. */
export function recentMatches(
  shard: Runner,
  text: string,
  amounts: readonly bigint[],
): Promise<Match[]> {
  return shard.run(RECENT, [text, numbers(amounts)])
}

/** The newest payments of a shard that have this reference. */
export function referenced(shard: Runner, reference: string): Promise<{ id: bigint }[]> {
  return shard.run(REFERENCED, [reference])
}
