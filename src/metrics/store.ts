import { numbers } from '../domain/arrays.ts'
import { EXACT_NAMES, type ExactName } from '../domain/counters.ts'
import type { Runner, Statement } from '../ports.ts'

/** Add to totals. Rows are touched in name order, so that processes never wait in a circle. */
const ADD: Statement<never> = {
  name: 'counters_add',
  text: `
  insert into counters (name, value)
  select name, value
  from unnest($1::text[], $2::bigint[]) as delta (name, value)
  order by name
  on conflict (name) do update set value = counters.value + excluded.value`,
}

/** Every total. */
const READ: Statement<{ name: string; value: bigint }> = {
  name: 'counters_read',
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

/** So many rows of counts a shard may have before they are folded, and so many are folded at a time. */
const FOLD_ABOVE = 100
const FOLD_MAX = 10_000

/**
 * Make one row of a shard's rows of counts, once there are more than a few. Rows that somebody else
 * holds, another folder first of all, are left to the next time; the oldest come first, the sum of the
 * time before among them. One statement, so whoever reads sees the rows or their sum.
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

/** What is not finished, as money and age: the amounts in minor units, the ages in seconds. */
export interface RiskView {
  readonly unknownCount: number
  readonly unknownAmount: bigint
  readonly unknownOldestSeconds: number
  readonly failedLetters: number
}

/**
 * Money at risk: open letters by class. The open letters are few; an index holds exactly those. Ages
 * are measured with the clock that the letters were written with.
 */
const RISK: Statement<RiskView> = {
  name: 'risk_read',
  text: `
  select
    count(*) filter (where class = 'unknown')::float8 as "unknownCount",
    coalesce(sum(amount) filter (where class = 'unknown'), 0)::bigint as "unknownAmount",
    coalesce(extract(epoch from
      coalesce($2::timestamptz, clock_timestamp())
        - min(created_at) filter (where class = 'unknown')), 0)::float8
      as "unknownOldestSeconds",
    count(*) filter (where class = 'failed')::float8 as "failedLetters"
  from dead_letters
  where shard = $1 and state = 'open'`,
}

/** What is held for withdrawals in progress, in minor units. */
const HELD: Statement<{ held: bigint }> = {
  name: 'held_read',
  text: `
  select coalesce(sum(held), 0)::bigint as held
  from users
  where shard = $1 and held > 0`,
}

/** Add deltas to the totals over all processes. */
export async function addCounters(
  db: Runner,
  deltas: Readonly<Record<string, number>>,
): Promise<void> {
  const names = Object.keys(deltas)
    .filter((name) => deltas[name] !== 0)
    .sort()
  if (names.length === 0) return
  await db.run(ADD, [names, numbers(names.map((name) => deltas[name] ?? 0))])
}

/** The totals over all processes, since the database was made. */
export async function readCounters(db: Runner): Promise<Record<string, number>> {
  const rows = await db.run(READ, [])
  return Object.fromEntries(rows.map((row) => [row.name, Number(row.value)]))
}

/**
 * The exact counters of all shards. What earlier versions counted roughly, until this one or the last of
 * them stopped, is part of the totals, so that they never fall.
 */
export async function readExact(db: Runner, shards: number): Promise<Record<ExactName, number>> {
  const all = Array.from({ length: shards }, (_, shard) => db.run(COUNTS, [shard]))
  const [totals, ...counted] = await Promise.all([readCounters(db), ...all])
  for (const { name, value } of counted.flat()) totals[name] = (totals[name] ?? 0) + Number(value)
  // fromEntries forgets the keys' type.
  return Object.fromEntries(EXACT_NAMES.map((name) => [name, totals[name] ?? 0])) as Record<
    ExactName,
    number
  >
}

/** Keep the rows of counts few. Waits for nobody. */
export async function foldCounts(db: Runner, shard: number): Promise<void> {
  await db.run(FOLD, [shard])
}

/** A shard's money at risk at a time; null: now, by the database's clock. */
export async function readRisk(db: Runner, shard: number, at: Date | null): Promise<RiskView> {
  const [row] = await db.run(RISK, [shard, at])
  return row ?? { unknownCount: 0, unknownAmount: 0n, unknownOldestSeconds: 0, failedLetters: 0 }
}

/** A shard's held money, in minor units. */
export async function readHeld(db: Runner, shard: number): Promise<bigint> {
  const [row] = await db.run(HELD, [shard])
  return row?.held ?? 0n
}
