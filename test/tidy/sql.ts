/**
 * The words and signs of an SQL text as PostgreSQL reads them: names in lower case and without
 * quotes or `public.`, every text as `''`, no comments. `…` is what the text does not know yet.
 */
export function tokens(sql: string): string[] {
  const found = sql.matchAll(
    /--.*|\/\*[^]*?\*\/|('(?:[^']|'')*'|\$\$[^]*?\$\$)|"((?:[^"]|"")+)"|(\$\d+|[\w…]+|::|[<>!=]+|\S)/g,
  )
  return [...found]
    .map(([, text, quoted, word]) => (text === undefined ? (quoted ?? word) : "''"))
    .flatMap((token) => (token === undefined ? [] : [token.toLowerCase()]))
    .filter((token, at, all) => {
      const schema = token === 'public' && all[at + 1] === '.'
      return !schema && !(token === '.' && all[at - 1] === 'public')
    })
}

const WRITES = new Set(['insert', 'update', 'delete', 'merge', 'truncate', 'copy'])
/** What a whole table is taken by, or changed. */
const TABLES = new Set(['lock', 'alter', 'drop'])
/** What stands in front of `update` where a lock or a conflict is meant. */
const MEANT = new Set(['for', 'key', 'do', 'on'])
const BETWEEN = new Set(['into', 'from', 'only', 'table'])

/** The tables that a text writes to; `…` is one that it does not name. */
export function writtenBy(sql: string): string[] {
  const words = tokens(sql)
  return words.flatMap((word, at) => {
    const whole = TABLES.has(word) && (words[at + 1] === 'table' || words[at + 2] === 'in')
    if ((!WRITES.has(word) && !whole) || MEANT.has(words[at - 1] ?? '')) return []
    let next = at + 1
    while (BETWEEN.has(words[next] ?? '')) next += 1
    const end = word === 'truncate' || whole ? words.length : next + 1
    return words.slice(next, end).filter((name) => name !== ',' && !BETWEEN.has(name))
  })
}

/** Where a text reads or changes one of `tables`, without those that it inserts into. */
export function touchedBy(sql: string, tables: ReadonlySet<string>): string[] {
  const words = tokens(sql)
  return words.filter((word, at) => {
    const named = ['into', 'as', 'of', '.'].includes(words[at - 1] ?? '') || words[at + 1] === '.'
    return tables.has(word) && !named
  })
}

/** How a statement begins. */
const STATEMENT =
  /^(?:select|insert into|update \S+ (?:\S+ )?set|delete from|with (?:… , )?\w+ (?:\([^)]*\) )?as|with (?:recursive )?…|merge into|truncate|lock (?:table|\w+ in)|copy \S+ (?:from|to)|(?:create|alter|drop) (?:table|index|unique|sequence)) /

/** A statement, by how it begins; a sentence begins with one capital. */
export function isSql(text: string): boolean {
  return !/^\s*[A-Z][a-z]/.test(text) && STATEMENT.test(`${tokens(text).join(' ')} `)
}
