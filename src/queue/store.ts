import { numbers, texts } from '../domain/arrays.ts'
import { GATEWAY, type Operation } from '../domain/payment.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

/** A task as its claim returns it. */
export interface ClaimedTask {
  readonly paymentId: bigint
  /** The number of this claim; only the newest claim of a task may settle it. */
  readonly fence: number
  /** Counted claims, this one included. */
  readonly attempts: number
  /** Lookups made since attempts ran out; above 0 the payment is only looked up. */
  readonly lookups: number
  /** Time since the last charge of unknown outcome may have been sent; null: none was. */
  readonly doubtAgeMs: number | null
}

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
  readonly startedAt: Date
  readonly tookMs: number
  /** It arrived after its lease was lost. */
  readonly late: boolean
}

/**
 * Claim up to `$2` due tasks of one route in a shard, oldest first: the gateway `$5` and the
 * operation `$6`, so that what waits for another route is not even read. A claim moves `run_at` to the end of its lease
 * of `$3` milliseconds, so a dead worker's tasks come due again by themselves: no lock column, no
 * reaper. `fence` rises with each claim and only its newest value may settle.
 *
 * A task that is still marked leased when it comes due lost its worker: its charge may have been sent
 * until the lease ended, so it is in doubt from then on, and the lost claim is kept as evidence.
 * MATERIALIZED, because the planner may otherwise re-run the LIMIT per row and claim more than asked.
 * The ids come as an array, because a join makes it guess how many there are, and read the whole queue.
 * The clock is read once, so every row gets the same lease.
 */
const CLAIM: Statement<ClaimedTask> = {
  name: 'tasks_claim',
  text: `
  with clock as materialized (
    select coalesce($4::timestamptz, clock_timestamp()) as time
  ), due as materialized (
    select payment_id, fence, lookups, run_at, leased as lost
    from payment_tasks
    where shard = $1 and gateway = $5 and operation = $6
      and run_at <= (select time from clock)
    order by run_at
    limit $2
    for update skip locked
  ), evidence as (
    insert into payment_attempts
      (shard, payment_id, fence, call, kind, outcome, reason, sent, started_at, took_ms)
    select
      $1::int, payment_id, fence, 0, case when lookups > 0 then 'lookup' else 'charge' end,
      'in_doubt', 'worker_lost', true, run_at, 0
    from due
    where lost
    on conflict (shard, payment_id, fence, call) do nothing
  )
  update payment_tasks task
  set
    run_at = clock.time + $3::int * interval '1 millisecond',
    fence = task.fence + 1,
    attempts = task.attempts + (task.lookups = 0)::int,
    leased = true,
    doubt_at = case when task.leased and task.lookups = 0 then task.run_at else task.doubt_at end
  from clock
  where task.shard = $1 and task.payment_id = any (array(select payment_id from due))
  returning
    task.payment_id as "paymentId", task.fence, task.attempts, task.lookups,
    (extract(epoch from clock.time - task.doubt_at) * 1000)::float8 as "doubtAgeMs"`,
}

/**
 * Lock, in id order, the tasks whose newest claim is still the one that asks. A claim that lost its
 * lease to another worker, that has been settled already, or whose task is finished is not among the
 * rows: so a settlement that is repeated after a lost COMMIT changes nothing.
 */
const OWNED: Statement<{ paymentId: bigint }> = {
  name: 'tasks_owned',
  text: `
  select task.payment_id as "paymentId"
  from payment_tasks task
  join unnest($2::bigint[], $3::int[]) as claim (payment_id, fence)
    on task.payment_id = claim.payment_id and task.fence = claim.fence
  where task.shard = $1 and task.leased
  order by task.payment_id
  for update of task`,
}

/** Remove finished tasks from the queue. */
const DELETE: Statement<never> = {
  name: 'tasks_delete',
  text: `
  delete from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/**
 * End claims whose payments stay open: due again after their delay. `doubted` moves the moment of the
 * last charge of unknown outcome to now; `lookups` above 0 keeps a payment from being charged again.
 */
const RESCHEDULE: Statement<never> = {
  name: 'tasks_reschedule',
  text: `
  with clock as materialized (
    select coalesce($7::timestamptz, clock_timestamp()) as time
  )
  update payment_tasks task
  set
    run_at = clock.time + input.delay_ms * interval '1 millisecond',
    leased = false,
    lookups = input.lookups,
    doubt_at = case when input.doubted then clock.time else task.doubt_at end,
    last_error = input.reason
  from clock, unnest($2::bigint[], $3::bigint[], $4::int[], $5::boolean[], $6::text[])
    as input (payment_id, delay_ms, lookups, doubted, reason)
  where task.shard = $1 and task.payment_id = input.payment_id`,
}

/** Give back claims that were never started: due at once, and not counted. */
const RELEASE: Statement<never> = {
  name: 'tasks_release',
  text: `
  update payment_tasks
  set
    run_at = coalesce($3::timestamptz, clock_timestamp()),
    leased = false,
    attempts = attempts - (lookups = 0)::int
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/** Keep evidence of gateway calls. A report that is repeated after a lost COMMIT changes nothing. */
const INSERT_ATTEMPTS: Statement<never> = {
  name: 'attempts_insert',
  text: `
  insert into payment_attempts
    (shard, payment_id, fence, call, kind, outcome, reason, sent, http_status, started_at, took_ms,
     late)
  select $1::int, *
  from unnest(
    $2::bigint[], $3::int[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::boolean[],
    $9::smallint[], $10::timestamptz[], $11::int[], $12::boolean[]
  )
  on conflict (shard, payment_id, fence, call) do nothing`,
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
  readonly leased: boolean
  readonly inDoubt: boolean
  readonly lastError: string | null
}

/** Read the tasks of payments; finished payments have none. */
const READ: Statement<TaskView> = {
  name: 'tasks_read',
  text: `
  select
    payment_id as "paymentId", run_at as "runAt", attempts, lookups,
    leased and run_at > coalesce($3::timestamptz, clock_timestamp()) as "leased",
    doubt_at is not null as "inDoubt", last_error as "lastError"
  from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/** What the queue of a shard looks like. Ages in seconds. */
export interface QueueView {
  readonly due: number
  readonly leased: number
  readonly waiting: number
  readonly oldestDueSeconds: number
}

/** Count the queue by what its tasks wait for. Reads every open task: for gauges, not for requests. */
const VIEW: Statement<QueueView> = {
  name: 'tasks_view',
  text: `
  with clock as materialized (
    select coalesce($2::timestamptz, clock_timestamp()) as time
  )
  select
    count(*) filter (where run_at <= time)::float8 as due,
    count(*) filter (where run_at > time and leased)::float8 as leased,
    count(*) filter (where run_at > time and not leased)::float8 as waiting,
    coalesce(extract(epoch from max(time) - min(run_at) filter (where run_at <= time)), 0)::float8
      as "oldestDueSeconds"
  from clock
  left join payment_tasks on shard = $1`,
}

/** The age of the oldest due task, in seconds: one look at the end of the claim's index. */
const OLDEST_DUE: Statement<{ seconds: number }> = {
  name: 'tasks_oldest_due',
  text: `
  select greatest(extract(epoch from
    coalesce($2::timestamptz, clock_timestamp()) - min(run_at)), 0)::float8 as seconds
  from payment_tasks
  where shard = $1`,
}

/** Claim up to `limit` due tasks of a route in a shard for `leaseMs`. Committed when it returns. */
export function claimTasks(
  db: Runner,
  shard: number,
  operation: Operation,
  claim: { readonly limit: number; readonly leaseMs: number; readonly at: Date | null },
): Promise<ClaimedTask[]> {
  return db.run(CLAIM, [shard, claim.limit, claim.leaseMs, claim.at, GATEWAY, operation])
}

/** Lock the tasks that these claims still own, and say which they are. */
export async function lockOwned(
  tx: Runner,
  shard: number,
  claims: readonly { readonly paymentId: bigint; readonly fence: number }[],
): Promise<Set<bigint>> {
  const rows = await tx.run(OWNED, [
    shard,
    numbers(claims.map((claim) => claim.paymentId)),
    numbers(claims.map((claim) => claim.fence)),
  ])
  return new Set(rows.map((row) => row.paymentId))
}

/** Remove finished tasks. */
export function deleteTasks(tx: Tx, shard: number, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(DELETE, [shard, numbers(paymentIds)])
}

/** End claims whose payments stay open. Delays in milliseconds. */
export function rescheduleTasks(
  tx: Tx,
  shard: number,
  tasks: readonly {
    readonly paymentId: bigint
    readonly delayMs: number
    readonly lookups: number
    readonly doubted: boolean
    readonly reason: string
  }[],
  at: Date | null,
): void {
  if (tasks.length === 0) return
  tx.write(RESCHEDULE, [
    shard,
    numbers(tasks.map((task) => task.paymentId)),
    numbers(tasks.map((task) => task.delayMs)),
    numbers(tasks.map((task) => task.lookups)),
    `{${tasks.map((task) => task.doubted).join(',')}}`,
    tasks.map((task) => task.reason),
    at,
  ])
}

/** Give back claims that were never started. */
export function releaseTasks(
  tx: Tx,
  shard: number,
  paymentIds: readonly bigint[],
  at: Date | null,
): void {
  if (paymentIds.length > 0) tx.write(RELEASE, [shard, numbers(paymentIds), at])
}

/** Keep evidence of gateway calls. */
export function insertAttempts(tx: Tx, shard: number, attempts: readonly Attempt[]): void {
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
    `{${attempts.map((attempt) => attempt.startedAt.toISOString()).join(',')}}`,
    numbers(attempts.map((attempt) => attempt.tookMs)),
    `{${attempts.map((attempt) => attempt.late).join(',')}}`,
  ])
}

/** Which of these payments the gateway said yes to, by the evidence that is kept. */
export async function chargedPayments(
  tx: Runner,
  shard: number,
  paymentIds: readonly bigint[],
): Promise<bigint[]> {
  if (paymentIds.length === 0) return []
  const rows = await tx.run(CHARGED, [shard, numbers(paymentIds)])
  return rows.map((row) => row.paymentId)
}

/** Read the open tasks of payments, by payment id. */
export async function readTasks(
  db: Runner,
  shard: number,
  paymentIds: readonly bigint[],
  at: Date | null,
): Promise<Map<bigint, TaskView>> {
  const rows = await db.run(READ, [shard, numbers(paymentIds), at])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Count a shard's queue. */
export async function viewQueue(db: Runner, shard: number, at: Date | null): Promise<QueueView> {
  const [row] = await db.run(VIEW, [shard, at])
  return row ?? { due: 0, leased: 0, waiting: 0, oldestDueSeconds: 0 }
}

/** The age in seconds of a shard's oldest due task; 0 when none is due. */
export async function oldestDueSeconds(
  db: Runner,
  shard: number,
  at: Date | null,
): Promise<number> {
  const [row] = await db.run(OLDEST_DUE, [shard, at])
  return row?.seconds ?? 0
}
