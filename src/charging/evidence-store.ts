import { numbers, texts } from '../domain/arrays.ts'
import type { Attempt } from '../domain/evidence.ts'
import type { Statement, Tx } from '../ports.ts'

/** A gateway call to be kept: how long ago it began, as no clock but one's own can say it. */
export type AttemptMade = Omit<Attempt, 'startedAt'> & { readonly ageMs: number }

/**
 * Keep evidence of gateway calls. When a call began is reckoned back from the database's clock, by an
 * age that its worker measured: workers' clocks disagree, and these times are compared and sorted.
 * A report that is repeated after a lost COMMIT changes nothing.
 */
const INSERT_ATTEMPTS: Statement<never> = {
  name: 'attempts_insert',
  text: `
  with clock as materialized (
    select coalesce($13::timestamptz, clock_timestamp()) as time
  )
  insert into payment_attempts
    (shard, payment_id, fence, call, kind, outcome, reason, sent, http_status, started_at, took_ms,
     late)
  select
    $1::int, payment_id, fence, call, kind, outcome, reason, sent, http_status,
    clock.time - age_ms * interval '1 millisecond', took_ms, late
  from clock, unnest(
    $2::bigint[], $3::int[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::boolean[],
    $9::smallint[], $10::bigint[], $11::int[], $12::boolean[]
  ) as made (payment_id, fence, call, kind, outcome, reason, sent, http_status, age_ms, took_ms, late)
  on conflict (shard, payment_id, fence, call) do nothing`,
}

/** Keep evidence of gateway calls. */
export function insertAttempts(
  tx: Tx,
  shard: number,
  attempts: readonly AttemptMade[],
  at: Date | null,
): void {
  if (attempts.length === 0) return
  tx.write(INSERT_ATTEMPTS, [
    shard,
    numbers(attempts.map((attempt) => attempt.paymentId)),
    numbers(attempts.map((attempt) => attempt.fence)),
    numbers(attempts.map((attempt) => attempt.call)),
    `{${attempts.map((attempt) => attempt.kind).join(',')}}`,
    `{${attempts.map((attempt) => attempt.outcome).join(',')}}`,
    texts(attempts.map((attempt) => attempt.reason)),
    `{${attempts.map((attempt) => attempt.sent).join(',')}}`,
    numbers(attempts.map((attempt) => attempt.httpStatus)),
    numbers(attempts.map((attempt) => Math.round(attempt.ageMs))),
    numbers(attempts.map((attempt) => attempt.tookMs)),
    `{${attempts.map((attempt) => attempt.late).join(',')}}`,
    at,
  ])
}
