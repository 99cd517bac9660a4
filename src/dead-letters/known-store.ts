import { numbers } from '../domain/array-parameters.ts'
import type { KnownEvidence } from '../domain/evidence.ts'
import { CLOCK, timed, type Runner, type Statement } from '../ports.ts'

/** What the evidence of a payment comes to. */
interface Known extends KnownEvidence {
  readonly paymentId: bigint
}

/**
 * Put together what is known of payments from the evidence of all their calls, late ones included.
 * The statuses of a decline are those that are one by now: others were once taken for it. While a
 * payment has no task, its key may have been in use since its acceptance.
 */
const KNOWN: Statement<Known> = {
  name: 'attempts_known',
  ...timed`
  with ${CLOCK}
  select
    payment.id as "paymentId",
    coalesce(said.yes, false) as yes, coalesce(said.no, false) as no,
    coalesce(said.declined, false) as declined, coalesce(said.absent, false) as absent,
    coalesce(said.doubted, false) as doubted,
    (extract(epoch from
      clock.time - coalesce(task.first_sent_at, payment.created_at)) * 1000)::float8
      as "firstSentAgeMs"
  from clock
  cross join payments payment
  left join lateral (
    select first_sent_at
    from payment_tasks
    where shard = $1 and payment_id = payment.id
    limit 1
  ) task on true
  cross join lateral (
    select
      bool_or(outcome = 'success') as yes,
      bool_or(kind in ('lookup', 'cancel') and outcome = 'declined') as no,
      bool_or(kind = 'charge' and outcome = 'declined'
        and coalesce(http_status between 200 and 299 or http_status in (400, 402, 409, 422), true))
        as declined,
      bool_or(kind = 'lookup' and outcome = 'not_found') as absent,
      bool_or(kind = 'charge' and outcome in ('in_doubt', 'pending')) as doubted
    from payment_attempts
    where shard = $1 and payment_id = payment.id
  ) said
  where payment.shard = $1 and payment.id = any ($3::bigint[])`,
}

/** What is known of payments by their evidence, by payment id. */
export async function knownOf(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, KnownEvidence>> {
  if (paymentIds.length === 0) return new Map()
  const rows = await shard.run(KNOWN, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}
