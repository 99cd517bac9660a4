import { columns, numbers } from '../domain/arrays.ts'
import { GATEWAY, type Operation } from '../domain/payment.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/**
 * A task as its claim returns it. Ages in milliseconds, as of the claim; null: it never happened.
 */
export interface ClaimedTask {
  readonly paymentId: bigint
  /** The number of this claim; only the newest claim of a task may settle it. */
  readonly fence: number
  /** Charges that may have been sent, before this claim. */
  readonly attempts: number
  /** How much of the limit is used up. */
  readonly tries: number
  /** Since the first of them. */
  readonly triedAgeMs: number | null
  /** Lookups made since the tries ran out; above 0 the payment is only looked up. */
  readonly lookups: number
  /** How often the gateway said that it is working on it; above 0 it is only looked up. */
  readonly pendings: number
  /** Since the last charge of unknown outcome may have been sent. */
  readonly doubtAgeMs: number | null
  /** Since a charge may first have been sent; 0: by this claim at the earliest. */
  readonly firstSentAgeMs: number | null
  /** Since the gateway would not talk to us about it. */
  readonly misconfiguredAgeMs: number | null
}

/** A task whose claim was not settled and may have charged. */
const LOST = 'task.leased and task.lookups = 0 and task.pendings = 0'

/** What a claim sets, for a lease of `$4` milliseconds. A lost one counts as sent and as tried. */
export const CLAIMING = `
    run_at = clock.time + $4::int * interval '1 millisecond',
    fence = task.fence + 1,
    attempts = task.attempts + (${LOST})::int,
    tries = task.tries + (${LOST})::int,
    tried_at = coalesce(task.tried_at, case when ${LOST} then task.run_at end),
    leased = true,
    doubt_at = case when ${LOST} then task.run_at else task.doubt_at end,
    first_sent_at = coalesce(task.first_sent_at, clock.time)`

/** Keeps the lost claims among these rows as evidence. */
export function lostEvidence(rows: 'due' | 'wanted'): string {
  return `
    insert into payment_attempts
      (shard, payment_id, fence, call, kind, outcome, reason, sent, started_at, took_ms)
    select
      $1::int, payment_id, fence, 0, case when lookups > 0 then 'lookup' else 'charge' end,
      'in_doubt', 'worker_lost', true, run_at, 0
    from ${rows}
    where lost
    on conflict (shard, payment_id, fence, call) do nothing`
}

/** What a claim returns; `clock.time` is the time of the claim. */
export const CLAIMED = `
    task.payment_id as "paymentId", task.fence, task.attempts, task.tries, task.lookups,
    task.pendings,
    (extract(epoch from clock.time - task.tried_at) * 1000)::float8 as "triedAgeMs",
    (extract(epoch from clock.time - task.doubt_at) * 1000)::float8 as "doubtAgeMs",
    (extract(epoch from clock.time - task.first_sent_at) * 1000)::float8 as "firstSentAgeMs",
    (extract(epoch from clock.time - task.misconfigured_at) * 1000)::float8
      as "misconfiguredAgeMs"`

/**
 * Claim up to `$3` due tasks of one route in a shard, oldest first: the gateway `$5` and the
 * operation `$6`, so that what waits for another route is not even read. A claim moves `run_at` to
 * the end of its lease of `$4` milliseconds, so a dead worker's tasks come due again by themselves:
 * no lock column, no reaper. `fence` rises with each claim and only its newest value may settle.
 *
 * The claim counts nothing else. It dates the first charge that may be sent before any byte leaves.
 *
 * A task that is still marked leased when it comes due lost its worker: if that one might charge, a
 * charge may have been sent until the lease ended. So it counts as sent and as tried, is in doubt
 * from then on, and the lost claim is kept as evidence. MATERIALIZED, because the planner may
 * otherwise re-run the LIMIT per row and claim more than asked. The ids come as an array, because a
 * join makes it guess how many there are, and read the whole queue. The clock is read once, so
 * every row gets the same lease.
 */
const CLAIM: Statement<ClaimedTask> = {
  name: 'tasks_claim',
  clock: true,
  text: `
  with clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) as time
  ), due as materialized (
    select payment_id, fence, lookups + pendings as lookups, run_at, leased as lost
    from payment_tasks
    where shard = $1 and gateway = $5 and operation = $6
      and run_at <= (select time from clock)
    order by run_at
    limit $3
    for update skip locked
  ), evidence as (${lostEvidence('due')}
  ), counted as (
    insert into payment_counts (shard, started)
    select $1::int, count(*)
    from due
    having count(*) > 0
  )
  update payment_tasks task
  set${CLAIMING}
  from clock
  where task.shard = $1 and task.payment_id = any (array(select payment_id from due))
  returning ${CLAIMED}`,
}

/** Remove finished tasks from the queue. */
const DELETE: Statement<never> = {
  name: 'tasks_delete',
  text: `
  delete from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/** How a claim ends whose payment stays open. */
export interface Rescheduled {
  readonly paymentId: bigint
  readonly delayMs: number
  /** What these are from now on. */
  readonly lookups: number
  readonly pendings: number
  /** What is added: tries used up, and charges of which a byte may have left. */
  readonly tries: number
  readonly sent: number
  /** A charge of this claim may have been executed. */
  readonly doubted: boolean
  /** Provably none was. */
  readonly unsent: boolean
  /** The gateway would not talk to us. */
  readonly refused: boolean
  /** Null: as it was. */
  readonly reason: string | null
}

const RESCHEDULED = columns<Rescheduled>({
  paymentId: 'bigint',
  delayMs: 'bigint',
  lookups: 'int',
  pendings: 'int',
  tries: 'int',
  sent: 'int',
  doubted: 'boolean',
  unsent: 'boolean',
  refused: 'boolean',
  reason: 'text',
})

/**
 * End claims whose payments stay open: due again after their delay. `tries` and `sent` are added to
 * what is counted. `doubted` moves the moment of the last charge of unknown outcome to now;
 * `unsent` says that whatever the claim sent was provably not executed, so if nothing else is in
 * doubt, no charge of this payment ever was. `lookups` and `pendings` above 0 keep a payment from
 * being charged.
 */
const RESCHEDULE: Statement<never> = {
  name: 'tasks_reschedule',
  clock: true,
  text: `
  with clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) as time
  ), counted as (
    insert into payment_counts (shard, retried)
    select $1::int, count(*)
    from unnest($7::int[]) as input (tries)
    where tries > 0
    having count(*) > 0
  )
  update payment_tasks task
  set
    run_at = clock.time + input.delay_ms * interval '1 millisecond',
    leased = false,
    attempts = task.attempts + input.sent,
    tries = task.tries + input.tries,
    tried_at = case
      when input.tries > 0 then coalesce(task.tried_at, clock.time) else task.tried_at
    end,
    lookups = input.lookups,
    pendings = input.pendings,
    doubt_at = case when input.doubted then clock.time else task.doubt_at end,
    first_sent_at = case
      when input.unsent and task.doubt_at is null then null else task.first_sent_at
    end,
    misconfigured_at = case when input.refused then clock.time else task.misconfigured_at end,
    last_error = coalesce(input.reason, task.last_error)
  from clock, ${RESCHEDULED.unnest('input', 3)}
  where task.shard = $1 and task.payment_id = input.payment_id`,
}

/** Give back claims that were never started: due at once, and as if they had not been claimed. */
const RELEASE: Statement<never> = {
  name: 'tasks_release',
  clock: true,
  text: `
  update payment_tasks
  set
    run_at = coalesce($2::timestamptz, clock_timestamp()),
    leased = false,
    first_sent_at = case when doubt_at is null then null else first_sent_at end
  where shard = $1 and payment_id = any ($3::bigint[])`,
}

/** The payments of which some claim saw the gateway say yes. */
const CHARGED: Statement<{ paymentId: bigint }> = {
  name: 'attempts_charged',
  text: `
  select distinct payment_id as "paymentId"
  from payment_attempts
  where shard = $1 and payment_id = any ($2::bigint[]) and outcome = 'success'`,
}

/** What is known of the open tasks of some payments. */
export interface TaskView {
  readonly paymentId: bigint
  readonly runAt: Date
  readonly attempts: number
  readonly lookups: number
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
  readonly leased: boolean
  readonly inDoubt: boolean
  readonly lastError: string | null
}

/** Read the tasks of payments; finished payments have none. */
const READ: Statement<TaskView> = {
  name: 'tasks_read',
  clock: true,
  text: `
  select
    payment_id as "paymentId", run_at as "runAt", attempts, lookups, pendings > 0 as "pending",
    leased and run_at > coalesce($2::timestamptz, clock_timestamp()) as "leased",
    doubt_at is not null as "inDoubt", last_error as "lastError"
  from payment_tasks
  where shard = $1 and payment_id = any ($3::bigint[])`,
}

/** Claim up to `limit` due tasks of a route for `leaseMs`. Committed when it returns. */
export function claimTasks(
  shard: Runner,
  operation: Operation,
  limit: number,
  leaseMs: number,
): Promise<ClaimedTask[]> {
  return shard.run(CLAIM, [limit, leaseMs, GATEWAY, operation])
}

/** Remove finished tasks. */
export function deleteTasks(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(DELETE, [numbers(paymentIds)])
}

/** End claims whose payments stay open. */
export function rescheduleTasks(tx: Tx, tasks: readonly Rescheduled[]): void {
  if (tasks.length > 0) tx.write(RESCHEDULE, RESCHEDULED.of(tasks))
}

/** Give back claims that were never started. */
export function releaseTasks(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(RELEASE, [numbers(paymentIds)])
}

/** Which of these payments the gateway said yes to, by the evidence that is kept. */
export async function chargedPayments(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<bigint[]> {
  if (paymentIds.length === 0) return []
  const rows = await tx.run(CHARGED, [numbers(paymentIds)])
  return rows.map((row) => row.paymentId)
}

/** Read the open tasks of payments, by payment id. */
export async function readTasks(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, TaskView>> {
  const rows = await shard.run(READ, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}
