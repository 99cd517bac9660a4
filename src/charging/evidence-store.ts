import { numbers, texts } from '../domain/arrays.ts'
import type { KnownEvidence } from '../domain/evidence.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** One gateway call as it is kept. */
export interface Attempt {
  readonly paymentId: bigint
  readonly fence: number
  /** 1, 2, 3 within a claim. */
  readonly call: number
  readonly kind: 'charge' | 'lookup'
  readonly outcome: string
  readonly reason: string | null
  readonly sent: boolean
  readonly httpStatus: number | null
  /** On the database's clock, like every time that is compared or sorted. */
  readonly startedAt: Date
  readonly tookMs: number
  /** It arrived after its lease was lost. */
  readonly late: boolean
}

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

/** What the evidence of a payment comes to. */
interface Known extends KnownEvidence {
  readonly paymentId: bigint
}

/**
 * Put together what is known of payments from the evidence of all their calls, late ones included. The
 * statuses of a decline are those that are one by now: others were once taken for it. While a payment
 * has no task, its key may have been in use since its acceptance.
 */
const KNOWN: Statement<Known> = {
  name: 'attempts_known',
  text: `
  with clock as materialized (
    select coalesce($3::timestamptz, clock_timestamp()) as time
  )
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
  left join payment_tasks task on task.shard = $1 and task.payment_id = payment.id
  cross join lateral (
    select
      bool_or(outcome = 'success') as yes,
      bool_or(kind = 'lookup' and outcome = 'declined') as no,
      bool_or(kind = 'charge' and outcome = 'declined'
        and coalesce(http_status in (400, 402, 409, 422), true)) as declined,
      bool_or(kind = 'lookup' and outcome = 'not_found') as absent,
      bool_or(kind = 'charge' and outcome in ('in_doubt', 'pending')) as doubted
    from payment_attempts
    where shard = $1 and payment_id = payment.id
  ) said
  where payment.shard = $1 and payment.id = any ($2::bigint[])`,
}

/** What is known of payments by their evidence, by payment id. */
export async function knownOf(
  db: Runner,
  shard: number,
  paymentIds: readonly bigint[],
  at: Date | null,
): Promise<Map<bigint, KnownEvidence>> {
  if (paymentIds.length === 0) return new Map()
  const rows = await db.run(KNOWN, [shard, numbers(paymentIds), at])
  return new Map(rows.map((row) => [row.paymentId, row]))
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
