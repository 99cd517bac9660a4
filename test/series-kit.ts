import type { TestWorld } from './harness.ts'

/** A step of a chart, as it is among the payments. */
export interface Step {
  /** Unix time at which it begins, in seconds. */
  readonly time: number
  readonly accepted: number
  readonly succeeded: number
  readonly failed: number
  readonly unknown: number
  /** What succeeded, in minor units. */
  readonly amount: bigint
}

const COUNTED = `
  with own as (
    select * from payments where type <> 'return' and refused_for is null
  ), step as (
    select to_timestamp(time) as start, to_timestamp(time + $2::int) as over, time
    from unnest($1::int[]) time
  )
  select
    time,
    (select count(*) from own where created_at >= start and created_at < over)::int as accepted,
    (
      select count(*) from own
      where status = 'success' and finished_at >= start and finished_at < over
    )::int as succeeded,
    (
      select count(*) from own
      where status = 'failed' and finished_at >= start and finished_at < over
    )::int as failed,
    (
      select count(*) from dead_letters
      where class = 'unknown' and created_at >= start and created_at < over
    )::int as unknown,
    (
      select coalesce(sum(amount), 0) from own
      where status = 'success' and finished_at >= start and finished_at < over
    )::bigint as amount
  from step
  order by time`

/** What the series must show of these steps, as SQL finds it among payments and letters. */
export function countedOf(
  world: TestWorld,
  times: readonly number[],
  stepSeconds: number,
): Promise<Step[]> {
  return world.sql<Step>(COUNTED, [`{${times.join()}}`, stepSeconds])
}
