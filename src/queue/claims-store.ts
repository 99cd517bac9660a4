import type { TaskPast } from '../domain/charge-decision.ts'
import { GATEWAY, type Route } from '../domain/payment.ts'
import { OF_HTTP, ofGateway } from './route-store.ts'
import { CLOCK, LEASE, timed, type Runner, type Statement } from '../ports.ts'

/** A task as its claim returns it. Ages are as of the claim. */
export interface ClaimedTask extends TaskPast {
  readonly paymentId: bigint
  /** The number of this claim; only the newest claim of a task may settle it. */
  readonly fence: number
  /** Charges that may have been sent, before this claim. */
  readonly attempts: number
  /** Since the gateway would not talk to us about it; null: it always has. */
  readonly misconfiguredAgeMs: number | null
  readonly pendingAgeMs: number | null
}

/** A task claimed out of turn, and when it would have been due. */
export interface ClaimedAhead extends ClaimedTask {
  /** How long it still had to wait, in milliseconds; 0: it was due. */
  readonly dueInMs: number
}

/**
 * A claim moves `run_at` to the end of its lease of `$4` milliseconds, so a dead worker's tasks
 * come due again by themselves: no lock column, no reaper. `fence` rises with each claim and only
 * its newest value may settle. It dates the first charge that may be sent before any byte leaves.
 *
 * Claims differ in which tasks they want. MATERIALIZED, because the planner may otherwise re-run
 * the LIMIT of `which` per row and claim more than asked.
 */
const wanted = (which: string) => `wanted as materialized (
    select payment_id, fence, lookups + pendings as lookups, run_at, leased as lost
    from payment_tasks
    where shard = $1${which}
    for update skip locked
  )`

/**
 * A task that is still marked leased when it is claimed lost its worker. The lost claim is kept as
 * evidence.
 */
const EVIDENCE = `evidence as (
    insert into payment_attempts
      (shard, payment_id, fence, call, kind, outcome, reason, sent, started_at, took_ms)
    select
      $1::int, payment_id, fence, 0, case when lookups > 0 then 'lookup' else 'charge' end,
      'in_doubt', 'worker_lost', true, run_at, 0
    from wanted
    where lost
    on conflict (shard, payment_id, fence, call) do nothing
  )`

/**
 * A lost claim that might charge: a charge may have been sent until the lease ended. It counts as
 * sent and as tried, and the payment is in doubt from then on. The claim counts nothing else.
 */
const MIGHT_CHARGE = 'task.leased and task.lookups = 0 and task.pendings = 0'

/**
 * The ids come as an array, because a join makes the planner guess how many there are, and read the
 * whole queue. The clock is read once, so every row gets the same lease.
 */
const claimWanted = (also = '') => `
  update payment_tasks task
  set
    run_at = lease.until,
    fence = task.fence + 1,
    attempts = task.attempts + (${MIGHT_CHARGE})::int,
    tries = task.tries + (${MIGHT_CHARGE})::int,
    tried_at = coalesce(task.tried_at, case when ${MIGHT_CHARGE} then task.run_at end),
    leased = true,
    doubt_at = case when ${MIGHT_CHARGE} then task.run_at else task.doubt_at end,
    first_sent_at = coalesce(task.first_sent_at, lease.time)${also}
  from lease
  where task.shard = $1 and task.payment_id = any (array(select payment_id from wanted))
  returning
    task.payment_id as "paymentId", task.fence, task.attempts, task.tries, task.lookups,
    task.pendings,
    case
      when task.pendings > 0
        then (extract(epoch from lease.time - task.pending_at) * 1000)::float8
    end as "pendingAgeMs",
    (extract(epoch from lease.time - task.tried_at) * 1000)::float8 as "triedAgeMs",
    (extract(epoch from lease.time - task.doubt_at) * 1000)::float8 as "doubtAgeMs",
    (extract(epoch from lease.time - task.first_sent_at) * 1000)::float8 as "firstSentAgeMs",
    (extract(epoch from lease.time - task.misconfigured_at) * 1000)::float8
      as "misconfiguredAgeMs"`

/** The due tasks of a route, oldest first. */
const dueOf = (gateway: string, limit: string) =>
  wanted(`
      and ${gateway} and operation = $5
      and run_at <= (select time from clock)
    order by run_at
    limit ${limit}`)

const STARTED = `counted as (
    insert into payment_counts (shard, started)
    select $1::int, count(*)
    from wanted
    having count(*) > 0
  )`

/**
 * Claim up to `$3` due tasks of the gateway `http` and the operation `$5` in a shard, so that what
 * waits for another route is not even read.
 */
const CLAIM: Statement<ClaimedTask> = {
  name: 'tasks_claim',
  ...timed`
  with ${CLOCK}, ${LEASE}, ${dueOf(OF_HTTP, '$3')}, ${EVIDENCE}, ${STARTED}${claimWanted()}`,
}

const OF_ANOTHER = ofGateway('(select $6::text)')

/**
 * The same of the gateway `$6`, which is another. The planner is to see neither it nor the limit:
 * beside a backlog of yet another gateway it takes a plan for these very values to be so much
 * better that it makes one for each claim, which costs more than the claim.
 */
const CLAIM_OF: Statement<ClaimedTask> = {
  name: 'tasks_claim_of',
  ...timed`
  with ${CLOCK}, ${LEASE}, ${dueOf(OF_ANOTHER, '(select $3::int)')}, ${EVIDENCE},
  ${STARTED}${claimWanted()}`,
}

/**
 * Claim one task in doubt for a lookup out of turn, due or not, but never while another claim holds
 * it. Not if the gateway was asked about it within the last `$5` milliseconds, by whatever process:
 * `asked_at` remembers the questions that left no evidence, because nothing was learned by them.
 */
const CLAIM_AHEAD: Statement<ClaimedAhead> = {
  name: 'tasks_claim_ahead',
  ...timed`
  with ${CLOCK}, ${LEASE}, ${wanted(`
      and payment_id = $3
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
      )`)}, ${EVIDENCE}${claimWanted(', asked_at = lease.time')},
    greatest(extract(epoch from (select run_at from wanted) - lease.time) * 1000, 0)::float8
      as "dueInMs"`,
}

/** Claim up to `limit` due tasks of a route for `leaseMs`. Committed when it returns. */
export function claimTasks(
  shard: Runner,
  { gateway, operation }: Route,
  limit: number,
  leaseMs: number,
): Promise<ClaimedTask[]> {
  const values = [limit, leaseMs, operation]
  return gateway === GATEWAY ? shard.run(CLAIM, values) : shard.run(CLAIM_OF, [...values, gateway])
}

/**
 * Claim one task in doubt out of turn. Null: it is not in doubt, held by a claim, or just asked.
 */
export async function claimAhead(
  shard: Runner,
  paymentId: bigint,
  { leaseMs, intervalMs }: { readonly leaseMs: number; readonly intervalMs: number },
): Promise<ClaimedAhead | null> {
  const [task] = await shard.run(CLAIM_AHEAD, [paymentId, leaseMs, intervalMs])
  return task ?? null
}
