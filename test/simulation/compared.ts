import type { Db } from '../../src/ports.ts'
import type { Tables } from './tables.ts'

/** Statements that read tables of PostgreSQL under the names that the simulator's rows have. */
export type Dumps = Readonly<Partial<Record<keyof Tables, string>>>

/** A time of PostgreSQL in milliseconds, in SQL. */
export function ms(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::float8`
}

/** Rows as sorted texts, with their fields in one order. */
function texts(rows: Iterable<object>): string[] {
  return [...rows].map((row) => show(row)).toSorted()
}

function show(row: object): string {
  const plain = Object.entries(row).map(
    ([name, value]) =>
      `${name}=${typeof value === 'bigint' ? `${value}n` : isDocument(value) ? sorted(value) : value}`,
  )
  return plain.toSorted().join(' ')
}

function isDocument(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof Date)
}

/** A document with its fields in one order: jsonb has its own. */
function sorted(value: object): string {
  return JSON.stringify(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

/** What PostgreSQL keeps, by table. */
export async function postgresState(db: Db, dumps: Dumps): Promise<Record<string, string[]>> {
  const state: Record<string, string[]> = {}
  for (const [name, text] of Object.entries(dumps)) {
    state[name] = texts(
      await db.global.run<object>({ name: `dump_${name}`, sharded: false, text }, []),
    )
  }
  return state
}

/** What the simulator keeps in the same tables, but for fields that are its own. */
export function memoryState(
  tables: Tables,
  dumps: Dumps,
  unseen: Readonly<Partial<Record<keyof Tables, readonly string[]>>>,
): Record<string, string[]> {
  // The names of the dumps, which Object.keys forgets.
  const names = Object.keys(dumps) as (keyof Tables)[]
  return Object.fromEntries(
    names.map((name) => {
      const table = tables[name]
      if (typeof table !== 'object' || !('rows' in table)) throw new Error(`${name} is no table`)
      const hidden = unseen[name] ?? []
      const rows = [...table.rows.values()].map((row) =>
        Object.fromEntries(Object.entries(row).filter(([field]) => !hidden.includes(field))),
      )
      return [name, texts(rows)]
    }),
  )
}
