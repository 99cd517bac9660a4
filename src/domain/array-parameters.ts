import { GATEWAY } from './payment.ts'

/**
 * The text of a PostgreSQL array of numbers, as one parameter: `{1,2,3}`. Much cheaper than leaving
 * each element to the driver, which quotes and escapes it.
 */
export function numbers(values: readonly (bigint | number | null)[]): string {
  let text = '{'
  for (let index = 0; index < values.length; index += 1) {
    if (index > 0) text += ','
    text += values[index] ?? 'null'
  }
  return text + '}'
}

/**
 * An array of texts as a parameter. The driver quotes and escapes each one; where there are only
 * nulls, as for payments without keys, there is nothing to quote.
 */
function texts(values: readonly (string | null)[]): readonly (string | null)[] | string {
  for (const value of values) if (value !== null) return values
  return numbers(values as readonly null[])
}

/**
 * How a field of a row can be sent, by its type: `word` is for the words of a union, which need no
 * quotes, and `text` for any text. What cannot be sent in this way is `never`.
 */
type Kind<Value> = [Value] extends [bigint | number | null]
  ? 'bigint' | 'int' | 'smallint' | 'float8'
  : [Value] extends [boolean]
    ? 'boolean'
    : [Value] extends [string]
      ? string extends Value
        ? 'text'
        : 'word'
      : [Value] extends [string | null]
        ? 'text'
        : never

/** Rows as parameters of a statement: an array for each column. */
interface Columns<Row> {
  /**
   * The table of these rows in a text, its columns called like the fields: `unnest($3, …) as …`.
   */
  unnest(alias: string, first: number): string
  /** The values of its parameters, in their order. */
  of(rows: readonly Row[]): readonly unknown[]
}

/**
 * Declare which fields of its rows a statement gets. Text and values come from the one declaration,
 * so they cannot have different orders, and a field is never sent as what it is not.
 */
export function columns<Row>(kinds: {
  readonly [Name in keyof Row]?: Kind<Row[Name]>
}): Columns<Row> {
  const fields = Object.entries(kinds) as [keyof Row & string, string][]
  return {
    unnest(alias, first) {
      const arrays = fields.map(([, kind], index) => `$${first + index}::${TYPES[kind] ?? kind}[]`)
      // In quotes, because a field may be called like a word of SQL.
      const names = fields.map(([name]) => `"${name.replace(/[A-Z]/g, '_$&').toLowerCase()}"`)
      return `unnest(${arrays.join(', ')}) as ${alias} (${names.join(', ')})`
    },
    of: (rows) => fields.map(([name, kind]) => columnOf(rows, name, kind)),
  }
}

/** The types of PostgreSQL that are not called like the kind. */
const TYPES: Readonly<Record<string, string>> = { word: 'text' }

function columnOf<Row>(rows: readonly Row[], name: keyof Row, kind: string): unknown {
  if (kind === 'text') return texts(rows.map((row) => row[name] as string | null))
  let text = '{'
  for (let index = 0; index < rows.length; index += 1) {
    if (index > 0) text += ','
    text += (rows[index] as Row)[name] ?? 'null'
  }
  return text + '}'
}

/** Where payments are carried out, by a column: of those that name none, at `http`. */
export function gatewayOf(column = 'gateway'): string {
  return `coalesce(${column}, '${GATEWAY}')`
}
