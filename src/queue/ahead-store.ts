import type { Runner, Statement } from '../ports.ts'
import { CLAIMED, CLAIMING, lostEvidence, type ClaimedTask } from './store.ts'

/** A task claimed out of turn, and when it would have been due. */
export interface ClaimedAhead extends ClaimedTask {
  /** How long it still had to wait, in milliseconds; 0: it was due. */
  readonly dueInMs: number
}

/**
 * Claim one task in doubt for a lookup out of turn, due or not, but never while another claim holds
 * it. Not if the gateway was asked about it within the last `$5` milliseconds, by whatever process:
 * `asked_at` remembers the questions that left no evidence, because nothing was learned by them.
 * It is a claim like any other (fence, lease, evidence of a lost worker).
 */
const CLAIM_ONE: Statement<ClaimedAhead> = {
  name: 'tasks_claim_one',
  clock: true,
  text: `
  with clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) as time
  ), wanted as materialized (
    select payment_id, fence, lookups + pendings as lookups, run_at, leased as lost
    from payment_tasks
    where shard = $1 and payment_id = $3
      and (
        asked_at is null
        or asked_at <= (select time from clock) - $5::int * interval '1 millisecond'
      )
      and (not leased or run_at <= (select time from clock))
      and (leased or lookups > 0 or doubt_at is not null)
      and not exists (
        select from payment_attempts
        where shard = $1 and payment_id = $3
          and started_at > (select time from clock) - $5::int * interval '1 millisecond'
      )
    for update skip locked
  ), evidence as (${lostEvidence('wanted')}
  )
  update payment_tasks task
  set${CLAIMING},
    asked_at = clock.time
  from wanted, clock
  where task.shard = $1 and task.payment_id = wanted.payment_id
  returning ${CLAIMED},
    greatest(extract(epoch from wanted.run_at - clock.time) * 1000, 0)::float8 as "dueInMs"`,
}

/**
 * Claim one task in doubt out of turn. Null: it is not in doubt, held by a claim, or just asked.
 */
export async function claimAhead(
  shard: Runner,
  paymentId: bigint,
  { leaseMs, intervalMs }: { readonly leaseMs: number; readonly intervalMs: number },
): Promise<ClaimedAhead | null> {
  const [task] = await shard.run(CLAIM_ONE, [paymentId, leaseMs, intervalMs])
  return task ?? null
}
