import { rangeOf, tableOf, type IdRange } from '../domain/id-ranges.ts'
import type { Statement } from '../ports.ts'

/** Which statements are sent for others, where payments are in ranges. */
export interface Naming {
  /** The statement that is sent for one with these values. */
  of<Row>(statement: Statement<Row>, values: readonly unknown[]): Statement<Row>
  /** The statement about payments of the first range alone; null: there are no ranges. */
  ofFirst<Row>(statement: Statement<Row>): Statement<Row> | null
}

/** Where tables are whole, every statement is sent as it is. */
export const AS_IT_IS: Naming = { of: (statement) => statement, ofFirst: () => null }

/**
 * Statements with the name of the range that all their ids are in: to PostgreSQL they are about a
 * plain table, and take no longer than that. Those of several ranges, or of none, are sent as they
 * are.
 */
export function namedRanges(ranges: () => readonly IdRange[] | null): Naming {
  const made = new Map<string, Statement<unknown>>()
  function inRange<Row>(
    statement: Statement<Row>,
    table: NonNullable<Statement<Row>['ranged']>,
    { number }: IdRange,
  ): Statement<Row> {
    const key = `${statement.name}_p${number}`
    const before = made.get(key)
    // Kept under a name of its own, so it returns what that statement returns.
    if (before !== undefined) return before as Statement<Row>
    const text = statement.text.replace(new RegExp(`\\b${table}\\b`, 'g'), tableOf(table, number))
    const after = { ...statement, name: key, text }
    made.set(key, after)
    return after
  }
  return {
    of(statement, values) {
      const { ranged } = statement
      if (ranged === undefined) return statement
      const known = ranges()
      const range = known === null ? null : rangeOf(known, idsIn(values[0]))
      return range === null ? statement : inRange(statement, ranged, range)
    },
    ofFirst(statement) {
      const first = ranges()?.find(({ number }) => number === 0)
      return first === undefined ? null : inRange(statement, 'payments', first)
    },
  }
}

/** The ids of a list as it is sent: `{1,2,3}`. */
function idsIn(list: unknown): bigint[] {
  const text = String(list).slice(1, -1)
  return text === '' ? [] : text.split(',').map(BigInt)
}
