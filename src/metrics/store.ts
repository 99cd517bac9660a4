import { columns } from '../domain/columns.ts'
import { LATENCY_CLASSES, SERIES_HOURS } from '../domain/series.ts'
import { NOW, timed, type Global, type Runner, type Statement, type Unsharded } from '../ports.ts'

interface Delta {
  readonly name: string
  readonly value: number
}

const DELTAS = columns<Delta>({ name: 'text', value: 'bigint' })

/** Add to totals. Rows are touched in name order, so that processes never wait in a circle. */
const ADD: Unsharded<never> = {
  name: 'counters_add',
  sharded: false,
  text: `
  insert into counters (name, value)
  select name, value
  from ${DELTAS.unnest('delta', 1)}
  order by name
  on conflict (name) do update set value = counters.value + excluded.value`,
}

/** Every total. */
const READ: Unsharded<{ name: string; value: bigint }> = {
  name: 'counters_read',
  sharded: false,
  text: `
  select name, value
  from counters`,
}

/** What the statements that move payments counted in a shard, folded or not yet. */
const COUNTS: Statement<{ name: string; value: bigint }> = {
  name: 'payment_counts_read',
  text: `
  select name, coalesce(sum(value), 0)::bigint as value
  from payment_counts
  cross join lateral (values
    ('payments_task_enqueued_total', enqueued),
    ('payments_processing_started_total', started),
    ('payments_success_total', succeeded),
    ('payments_failed_total', failed),
    ('payments_retried_total', retried),
    ('dlq_written_total', letters),
    ('payments_unknown_total', in_doubt),
    ('payments_resolved_success_total', resolved_success),
    ('payments_resolved_failed_total', resolved_failed)
  ) as counted (name, value)
  where shard = $1
  group by name`,
}

/**
 * So many rows of counts a shard may have before they are folded, and so many are folded at a time.
 */
const FOLD_ABOVE = 100
const FOLD_MAX = 10_000

/** The classes of latencies, as PostgreSQL numbers the elements of an array. */
const CLASSES = Array.from({ length: LATENCY_CLASSES }, (_, index) => index + 1)

/**
 * Make one row of a shard's rows of counts, once there are more than a few, and add what they say
 * of minutes to the totals of those. Rows that somebody else holds, another folder first of all,
 * are left to the next time; the oldest come first, the sum of the time before among them. One
 * statement, so whoever reads sees the rows or their sum. Minutes are touched in their order, so
 * that two folders never wait in a circle.
 */
const FOLD: Statement<never> = {
  name: 'payment_counts_fold',
  text: `
  with taken as materialized (
    select slot
    from payment_counts
    where shard = $1
      and exists (select from payment_counts where shard = $1 offset ${FOLD_ABOVE})
    order by slot
    limit ${FOLD_MAX}
    for update skip locked
  ), gone as (
    delete from payment_counts
    where shard = $1 and slot = any (array(select slot from taken))
    returning *
  ), summed as (
    insert into payment_series as known
      (shard, minute, gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency)
    select
      $1::int, minute, coalesce(gateway, '') as gateway, coalesce(currency, '') as currency,
      coalesce(sum(accepted), 0), sum(succeeded), sum(failed), sum(in_doubt),
      coalesce(sum(amount), 0),
      case when count(latency) > 0 then array[${CLASSES.map((at) => `sum(latency[${at}])`)}] end
    from gone
    where minute is not null
    group by minute, gone.gateway, gone.currency
    order by minute, gateway, currency
    on conflict (shard, minute, gateway, currency) do update
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
      end
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
 * What became of payments between two times, in steps: the minutes that were added up, and the rows
 * of counts that were not yet.
 */
const SERIES: Statement<Omit<SeriesRow, 'latency'> & { latency: string[] }> = {
  name: 'payment_series_read',
  text: `
  with found as (
    select minute, gateway, currency, accepted, succeeded, failed, in_doubt, amount, latency
    from payment_series
    where shard = $1 and minute >= $2 and minute < $3
    union all
    select
      minute, coalesce(gateway, ''), coalesce(currency, ''), coalesce(accepted, 0), succeeded,
      failed, in_doubt, coalesce(amount, 0), latency
    from payment_counts
    where shard = $1 and minute >= $2 and minute < $3
  )
  select
    date_bin($4::int * interval '1 second', minute, timestamptz '2000-01-01 00:00:00+00') as at,
    gateway, currency, sum(accepted)::float8 as accepted, sum(succeeded)::float8 as succeeded,
    sum(failed)::float8 as failed, sum(in_doubt)::float8 as "inDoubt",
    sum(amount)::bigint as amount,
    array[${CLASSES.map((at) => `coalesce(sum(latency[${at}]), 0)::bigint`)}] as latency
  from found
  group by 1, gateway, currency
  order by 1`,
}

/** Delete minutes that no chart shows any more: a day of them is a few thousand rows. */
const FORGET: Statement<never> = {
  name: 'payment_series_forget',
  ...timed`
  delete from payment_series
  where shard = $1 and minute < ${NOW} - interval '${String(SERIES_HOURS)} hours'`,
}

/**
 * What is not finished of accounts in one currency, as money and age: the amounts in minor units,
 * the ages in seconds.
 */
interface RiskView {
  /** Null: that of the books. */
  readonly currency: string | null
  readonly unknownCount: number
  readonly unknownAmount: bigint
  readonly unknownOldestSeconds: number
  readonly failedLetters: number
}

/**
 * Money at risk: open letters by class and currency. The open letters are few; an index holds
 * exactly those. Ages are measured with the clock that the letters were written with.
 */
const RISK: Statement<RiskView> = {
  name: 'risk_read',
  ...timed`
  select
    currency,
    count(*) filter (where class = 'unknown')::float8 as "unknownCount",
    coalesce(sum(amount) filter (where class = 'unknown'), 0)::bigint as "unknownAmount",
    coalesce(extract(epoch from
      ${NOW} - min(created_at) filter (where class = 'unknown')), 0)::float8
      as "unknownOldestSeconds",
    count(*) filter (where class = 'failed')::float8 as "failedLetters"
  from dead_letters
  where shard = $1 and state = 'open'
  group by currency`,
}

/** What is held in one currency, in minor units; null is that of the books. */
interface HeldView {
  readonly currency: string | null
  readonly held: bigint
}

/** What is held for withdrawals and refunds in progress, by currency. */
const HELD: Statement<HeldView> = {
  name: 'held_read',
  text: `
  select currency, sum(held)::bigint as held
  from users
  where shard = $1 and held > 0
  group by currency`,
}

/** Add deltas to the totals over all processes. */
export async function addCounters(
  db: Global,
  deltas: Readonly<Record<string, number>>,
): Promise<void> {
  const added = Object.entries(deltas)
    .map(([name, value]) => ({ name, value }))
    .filter(({ value }) => value !== 0)
  if (added.length > 0) await db.run(ADD, DELTAS.of(added))
}

/** The totals over all processes, since the database was made. */
export async function readCounters(db: Global): Promise<Record<string, number>> {
  const rows = await db.run(READ, [])
  return Object.fromEntries(rows.map((row) => [row.name, Number(row.value)]))
}

/** What the statements that move payments counted in a shard. */
export function readCounts(shard: Runner): Promise<{ name: string; value: bigint }[]> {
  return shard.run(COUNTS, [])
}

/** Keep the rows of counts few. Waits for nobody. */
export async function foldCounts(shard: Runner): Promise<void> {
  await shard.run(FOLD, [])
}

/** A shard's money at risk now, by currency. */
export function readRisk(shard: Runner): Promise<RiskView[]> {
  return shard.run(RISK, [])
}

/** A shard's held money, by currency. */
export function readHeld(shard: Runner): Promise<HeldView[]> {
  return shard.run(HELD, [])
}

/** What became of payments between two times, in steps that begin with the first. */
export async function readSeries(
  shard: Runner,
  from: Date,
  to: Date,
  stepSeconds: number,
): Promise<SeriesRow[]> {
  const rows = await shard.run(SERIES, [from, to, stepSeconds])
  return rows.map((row) => ({ ...row, latency: row.latency.map(Number) }))
}

/** Keep the minutes that charts show. */
export async function forgetMinutes(shard: Runner): Promise<void> {
  await shard.run(FORGET, [])
}
