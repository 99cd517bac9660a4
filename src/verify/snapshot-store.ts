import { ID_MAX, type Grown } from '../domain/shard.ts'
import type { Runner, Shard, Statement, Tx, Unsharded } from '../ports.ts'

/** A row of a checking statement. Which of the other columns are set depends on `kind`. */
export interface Seen {
  /**
   * A violation; rows looked at; the sum of an account; where the next chunk begins; what is known
   * so far of the one row that has more belongings than are read at once; a row that has too many.
   */
  readonly kind: 'finding' | 'checked' | 'account' | 'upto' | 'carry' | 'large'
  readonly subject: string
  readonly id: bigint | null
  readonly paymentId: bigint | null
  readonly userId: bigint | null
  /** Codes, separated by commas. */
  readonly rules: string | null
  /** A number of any size; of a carry, its numbers separated by commas. */
  readonly total: string | null
}

/** Below every id, so that a scan that begins after it also meets ids that cannot be. */
export const ID_BEFORE_ALL = -9_223_372_036_854_775_808n

/** A shard, how many there are, whose ids belong into it, and the currency of the books. */
export interface SnapshotScope {
  readonly shard: Shard
  readonly count: number
  readonly books: string
  /** Whether there were fewer shards before. */
  readonly grown: Grown | null
  /** The first id whose key is kept apart; null: payments are in no ranges. */
  readonly keyedFrom: bigint | null
}

/** Where the first range of payments ends. */
const FIRST_END: Unsharded<{ id: bigint | null }> = {
  name: 'verify_first_range_end',
  sharded: false,
  text: `
  select substring(pg_get_expr(relpartbound, oid) from 'TO \\(''?(\\d+)')::bigint as id
  from pg_class
  where relnamespace = current_schema()::regnamespace and relname = 'payments_p0'
    and relispartition`,
}

/** The first id of a payment whose key is kept apart; null: payments are in no ranges. */
export async function firstKeyed(shard: Runner): Promise<bigint | null> {
  const [row] = await shard.run(FIRST_END, [])
  return row?.id ?? null
}

/** The rows with ids in (`after`, `to`], read at most `limit` at a time. */
export interface IdSpan {
  readonly after: bigint
  readonly to: bigint
  readonly limit: number
}

/**
 * Nothing in this transaction can write; and each table is read through an index, once for each
 * chunk, whatever the statistics say: bounds are values that change with each chunk, so no plan is
 * kept.
 */
const READ_ONLY: Unsharded<unknown> = {
  name: 'verify_read_only',
  sharded: false,
  text: `
  select
    set_config('transaction_read_only', 'on', true), set_config('jit', 'off', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)`,
}

/** All statements of this transaction see the books as they are at its first one. */
export const ONE_SNAPSHOT: Unsharded<unknown> = {
  name: 'verify_one_snapshot',
  sharded: false,
  text: 'set transaction isolation level repeatable read, read only',
}

/** Run one statement in a read-only transaction of its own, which is one snapshot. */
export function inSnapshot<Row>(
  shard: Shard,
  statement: Statement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  return shard.transaction(async (tx: Tx) => {
    const [, rows] = await Promise.all([tx.run(READ_ONLY, []), tx.run(statement, values)])
    return rows
  })
}

/**
 * Run statements one after the other that all see the same snapshot. It takes no row locks, so
 * nobody waits for it; it only keeps vacuum from removing what died since, for as long as it lasts.
 */
export function inOneSnapshot<Value>(
  shard: Shard,
  work: (tx: Tx) => Promise<Value>,
): Promise<Value> {
  return shard.transaction(async (tx: Tx) => {
    await Promise.all([tx.run(ONE_SNAPSHOT, []), tx.run(READ_ONLY, [])])
    return work(tx)
  })
}

/** What is known so far of a row with more belongings than one statement reads. */
interface Carry {
  readonly id: bigint
  readonly cursor: bigint
  readonly sums: string
}

/** What a walk saw; null: it was told to stop. `steps`: how many statements that took. */
type Walked = { readonly seen: readonly Seen[]; readonly steps: number } | null

/**
 * Check the first rows of a span, each with all that belongs to it, in steps that read a bounded
 * number of rows. What one statement can read whole is one snapshot of its own. A row with more
 * belongings is walked through: its sums go from statement to statement, which share one snapshot,
 * so that they are of one moment however long it takes. `values` are the statement's behind the
 * span.
 */
export async function walk(
  shard: Shard,
  { statement, values }: { statement: Statement<Seen>; values: readonly unknown[] },
  span: IdSpan,
  goesOn: () => boolean = () => true,
): Promise<Walked> {
  const first = await inSnapshot(shard, statement, [...values, ...spanValues(span, null)])
  if (carryOf(first) === null) return { seen: first, steps: 1 }
  return inOneSnapshot(shard, async (tx) => {
    const all: Seen[] = []
    let carry: Carry | null = null
    for (let steps = 2; ; steps += 1) {
      const seen: Seen[] = await tx.run(statement, [...values, ...spanValues(span, carry)])
      carry = carryOf(seen)
      all.push(...seen.filter(({ kind }) => kind !== 'carry' && (kind !== 'upto' || !carry)))
      if (carry === null) return { seen: all, steps }
      if (!goesOn()) return null
    }
  })
}

/** The parameters of a step: the span, and what was carried to it. */
export function spanValues({ after, to, limit }: IdSpan, carry: Carry | null): unknown[] {
  const from = carry === null ? after : carry.id - 1n
  const sums = carry === null ? null : `{${carry.sums}}`
  return [from, to, limit, carry?.id ?? from, carry?.cursor ?? ID_MAX, sums]
}

function carryOf(seen: readonly Seen[]): Carry | null {
  const row = seen.find(({ kind }) => kind === 'carry')
  if (row === undefined || row.id === null || row.paymentId === null) return null
  return { id: row.id, cursor: row.paymentId, sums: row.total ?? '' }
}
