import type { Attempt } from '../domain/evidence.ts'
import type { TaskLook } from '../domain/explain.ts'
import { NOW, timed, type Runner, type Statement } from '../ports.ts'

/** Look at the task of one payment; a finished payment has none. */
const LOOK: Statement<TaskLook> = {
  name: 'tasks_look',
  ...timed`
  select
    run_at as "runAt", greatest(extract(epoch from
      run_at - ${NOW}) * 1000, 0)::float8 as "dueInMs",
    attempts, tries, lookups, pendings > 0 as "pending",
    pendings > 0 and action is not null as "asksPayer", leased,
    run_at <= ${NOW} as "due",
    doubt_at is not null as "inDoubt", last_error as "lastError"
  from payment_tasks
  where shard = $1 and payment_id = $3`,
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

/** The task of one payment, or null when it has left the queue. */
export async function lookAtTask(shard: Runner, paymentId: bigint): Promise<TaskLook | null> {
  const [task] = await shard.run(LOOK, [paymentId])
  return task ?? null
}

/** The evidence of every gateway call of a payment, in order. */
export function attemptsOfPayment(shard: Runner, paymentId: bigint): Promise<Attempt[]> {
  return shard.run(ATTEMPTS, [paymentId])
}
