import { columns, gatewayOf, numbers } from '../domain/array-parameters.ts'
import type { Operation } from '../domain/payment.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** A task as an operator's act finds it. */
export interface LockedTask {
  readonly paymentId: bigint
  readonly attempts: number
}

/**
 * Lock the tasks of payments in id order. Whoever holds this lock decides: a worker that settles
 * the same payment waits here, and then finds its claim gone.
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
  text: `${LOCK.text} skip locked`,
}

/** A payment's task and how long it is to wait, in milliseconds. */
export interface Delayed {
  readonly paymentId: bigint
  readonly delayMs: number
  readonly operation: Operation
}

const DELAYED = columns<Delayed>({ paymentId: 'bigint', delayMs: 'int', operation: 'word' })

/** Both ways into the queue count as many as they are given. */
const COUNTED = `counted as (
    insert into payment_counts (shard, enqueued)
    select $1::int, count(*)
    from unnest($3::bigint[])
    having count(*) > 0
  )`

/**
 * Give payments in doubt a fresh start: no tries, no lookups, due after their delay, and in doubt
 * still, so that the next claim begins with a lookup. Attempts go on counting, and the gateway's
 * memory of the key goes on ageing. The fence rises, so a claim that is running now is stale.
 *
 * A task that had left the queue returns with what its payment and its evidence tell: a fence above
 * every claim it ever had (claims that made no call left no evidence, but never a thousand of
 * them), its attempts, and the acceptance as the moment from which its key may have been in use.
 */
const REDRIVE: Statement<never> = {
  name: 'tasks_redrive',
  ...timed`
  with ${CLOCK}, ${COUNTED}
  insert into payment_tasks as task
    (shard, payment_id, operation, gateway, run_at, fence, attempts, doubt_at, first_sent_at)
  select
    $1::int, input.payment_id, input.operation, ${gatewayOf('payment.gateway')},
    clock.time + input.delay_ms * interval '1 millisecond',
    1000 + coalesce(called.fence, 0), payment.attempts, clock.time, payment.created_at
  from clock, ${DELAYED.unnest('input', 3)}
  join payments payment on payment.shard = $1 and payment.id = input.payment_id
  cross join lateral (
    select max(fence) as fence
    from payment_attempts
    where shard = $1 and payment_id = input.payment_id
  ) called
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
  ...timed`
  with ${CLOCK}, ${COUNTED}
  insert into payment_tasks (shard, payment_id, operation, gateway, run_at)
  select
    $1::int, input.payment_id, input.operation, ${gatewayOf('payment.gateway')},
    clock.time + input.delay_ms * interval '1 millisecond'
  from clock, ${DELAYED.unnest('input', 3)}
  left join payments payment on payment.shard = $1 and payment.id = input.payment_id`,
}

/** Lock the tasks of payments; those that have left the queue are left out. */
export async function lockTasks(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, LockedTask>> {
  const rows = await tx.run(LOCK, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Lock those tasks of payments that nobody else has locked, without waiting. */
export async function lockFreeTasks(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, LockedTask>> {
  const rows = await tx.run(LOCK_FREE, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Start payments in doubt over, beginning with a lookup. */
export function redriveTasks(tx: Tx, tasks: readonly Delayed[]): void {
  if (tasks.length > 0) tx.write(REDRIVE, DELAYED.of(tasks))
}

/** Put tasks of new payments in the queue, each due after its delay. */
export function insertTasksLater(tx: Tx, tasks: readonly Delayed[]): void {
  if (tasks.length > 0) tx.write(INSERT_LATER, DELAYED.of(tasks))
}
