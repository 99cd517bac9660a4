import type { Statement } from '../ports.ts'

/** A part of Citus's own on a node, with our shards in it. */
export interface HeldPart {
  /** The number of its table of users, which stands for the whole part. */
  readonly bucket: string
  /** Citus's number of the node. */
  readonly group: number
  /** What the tables are called there, by their names. */
  readonly tables: ReadonlyMap<string, string>
}

/** A word in front of a table, the table, and the word behind it. */
const TABLE = /(\b(?:from|join|into|update)\s+|,\s+)(\w+)\b(?![.(])(?=\s*(\w*))/g

/** Words behind a table that are no name for it. */
const NO_ALIAS = new Set(
  (
    'cross default for group having inner join left limit offset on order returning select set ' +
    'union using values where'
  ).split(' '),
)

/**
 * The default of this column is the next number of a sequence. Citus gives tables of its nodes all
 * defaults but such.
 */
const SLOTS = /(insert into payment_counts\s+\(shard,)([^]*?\bselect\s+\$1::int,)/g

/**
 * A statement about one shard in the words of the node that holds it: about the tables of that
 * part, rather than about those that Citus makes of all parts. So PostgreSQL carries it out as it
 * is, and keeps its plan. Citus would plan it anew each time.
 */
export function inTables<Row>(statement: Statement<Row>, part: HeldPart): Statement<Row> {
  const { bucket, tables } = part
  const text = statement.text
    .replaceAll(SLOTS, `$1 slot,$2 nextval('payment_count_slots'),`)
    .replaceAll(TABLE, (all, before: string, table: string, behind: string) => {
      const held = tables.get(table)
      if (held === undefined) return all
      const named = behind !== '' && !NO_ALIAS.has(behind)
      return `${before}${held}${named ? '' : ` as ${table}`}`
    })
  return { ...statement, name: `${statement.name}_${bucket}`, text }
}

/** Not among the statements of the service, each of which PostgreSQL can prepare without Citus. */
export function citusStatement<Row>(name: string, text: string): Statement<Row> {
  return { name, text }
}
