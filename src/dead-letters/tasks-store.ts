import { numbers } from '../domain/arrays.ts'
import type { Operation } from '../domain/payment.ts'
import type { Runner, Statement, Tx } from '../ports.ts'
import type { Attempt } from '../charging/evidence-store.ts'
import { CLAIMED, LOST, type ClaimedTask } from '../queue/store.ts'

/** A task claimed out of turn, and when it would have been due. */
export interface ClaimedAhead extends ClaimedTask {
  /** How long it still had to wait, in milliseconds; 0: it was due. */
  readonly dueInMs: number
}

/**
 * Claim one task in doubt for a lookup out of turn, due or not, but never while another claim holds
 * it. Not if the gateway was asked about it within the last `$4` milliseconds, by whatever process:
 * `asked_at` remembers the questions that left no evidence, because nothing was learned by them.
 * It is a claim like any other (fence, lease, evidence of a lost worker).
 */
const CLAIM_ONE: Statement<ClaimedAhead> = {
  name: 'tasks_claim_one',
  text: `
  with clock as materialized (
    select coalesce($5::timestamptz, clock_timestamp()) as time
  ), wanted as materialized (
    select payment_id, fence, lookups + pendings as lookups, run_at, leased as lost
    from payment_tasks
    where shard = $1 and payment_id = $2
      and (
        asked_at is null
        or asked_at <= (select time from clock) - $4::int * interval '1 millisecond'
      )
      and (not leased or run_at <= (select time from clock))
      and (leased or lookups > 0 or doubt_at is not null)
      and not exists (
        select from payment_attempts
        where shard = $1 and payment_id = $2
          and started_at > (select time from clock) - $4::int * interval '1 millisecond'
      )
    for update skip locked
  ), evidence as (
    insert into payment_attempts
      (shard, payment_id, fence, call, kind, outcome, reason, sent, started_at, took_ms)
    select
      $1::int, payment_id, fence, 0, case when lookups > 0 then 'lookup' else 'charge' end,
      'in_doubt', 'worker_lost', true, run_at, 0
    from wanted
    where lost
    on conflict (shard, payment_id, fence, call) do nothing
  )
  update payment_tasks task
  set
    run_at = clock.time + $3::int * interval '1 millisecond',
    fence = task.fence + 1,
    attempts = task.attempts + (${LOST})::int,
    tries = task.tries + (${LOST})::int,
    tried_at = coalesce(task.tried_at, case when ${LOST} then task.run_at end),
    leased = true,
    doubt_at = case when ${LOST} then task.run_at else task.doubt_at end,
    first_sent_at = coalesce(task.first_sent_at, clock.time),
    asked_at = clock.time
  from wanted, clock
  where task.shard = $1 and task.payment_id = wanted.payment_id
  returning ${CLAIMED},
    greatest(extract(epoch from wanted.run_at - clock.time) * 1000, 0)::float8 as "dueInMs"`,
}

/** A task as an operator's act finds it. */
export interface LockedTask {
  readonly paymentId: bigint
  readonly attempts: number
}

/**
 * Lock the tasks of payments in id order. Whoever holds this lock decides: a worker that settles the
 * same payment waits here, and then finds its claim gone.
 */
const LOCK: Statement<LockedTask> = {
  name: 'tasks_lock',
  text: `
  select payment_id as "paymentId", attempts
  from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])
  order by payment_id
  for update`,
}

/** The same without waiting: tasks that somebody else has locked are not among the rows. */
const LOCK_FREE: Statement<LockedTask> = {
  name: 'tasks_lock_free',
  text: `
  select payment_id as "paymentId", attempts
  from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])
  order by payment_id
  for update skip locked`,
}

/**
 * Give payments in doubt a fresh start: no tries, no lookups, due after their delay, and in doubt
 * still, so that the next claim begins with a lookup. Attempts go on counting, and the gateway's memory
 * of the key goes on ageing. The fence rises, so a claim that is running now is stale.
 *
 * A task that had left the queue returns with what its payment and its evidence tell: a fence above
 * every claim it ever had (claims that made no call left no evidence, but never a thousand of them),
 * its attempts, and the acceptance as the moment from which its key may have been in use.
 */
const REDRIVE: Statement<never> = {
  name: 'tasks_redrive',
  text: `
  with clock as materialized (
    select coalesce($4::timestamptz, clock_timestamp()) as time
  ), counted as (
    insert into payment_counts as kept (shard, slot, enqueued)
    select $1::int, pg_backend_pid() & 255, count(*)
    from unnest($2::bigint[])
    having count(*) > 0
    on conflict (shard, slot) do update
    set enqueued = kept.enqueued + excluded.enqueued
  )
  insert into payment_tasks as task
    (shard, payment_id, operation, run_at, fence, attempts, doubt_at, first_sent_at)
  select
    $1::int, input.payment_id, input.operation,
    clock.time + input.delay_ms * interval '1 millisecond',
    1000 + coalesce((
      select max(fence)
      from payment_attempts
      where shard = $1 and payment_id = input.payment_id
    ), 0),
    payment.attempts, clock.time, payment.created_at
  from clock, unnest($2::bigint[], $3::int[], $5::text[])
    as input (payment_id, delay_ms, operation)
  join payments payment on payment.shard = $1 and payment.id = input.payment_id
  on conflict (shard, payment_id) do update
  set
    run_at = excluded.run_at,
    fence = task.fence + 1,
    tries = 0,
    tried_at = null,
    lookups = 0,
    pendings = 0,
    leased = false,
    doubt_at = coalesce(task.doubt_at, excluded.doubt_at),
    first_sent_at = coalesce(task.first_sent_at, excluded.first_sent_at)`,
}

/** Put new payments' tasks in the queue, each due after its delay. */
const INSERT_LATER: Statement<never> = {
  name: 'tasks_insert_later',
  text: `
  with clock as materialized (
    select coalesce($4::timestamptz, clock_timestamp()) as time
  ), counted as (
    insert into payment_counts as kept (shard, slot, enqueued)
    select $1::int, pg_backend_pid() & 255, count(*)
    from unnest($2::bigint[])
    having count(*) > 0
    on conflict (shard, slot) do update
    set enqueued = kept.enqueued + excluded.enqueued
  )
  insert into payment_tasks (shard, payment_id, operation, run_at)
  select $1::int, payment_id, operation, clock.time + delay_ms * interval '1 millisecond'
  from clock, unnest($2::bigint[], $3::int[], $5::text[])
    as input (payment_id, delay_ms, operation)`,
}

/** A task as it is explained to people. */
export interface TaskLook {
  /** When it is due; while `leased`, when its lease ends. */
  readonly runAt: Date
  /** How long until then, in milliseconds; 0: it has come. */
  readonly dueInMs: number
  readonly attempts: number
  /** How much of the limit is used up. */
  readonly tries: number
  readonly lookups: number
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
  /** Claimed and not settled, even if the lease is over: then its worker is lost. */
  readonly leased: boolean
  /** Whether `runAt` has come. */
  readonly due: boolean
  readonly inDoubt: boolean
  readonly lastError: string | null
}

/** Look at the task of one payment; a finished payment has none. */
const LOOK: Statement<TaskLook> = {
  name: 'tasks_look',
  text: `
  select
    run_at as "runAt", greatest(extract(epoch from
      run_at - coalesce($3::timestamptz, clock_timestamp())) * 1000, 0)::float8 as "dueInMs",
    attempts, tries, lookups, pendings > 0 as "pending", leased,
    run_at <= coalesce($3::timestamptz, clock_timestamp()) as "due",
    doubt_at is not null as "inDoubt", last_error as "lastError"
  from payment_tasks
  where shard = $1 and payment_id = $2`,
}

/** Every gateway call ever made for a payment, in order. */
const ATTEMPTS: Statement<Attempt> = {
  name: 'attempts_of_payment',
  text: `
  select
    payment_id as "paymentId", fence, call, kind, outcome, reason, sent,
    http_status as "httpStatus", started_at as "startedAt", took_ms as "tookMs", late
  from payment_attempts
  where shard = $1 and payment_id = $2
  order by fence, call`,
}

/** A payment's task and how long it is to wait, in milliseconds. */
export interface Delayed {
  readonly paymentId: bigint
  readonly operation: Operation
  readonly delayMs: number
}

/** Claim one task in doubt out of turn. Null: it is not in doubt, held by a claim, or just asked. */
export async function claimAhead(
  db: Runner,
  shard: number,
  paymentId: bigint,
  limits: { readonly leaseMs: number; readonly intervalMs: number },
  at: Date | null,
): Promise<ClaimedAhead | null> {
  const { leaseMs, intervalMs } = limits
  const [task] = await db.run(CLAIM_ONE, [shard, paymentId, leaseMs, intervalMs, at])
  return task ?? null
}

/** Lock the tasks of payments; those that have left the queue are left out. */
export async function lockTasks(
  tx: Runner,
  shard: number,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, LockedTask>> {
  const rows = await tx.run(LOCK, [shard, numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Lock those tasks of payments that nobody else has locked, without waiting. */
export async function lockFreeTasks(
  tx: Runner,
  shard: number,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, LockedTask>> {
  const rows = await tx.run(LOCK_FREE, [shard, numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Start payments in doubt over, beginning with a lookup. */
export function redriveTasks(
  tx: Tx,
  shard: number,
  tasks: readonly Delayed[],
  at: Date | null,
): void {
  if (tasks.length > 0) tx.write(REDRIVE, [shard, ...columns(tasks), at, operations(tasks)])
}

/** Put tasks of new payments in the queue, each due after its delay. */
export function insertTasksLater(
  tx: Tx,
  shard: number,
  tasks: readonly Delayed[],
  at: Date | null,
): void {
  if (tasks.length > 0) tx.write(INSERT_LATER, [shard, ...columns(tasks), at, operations(tasks)])
}

function columns(tasks: readonly Delayed[]): string[] {
  return [
    numbers(tasks.map(({ paymentId }) => paymentId)),
    numbers(tasks.map(({ delayMs }) => delayMs)),
  ]
}

function operations(tasks: readonly Delayed[]): string {
  return `{${tasks.map(({ operation }) => operation).join(',')}}`
}

/** The task of one payment, or null when it has left the queue. */
export async function lookAtTask(
  db: Runner,
  shard: number,
  paymentId: bigint,
  at: Date | null,
): Promise<TaskLook | null> {
  const [task] = await db.run(LOOK, [shard, paymentId, at])
  return task ?? null
}

/** The evidence of every gateway call of a payment, in order. */
export function attemptsOfPayment(
  db: Runner,
  shard: number,
  paymentId: bigint,
): Promise<Attempt[]> {
  return db.run(ATTEMPTS, [shard, paymentId])
}
