import { GATEWAY, OPERATIONS, type Operation } from '../domain/payment.ts'
import { CLOCK, timed, type Runner, type Statement } from '../ports.ts'

/** What the queue of a shard looks like. Ages in seconds. */
interface QueueView {
  readonly due: number
  readonly leased: number
  readonly waiting: number
  readonly oldestDueSeconds: number
}

/**
 * Count the queue by what its tasks wait for. Reads every open task: for gauges, not for requests.
 */
const VIEW: Statement<QueueView> = {
  name: 'tasks_view',
  ...timed`
  with ${CLOCK}
  select
    count(*) filter (where run_at <= time)::float8 as due,
    count(*) filter (where run_at > time and leased)::float8 as leased,
    count(*) filter (where run_at > time and not leased)::float8 as waiting,
    coalesce(extract(epoch from max(time) - min(run_at) filter (where run_at <= time)), 0)::float8
      as "oldestDueSeconds"
  from clock
  left join payment_tasks on shard = $1`,
}

/**
 * The age in milliseconds of the oldest due task of each operation that has one: one look at an end
 * of the claim's index for each.
 */
const OLDEST_DUE: Statement<{ operation: Operation; ageMs: number }> = {
  name: 'tasks_oldest_due',
  ...timed`
  with ${CLOCK}
  select asked.operation, (extract(epoch from time - oldest.run_at) * 1000)::float8 as "ageMs"
  from clock, unnest($4::text[]) as asked (operation)
  cross join lateral (
    select run_at
    from payment_tasks
    where shard = $1 and gateway = $3 and operation = asked.operation
    order by run_at
    limit 1
  ) oldest
  where oldest.run_at <= time`,
}

/**
 * Tasks of a route that wait to be claimed, those claimed now or about to be included, but no
 * lookups that are due far in the future. At most `$5`: nobody wants to know how many more there
 * are.
 */
const WAITING: Statement<{ count: number }> = {
  name: 'tasks_waiting',
  ...timed`
  with ${CLOCK}
  select count(*)::int as count
  from (
    select
    from payment_tasks
    where shard = $1 and gateway = $3 and operation = $4
      and run_at <= (select time from clock) + interval '1 minute'
    limit $5
  ) waiting`,
}

/** Count a shard's queue. */
export async function viewQueue(shard: Runner): Promise<QueueView> {
  const [row] = await shard.run(VIEW, [])
  return row ?? { due: 0, leased: 0, waiting: 0, oldestDueSeconds: 0 }
}

/** The age of the oldest due task of each operation that has one, in milliseconds. */
export function oldestDueMs(shard: Runner): Promise<{ operation: Operation; ageMs: number }[]> {
  return shard.run(OLDEST_DUE, [GATEWAY, OPERATIONS])
}

/** Tasks of a route that are due within a minute, counted up to `limit`. */
export async function waitingTasks(
  shard: Runner,
  operation: Operation,
  limit: number,
): Promise<number> {
  const [row] = await shard.run(WAITING, [GATEWAY, operation, limit])
  return row?.count ?? 0
}
