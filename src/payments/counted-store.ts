import { gatewayOf } from '../domain/array-parameters.ts'
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

/** How many of the payments in `part` ended in each way. */
const ENDS = ['success', 'failed', 'unknown'].map((status) => sumOf(`status = '${status}'`))

/** How many of the payments in `part` are in each class of latencies. */
const LATENCIES = Array.from({ length: LATENCY_CLASSES }, (_, at) => sumOf(`class = ${at}`))

/** How many of the payments in `part` are as wanted. */
function sumOf(wanted: string): string {
  return `coalesce(sum(ended) filter (where ${wanted}), 0)`
}

/**
 * Count what a statement finished, which its `finished` returns: by gateway and currency. Payments
 * are first grouped by all that is told of them, so that each is looked at once, and then the few
 * groups. Intervals are compared as such: as numbers they cost three times as much.
 */
export const COUNT_FINISHED = `counted as (
    insert into payment_counts
      (shard, minute, gateway, currency, succeeded, failed, in_doubt, amount, latency)
    select
      $1::int, ${MINUTE}, ${gatewayOf()}, currency,
      ${ENDS.join(', ')},
      coalesce(sum(amount) filter (where status = 'success'), 0), array[${LATENCIES.join(', ')}]
    from clock, (
      select
        gateway, currency, status,
        width_bucket(
          finished_at - created_at,
          array[${LATENCY_BOUNDS_MS.map((ms) => `'${ms} ms'`).join(', ')}]::interval[]
        ) as class,
        count(*) as ended, sum(amount) as amount
      from finished
      group by gateway, currency, status, class
    ) part
    group by time, gateway, currency
  )`
