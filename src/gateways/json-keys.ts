/**
 * JSON.parse keeps the last of equal keys, other readers the first: such an object has two
 * meanings. `text` is valid JSON, so every colon at depth 1 outside a string stands for one key.
 */
export function hasKeyTwice(text: string, fields: object): boolean {
  let colons = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') at = stringEnd(text, at)
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
    else if (char === ':' && depth === 1) colons++
  }
  return colons !== Object.keys(fields).length
}

/** A row of a list, and the text that it was read from. */
interface ClearRow {
  /** Null where it has a key twice: nothing of such a row can be believed. */
  readonly row: unknown
  /** Null where the row is no object. */
  readonly text: string | null
}

/**
 * The rows of the list `name` of the object that `text` is, which has no key twice itself. None
 * where it is no list.
 */
export function clearRows(
  text: string,
  fields: Readonly<Record<string, unknown>>,
  name: string,
): ClearRow[] {
  const rows = fields[name]
  if (!Array.isArray(rows) || rows.length === 0) return []
  const texts = rowTexts(text, name)
  let seen = 0
  return rows.map((row: unknown) => {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return { row, text: null }
    const read = texts[seen++] ?? ''
    return { row: hasKeyTwice(read, row) ? null : row, text: read }
  })
}

/** The object with null for each row of the list `name` that has a key twice. */
export function withClearRows(
  text: string,
  fields: Readonly<Record<string, unknown>>,
  name: string,
): Readonly<Record<string, unknown>> {
  const rows = clearRows(text, fields, name)
  return rows.length === 0 ? fields : { ...fields, [name]: rows.map(({ row }) => row) }
}

/** The texts of the objects in the list `name` of the object that `text` is, in order. */
function rowTexts(text: string, name: string): string[] {
  const rows: string[] = []
  let [depth, start, key, word] = [0, -1, '', '""']
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') {
      const end = stringEnd(text, at)
      if (depth === 1) word = text.slice(at, end + 1)
      at = end
    } else if (char === ':' && depth === 1) key = String(JSON.parse(word))
    else if (char === '{' || char === '[') {
      depth++
      if (depth === 3 && char === '{' && key === name) start = at
    } else if (char === '}' || char === ']') {
      if (depth === 3 && start >= 0) {
        rows.push(text.slice(start, at + 1))
        start = -1
      }
      depth--
    }
  }
  return rows
}

/** The index of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
