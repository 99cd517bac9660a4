import { numbers } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'

/** What a cancelation depends on of a task. */
export interface TaskSeen {
  readonly paymentId: bigint
  readonly attempts: number
  /** A claim has it, even if its lease is over: then its worker may have sent something. */
  readonly leased: boolean
  /** Some charge of it may have left, because its first one is dated. */
  readonly sent: boolean
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
}

const TASKS = `
  select
    payment_id as "paymentId", attempts, leased, first_sent_at is not null as sent,
    pendings > 0 as pending
  from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])
  order by payment_id
  for update`

/**
 * Lock tasks in id order and read what was sent of them. Whoever claims one at the same moment
 * leaves it out, or was first: then this waits, and reads that it is leased.
 */
const LOCK: Statement<TaskSeen> = {
  name: 'tasks_lock_seen',
  text: TASKS,
}

/** The same without waiting: what somebody else has locked is in hand, and not among the rows. */
const LOCK_FREE: Statement<TaskSeen> = {
  name: 'tasks_lock_seen_free',
  text: `${TASKS} skip locked`,
}

/** Lock tasks and read them; payments that have left the queue are left out. */
export async function lockSeen(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, TaskSeen>> {
  const rows = await tx.run(LOCK, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Lock those tasks that nobody else has locked, without waiting. */
export async function lockFreeSeen(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, TaskSeen>> {
  if (paymentIds.length === 0) return new Map()
  const rows = await tx.run(LOCK_FREE, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}
