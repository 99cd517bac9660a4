import assert from 'node:assert/strict'
import { sources } from './sources.ts'

/**
 * The fields of a type and what each is in JavaScript: bigint, number, boolean, Date, string,
 * object.
 */
export type Fields = Readonly<Record<string, string>>

interface Declared {
  readonly name: string
  readonly path: string
  readonly extended: string | null
  readonly body: string
}

const INTERFACE = /^(?:export )?interface (\w+)(?: extends (\w+))? \{\n([^]*?)^\}/gm
const ALIAS = /^(?:export )?type (\w+) =([^]*?)\n(?=\n|export|\/\*\*)/gm

/** Every interface and type alias of the source. */
const TYPES: readonly Declared[] = sources('src').flatMap(({ path, text }) => [
  ...[...text.matchAll(INTERFACE)].map(([, name = '', extended = null, body = '']) => ({
    name,
    path,
    extended,
    body: `{${body}}`,
  })),
  ...[...text.matchAll(ALIAS)].map(([, name = '', body = '']) => ({
    name,
    path,
    extended: null,
    body: body.trim(),
  })),
])

/** The type that a file means by a name: its own, or else the one it imports. */
function find(name: string, path: string): Declared {
  const own = TYPES.find((type) => type.name === name && type.path === path)
  if (own !== undefined) return own
  const text = sources('src').find((source) => source.path === path)?.text ?? ''
  const from = new RegExp(`import [^']*\\b${name}\\b[^']*'[./]*([^']+)'`).exec(text)?.[1]
  const found = TYPES.find((type) => type.name === name && type.path.endsWith(`/${from}`))
  assert.ok(found, `no type ${name} in ${path}`)
  return found
}

/**
 * The fields of a row type as the source writes it: a literal, an interface, `A & B`, `Omit<A, …>`
 * or `Pick<A, …>`. Enough for the rows of statements; anything else fails loudly.
 */
export function declaredFields(type: string, path: string): Fields {
  const text = type.replace(/\/\*\*[^]*?\*\//g, '').trim()
  if (text === 'never') return {}
  const parts = split(text, '&')
  if (parts.length > 1)
    return Object.assign({}, ...parts.map((part) => declaredFields(part, path))) as Fields
  if (text.startsWith('{')) return literal(text.slice(1, -1), path)

  const record = /^Record<([^,]+), (\w+)>$/.exec(text)
  if (record !== null) {
    const names = [...(record[1] ?? '').matchAll(/'(\w+)'/g)].map(([, name = '']) => name)
    return Object.fromEntries(names.map((name) => [name, plain(record[2] ?? '', path)]))
  }
  const generic = /^(Omit|Pick)<\s*(\w+),([^]*)>$/.exec(text)
  if (generic !== null) {
    const [, kind, base = '', names = ''] = generic
    const chosen = new Set([...names.matchAll(/'(\w+)'/g)].map(([, name]) => name))
    const fields = Object.entries(declaredFields(base, path))
    return Object.fromEntries(fields.filter(([name]) => chosen.has(name) === (kind === 'Pick')))
  }
  const named = find(text, path)
  const base = named.extended === null ? {} : declaredFields(named.extended, named.path)
  return { ...base, ...declaredFields(named.body, named.path) }
}

function literal(body: string, path: string): Fields {
  const fields = [...body.matchAll(/(?:readonly )?(\w+): ([^;\n]+)/g)]
  return Object.fromEntries(fields.map(([, name = '', type = '']) => [name, plain(type, path)]))
}

/** The JavaScript type of a field: what is left without `null`, its names resolved. */
function plain(type: string, path: string): string {
  const [first = ''] = split(type.trim().replace(/^\|/, ''), '|').filter((part) => part !== 'null')
  if (['bigint', 'number', 'boolean', 'Date', 'Buffer', 'string'].includes(first)) return first
  if (first.startsWith("'")) return 'string'
  if (first.endsWith('[]')) return `${plain(first.slice(0, -2).replace(/^readonly /, ''), path)}[]`
  if (/^(Readonly|Record|Partial)</.test(first)) return 'object'
  const named = find(first, path)
  return named.body.startsWith('{') ? 'object' : plain(named.body, named.path)
}

/** Split at a separator that is inside no brackets. */
function split(text: string, separator: string): string[] {
  const parts = ['']
  let depth = 0
  for (const char of text) {
    if ('{<('.includes(char)) depth += 1
    if ('}>)'.includes(char)) depth -= 1
    if (char === separator && depth === 0) parts.push('')
    else parts.push(parts.pop() + char)
  }
  return parts.map((part) => part.trim())
}
