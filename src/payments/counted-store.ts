import { GATEWAY } from '../domain/payment.ts'
import { LATENCY_BOUNDS_MS, LATENCY_CLASSES } from '../domain/series.ts'

/**
 * Parts of the statements that insert and finish payments: each counts them itself, in the minute
 * of its `clock`, which is the time that it writes on them. So the totals of a minute are those of
 * the payments of it, after any crash.
 */
const MINUTE = `date_trunc('minute', time, 'UTC')`

/** The columns and values of payments that are accepted, of `clock` and what is grouped by it. */
export const ACCEPTED = { columns: 'minute, accepted', values: `${MINUTE}, count(*)` }

/** Count the payments in `source`, which a statement inserts. */
export function countAccepted(source: string): string {
  return `counted as (
    insert into payment_counts (shard, ${ACCEPTED.columns})
    select $1::int, ${ACCEPTED.values}
    from clock, ${source}
    group by time
  )`
}

/** How many final payments are in each class of latencies. */
const LATENCIES = Array.from(
  { length: LATENCY_CLASSES },
  (_, at) => `count(*) filter (where ended.class = ${at})`,
).join(', ')

/** Count what a statement finished, which its `finished` returns: by gateway and currency. */
export const COUNT_FINISHED = `counted as (
    insert into payment_counts
      (shard, minute, gateway, currency, succeeded, failed, in_doubt, amount, latency)
    select
      $1::int, ${MINUTE}, coalesce(gateway, '${GATEWAY}'), currency,
      count(*) filter (where status = 'success'), count(*) filter (where status = 'failed'),
      count(*) filter (where status = 'unknown'),
      coalesce(sum(amount) filter (where status = 'success'), 0), array[${LATENCIES}]
    from clock, finished
    cross join lateral (
      select
        width_bucket(
          extract(epoch from finished.finished_at - finished.created_at) * 1000,
          array[${LATENCY_BOUNDS_MS.join(', ')}]::numeric[]
        ) as class
    ) ended
    group by time, gateway, currency
  )`
