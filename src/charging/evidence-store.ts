import { columns } from '../domain/array-parameters.ts'
import type { Attempt } from '../domain/evidence.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { CLOCK, timed, type Statement, type Tx } from '../ports.ts'

/**
 * A gateway call to be kept: how long ago it began, in whole milliseconds, as no clock but one's
 * own can say it.
 */
export type AttemptMade = Omit<Attempt, 'startedAt' | 'outcome'> & {
  readonly outcome: (ChargeOutcome | LookupOutcome)['kind']
  readonly ageMs: number
}

const ATTEMPTS = columns<AttemptMade>({
  paymentId: 'bigint',
  fence: 'int',
  call: 'smallint',
  kind: 'word',
  outcome: 'word',
  reason: 'text',
  sent: 'boolean',
  httpStatus: 'smallint',
  ageMs: 'bigint',
  tookMs: 'int',
  late: 'boolean',
})

/**
 * Keep evidence of gateway calls. When a call began is reckoned back from the database's clock, by
 * an age that its worker measured: workers' clocks disagree, and these times are compared and
 * sorted. A report that is repeated after a lost COMMIT changes nothing.
 */
const INSERT_ATTEMPTS: Statement<never> = {
  name: 'attempts_insert',
  ...timed`
  with ${CLOCK}
  insert into payment_attempts
    (shard, payment_id, fence, call, kind, outcome, reason, sent, http_status, started_at, took_ms,
     late)
  select
    $1::int, payment_id, fence, call, kind, outcome, reason, sent, http_status,
    clock.time - age_ms * interval '1 millisecond', took_ms, late
  from clock, ${ATTEMPTS.unnest('made', 3)}
  on conflict (shard, payment_id, fence, call) do nothing`,
}

/** Keep evidence of gateway calls. */
export function insertAttempts(tx: Tx, attempts: readonly AttemptMade[]): void {
  if (attempts.length > 0) tx.write(INSERT_ATTEMPTS, ATTEMPTS.of(attempts))
}
