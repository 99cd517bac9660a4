import { RANGED, type IdRange, type RangedTable } from '../domain/id-ranges.ts'
import type { Unsharded } from '../ports.ts'

/** The tables that are cut into ranges, with the ranges of each, as PostgreSQL writes them. */
export const RANGES_READ: Unsharded<FoundPart> = {
  name: 'ranges_read',
  sharded: false,
  text: `
  select
    parent.relname::text as "table", part.relname::text as name,
    pg_get_expr(part.relpartbound, part.oid) as bound,
    greatest(part.reltuples, 0)::float8 as about, pg_total_relation_size(part.oid)::float8 as bytes
  from pg_class parent
  left join lateral (
    select relid
    from pg_partition_tree(parent.oid)
    where level = 1
  ) tree on true
  left join pg_class part on part.oid = tree.relid
  where parent.relnamespace = current_schema()::regnamespace
    and parent.relname = any ('{${Object.keys(RANGED).join()}}') and parent.relkind = 'p'`,
}

/** The largest number that ids of payments were made of, whether any payment has it or not. */
export const RANGES_GIVEN: Unsharded<{ number: bigint }> = {
  name: 'ranges_given',
  sharded: false,
  text: `
  select coalesce(pg_sequence_last_value('payment_ids'::regclass), 0) as number`,
}

/** A table of a range. */
export interface FoundPart {
  readonly table: RangedTable
  readonly name: string | null
  readonly bound: string | null
  readonly about: number
  readonly bytes: number
}

/** A range as its tables have it. `about`: how many rows each may have. */
export interface FoundRange extends IdRange {
  readonly tables: readonly {
    readonly table: RangedTable
    readonly about: number
    readonly bytes: number
  }[]
}

const BOUND = /^FOR VALUES FROM \((?:MINVALUE|'?(\d+)'?)\) TO \('?(\d+)'?\)$/
const NUMBER = /_p(\d+)$/

/** The ranges of a database, oldest first; null: its tables are not cut into any. */
export function rangesOf(rows: readonly FoundPart[]): FoundRange[] | null {
  if (rows.length === 0) return null
  const found = new Map<number, FoundRange>()
  for (const { table, name, bound, about, bytes } of rows) {
    const [, number] = NUMBER.exec(name ?? '') ?? []
    const [, from, to] = BOUND.exec(bound ?? '') ?? []
    if (number === undefined || to === undefined) {
      throw new Error(`${table} has the partition ${name} ${bound}, which no command made.`)
    }
    const range = { from: from === undefined ? null : BigInt(from), to: BigInt(to) }
    const { tables } = found.get(Number(number)) ?? { tables: [] }
    const all = [...tables, { table, about, bytes }]
    found.set(Number(number), { number: Number(number), ...range, tables: all })
  }
  return [...found.values()].sort((one, other) => one.number - other.number)
}
