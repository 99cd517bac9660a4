import { must } from './promises.ts'
import type { Tables, TaskRow } from './tables.ts'

/** What tasks are judged by. */
interface TaskWorld {
  readonly tables: Tables
  readonly nowMs: () => number
}

/**
 * The life of a task: claimed when due, ended once by its newest claim, and gone. `before` is how
 * tasks were, and is brought up to date.
 */
export function checkTasks(
  { tables, nowMs }: TaskWorld,
  before: Map<bigint, TaskRow>,
  redriven: (paymentId: bigint) => number,
): void {
  for (const task of tables.tasks.rows.values()) {
    const payment = tables.payments.get(task.paymentId)
    must(payment !== undefined, 'a task has a payment', task)
    must(task.attempts >= 0 && task.attempts <= task.fence, 'claims are counted', task)
    const was = before.get(task.paymentId)
    before.set(task.paymentId, task)
    if (was === undefined || was === task) continue
    if (was.doubtAt !== null) {
      must(task.firstSentAt === was.firstSentAt, 'the age of a key in doubt is kept', task)
    }
    must(task.attempts >= was.attempts, 'attempts are never forgotten', task)
    if (!task.leased && task.fence === was.fence + 1) checkStartedOver(task, redriven)
    else if (task.leased && task.fence !== was.fence) checkClaimed(task, was, nowMs())
    else must(was.leased && !task.leased, 'a claim is ended once', task)
  }
  for (const [id] of before) if (tables.tasks.get(id) === undefined) before.delete(id)
}

function checkStartedOver(task: TaskRow, redriven: (paymentId: bigint) => number): void {
  must(redriven(task.paymentId) > 0, 'only an operator starts over', task)
  must(task.doubtAt !== null, 'what is started over is in doubt still', task)
  must(task.tries === 0 && task.lookups === 0, 'what is started over has its tries', task)
}

function checkClaimed(task: TaskRow, was: TaskRow, nowMs: number): void {
  must(task.fence === was.fence + 1, 'each claim has a number of its own', task)
  const asked = task.askedAt !== was.askedAt
  must(asked || was.runAt <= nowMs, 'no task is claimed before it is due', was)
  must(task.firstSentAt !== null, 'a key is dated before anything is sent', task)
  const lost = was.leased && was.lookups === 0 && was.pendings === 0
  const counted = lost ? 1 : 0
  must(task.attempts === was.attempts + counted, 'each lost claim counts as sent', task)
  must(task.tries === was.tries + counted, 'each lost claim is a try', task)
  if (lost) must(task.doubtAt === was.runAt, 'a lost claim is in doubt', task)
}
