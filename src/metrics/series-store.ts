import { LATENCY_CLASSES, SERIES_HOURS } from '../domain/series.ts'
import {
  CLOCK,
  timed,
  timedUnsharded,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Unsharded,
} from '../ports.ts'

/**
 * So many rows of counts a shard may have before they are folded, and so many are folded at a time.
 */
const FOLD_ABOVE = 100
const FOLD_MAX = 10_000

/** The classes of latencies, as PostgreSQL numbers the elements of an array. */
const CLASSES = Array.from({ length: LATENCY_CLASSES }, (_, index) => index + 1)

const TOTALS = 'gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency'

const SUMS = `coalesce(sum(accepted), 0), sum(succeeded), sum(failed), sum(in_doubt),
      coalesce(sum(amount), 0),
      case when count(latency) > 0 then array[${CLASSES.map((at) => `sum(latency[${at}])`)}] end`

/** Two parts of the same time, as one row. */
const ADD_UP = `do update
    set
      accepted = known.accepted + excluded.accepted,
      succeeded = known.succeeded + excluded.succeeded,
      failed = known.failed + excluded.failed,
      in_doubt = known.in_doubt + excluded.in_doubt,
      amount = known.amount + excluded.amount,
      latency = case
        when known.latency is null then excluded.latency
        when excluded.latency is null then known.latency
        else array[${CLASSES.map((at) => `known.latency[${at}] + excluded.latency[${at}]`)}]
      end`

/** Add up what of `part` is `fresh` in minutes of a shard, touched in the order of their key. */
const addToMinutes = (shard: string) => `insert into payment_series as known
      (shard, minute, ${TOTALS})
    select ${shard}::int, minute, gateway, currency, ${SUMS}
    from part
    where fresh
    group by minute, gateway, currency
    order by minute, gateway, currency
    on conflict (shard, minute, gateway, currency) ${ADD_UP}`

/**
 * Add up `late`, whose rows say of which `minute` they are, in the steps of which charts show them
 * at that age. Rows are touched in the order of their key, so that two never wait in a circle.
 */
const addToSteps = (shard: string) => `insert into payment_series_steps as known
      (shard, seconds, begins_at, ${TOTALS})
    select ${shard}::int, seconds, begins_at, gateway, currency, ${SUMS}
    from clock, late
    cross join lateral (
      select case when minute >= time - interval '25 hours' then 600 else 3600 end as seconds
    ) size
    cross join lateral (
      select date_bin(
        seconds * interval '1 second', minute, timestamptz '2000-01-01 00:00:00+00'
      ) as begins_at
    ) step
    group by seconds, begins_at, gateway, currency
    order by seconds, begins_at, gateway, currency
    on conflict (shard, seconds, begins_at, gateway, currency) ${ADD_UP}`

/**
 * Make one row of a shard's rows of counts, once there are more than a few, and add what they say
 * of minutes to the totals of those, or of what they are long since rolled up into. Rows that
 * somebody else holds, another folder first of all, are left to the next time; the oldest come
 * first, the sum of the time before among them. One statement, so whoever reads sees the rows or
 * their sum. Minutes are touched in their order, so that two folders never wait in a circle.
 */
const FOLD: Statement<never> = {
  name: 'payment_counts_fold',
  ...timed`
  with ${CLOCK}, taken as materialized (
    select slot
    from payment_counts
    where shard = $1
      and exists (select from payment_counts where shard = $1 offset ${String(FOLD_ABOVE)})
    order by slot
    limit ${String(FOLD_MAX)}
    for update skip locked
  ), gone as (
    delete from payment_counts
    where shard = $1 and slot = any (array(select slot from taken))
    returning *
  ), part as (
    select
      minute, coalesce(gateway, '') as gateway, coalesce(currency, '') as currency, accepted,
      succeeded, failed, in_doubt, amount, latency,
      minute >= time - interval '75 minutes' as fresh
    from clock, gone
    where minute is not null
  ), summed as (
    ${addToMinutes('$1')}
  ), late as (
    select *
    from part
    where not fresh
  ), summed_late as (
    ${addToSteps('$1')}
  )
  insert into payment_counts
    (shard, enqueued, started, succeeded, failed, in_doubt, retried, letters, resolved_success,
     resolved_failed)
  select
    $1::int, sum(enqueued), sum(started), sum(succeeded), sum(failed), sum(in_doubt), sum(retried),
    sum(letters), sum(resolved_success), sum(resolved_failed)
  from gone
  having count(*) > 0`,
}

/** Which shards of a server, from `$1` to `$2`, have more rows of counts than a few. */
const SHARDS_COUNTED: Unsharded<{ number: number }> = {
  name: 'looks_counts',
  sharded: false,
  text: `
  select asked.number
  from generate_series($1::int, $2::int) as asked (number)
  cross join lateral (
    select slot
    from payment_counts
    where shard = asked.number
    offset ${String(FOLD_ABOVE)}
    limit 1
  ) many`,
}

/** So many rows are rolled up at a time: the minutes of half a day of one gateway. */
const ROLL_MAX = 2_000

/**
 * Add up the shards of a server, from `$2` to `$3`, in rows of its first, so that their number does
 * not matter for how much is kept; and roll up what charts show in larger steps: minutes older than
 * two hours into steps of ten minutes, and those older than 26 hours into hours. What somebody else
 * rolls up is left to him.
 *
 * One statement, so whoever reads sees the parts or their sum. It waits for rows of the first shard
 * alone: minutes of the last 75, and then steps, each in the order of their key, as folding does.
 * Of those nothing is taken away: between what is added to and what is taken there is always most
 * of an hour. So nobody waits in a circle.
 */
const ROLL_UP: Unsharded<{ rows: number }> = {
  name: 'payment_series_roll_up',
  ...timedUnsharded`
  with ${CLOCK}, asked as materialized (
    select
      number,
      time - case when number = $2 then interval '2 hours' else interval '3 minutes' end
        as minutes_to,
      time - case when number = $2 then interval '26 hours' else interval '0' end as steps_to,
      case when number = $2 then array[600] else array[600, 3600] end as sizes
    from clock, generate_series($2::int, $3::int) as asked (number)
  ), old_minute as materialized (
    select old.shard, old.minute, old.gateway, old.currency
    from asked
    cross join lateral (
      select shard, minute, gateway, currency
      from payment_series
      where shard = asked.number and minute < asked.minutes_to
      order by minute, gateway, currency
      limit ${String(ROLL_MAX)}
      for update skip locked
    ) old
    limit ${String(ROLL_MAX)}
  ), minutes as (
    delete from payment_series series
    using old_minute
    where series.shard = old_minute.shard and series.minute = old_minute.minute
      and series.gateway = old_minute.gateway and series.currency = old_minute.currency
    returning series.*
  ), old_step as materialized (
    select old.shard, old.seconds, old.begins_at, old.gateway, old.currency
    from asked
    cross join lateral (
      select shard, seconds, begins_at, gateway, currency
      from payment_series_steps
      where shard = asked.number and seconds = any (asked.sizes) and begins_at < asked.steps_to
      order by seconds, begins_at, gateway, currency
      limit ${String(ROLL_MAX)}
      for update skip locked
    ) old
    limit ${String(ROLL_MAX)}
  ), steps as (
    delete from payment_series_steps step
    using old_step
    where step.shard = old_step.shard and step.seconds = old_step.seconds
      and step.begins_at = old_step.begins_at and step.gateway = old_step.gateway
      and step.currency = old_step.currency
    returning step.*
  ), part as (
    select minute, ${TOTALS}, minute >= time - interval '75 minutes' as fresh from clock, minutes
    union all
    select begins_at, ${TOTALS}, false from steps
  ), summed as (
    ${addToMinutes('$2')}
  ), late as (
    select *
    from part
    where not fresh
  ), summed_late as (
    ${addToSteps('$2')}
  )
  select greatest((select count(*) from minutes), (select count(*) from steps))::float8 as rows`,
}

/** What became of payments in a step of time. */
export interface SeriesRow {
  readonly at: Date
  /** Empty: of no gateway in particular, as what was accepted is. */
  readonly gateway: string
  /** Empty: that of the books. */
  readonly currency: string
  readonly accepted: number
  readonly succeeded: number
  readonly failed: number
  readonly inDoubt: number
  /** Of those that succeeded, in minor units. */
  readonly amount: bigint
  /** How many ended in each class of latencies. */
  readonly latency: readonly number[]
}

/**
 * What became of payments between two times, in steps, over all shards of a server: the minutes
 * that were added up, what they were rolled up into, and the rows of counts that were not added up
 * yet. One statement for all, because rows go from one shard to another.
 */
const SERIES: Unsharded<Omit<SeriesRow, 'latency'> & { latency: string[] }> = {
  name: 'payment_series_read',
  sharded: false,
  text: `
  with found as (
    select part.*
    from generate_series($1::int, $2::int) as asked (number)
    cross join lateral (
      select minute, gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency
      from payment_series
      where shard = asked.number and minute >= $3 and minute < $4
      union all
      select begins_at, gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency
      from payment_series_steps
      where shard = asked.number and seconds in (600, 3600) and begins_at >= $3 and begins_at < $4
      union all
      select
        minute, coalesce(gateway, ''), coalesce(currency, ''), coalesce(accepted, 0), succeeded,
        failed, in_doubt, coalesce(amount, 0), latency
      from payment_counts
      where shard = asked.number and minute >= $3 and minute < $4
    ) part
  )
  select
    date_bin($5::int * interval '1 second', minute, timestamptz '2000-01-01 00:00:00+00') as at,
    gateway, currency, sum(accepted)::float8 as accepted, sum(succeeded)::float8 as succeeded,
    sum(failed)::float8 as failed, sum(in_doubt)::float8 as "inDoubt",
    sum(amount)::bigint as amount,
    array[${CLASSES.map((at) => `coalesce(sum(latency[${at}]), 0)::bigint`)}] as latency
  from found
  group by 1, gateway, currency
  order by 1`,
}

/** Delete hours that no chart shows any more: a day of them is a few dozen rows. */
const FORGET: Statement<never> = {
  name: 'payment_series_forget',
  ...timed`
  with ${CLOCK}
  delete from payment_series_steps
  where shard = $1 and seconds = 3600
    and begins_at < (select time from clock) - interval '${String(SERIES_HOURS)} hours'`,
}

/** Which shards of a server have rows of counts to be folded. */
export async function shardsToFold(
  session: Shard,
  { first, last }: Server,
): Promise<readonly number[]> {
  const rows = await session.run(SHARDS_COUNTED, [first, last])
  return rows.map(({ number }) => number)
}

/** Keep the rows of counts few. Waits for nobody. */
export async function foldCounts(shard: Runner): Promise<void> {
  await shard.run(FOLD, [])
}

/** A part of time: its steps begin with the first moment, and end before the last. */
interface Stretch {
  readonly from: Date
  readonly to: Date
  readonly stepSeconds: number
}

/** What became of payments of all shards of a server in a stretch of time, in steps. */
export async function readSeries(
  session: Shard,
  { first, last }: Server,
  { from, to, stepSeconds }: Stretch,
): Promise<SeriesRow[]> {
  const rows = await session.run(SERIES, [first, last, from, to, stepSeconds])
  return rows.map((row) => ({ ...row, latency: row.latency.map(Number) }))
}

/** Roll up a part of what a server has of several shards, or by minute; true: there is more. */
export async function rollUpMinutes(session: Runner, { first, last }: Server): Promise<boolean> {
  const [row] = await session.run(ROLL_UP, [first, last])
  return row?.rows === ROLL_MAX
}

/** Delete what charts no longer show. */
export async function forgetHours(shard: Runner): Promise<void> {
  await shard.run(FORGET, [])
}
