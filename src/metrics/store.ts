import { columns } from '../domain/array-parameters.ts'
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

/** A shard's money at risk now, by currency. */
export function readRisk(shard: Runner): Promise<RiskView[]> {
  return shard.run(RISK, [])
}

/** A shard's held money, by currency. */
export function readHeld(shard: Runner): Promise<HeldView[]> {
  return shard.run(HELD, [])
}
