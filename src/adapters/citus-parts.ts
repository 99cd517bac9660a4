import type { Statement } from '../ports.ts'

/** A part of a statement that stands for itself, and which of its values it takes. */
export interface CitusPart {
  readonly statement: Statement<unknown>
  /** Places among the values of the whole, from 1. */
  readonly places: readonly number[]
}

interface Named {
  readonly name: string
  readonly text: string
  readonly changes: boolean
}

const CHANGES = /^\s*(?:insert into|update|delete from)\b/
const WITH = /^\s*with\s/
const NAME = /\s*(\w+) as (?:materialized )?\(/y

/**
 * A statement that changes several tables, each by itself, as a statement for each table. Citus
 * would send what one part finds to every node, and needs them all for that, also those that have
 * nothing to do with it; a statement about one table runs where the shard is. Null: it changes one
 * table, or a part needs what another one returns. All times in it are that of the transaction.
 */
export function citusPartsOf({ name, text, ...rest }: Statement<unknown>): CitusPart[] | null {
  const named = partsIn(text)
  const changing = named.filter(({ changes }) => changes)
  const depends = changing.some(({ name: one }) =>
    named.some((other) => other.name !== one && one !== '' && mentions(other.text, one)),
  )
  if (changing.length < 2 || depends) return null
  return changing.map((part, index) => {
    const needed = neededBy(part, named)
    const lists = needed.map((one) => `${one.name} as materialized (${one.text})`)
    const whole = (lists.length === 0 ? '' : `with ${lists.join(', ')}`) + part.text
    const places = [...new Set([...whole.matchAll(/\$(\d+)/g)].map(([, place]) => Number(place)))]
    const numbered = whole
      .replace(/\$(\d+)/g, (_, place: string) => `$${places.indexOf(Number(place)) + 1}`)
      .replaceAll('clock_timestamp()', 'now()')
    return { statement: { ...rest, name: `${name}_${index}`, text: numbered }, places }
  })
}

const mentions = (text: string, name: string) => new RegExp(`\\b${name}\\b`).test(text)

/** What is only read, and what it needs itself, in the order of the text. */
function neededBy({ text }: Named, named: readonly Named[]): Named[] {
  let texts = text
  return named
    .toReversed()
    .filter((one) => {
      if (one.changes || one.name === '' || !mentions(texts, one.name)) return false
      texts += one.text
      return true
    })
    .toReversed()
}

/** The parts of a WITH, and what is behind them, which has no name. */
function partsIn(text: string): Named[] {
  const begin = WITH.exec(text)
  if (begin === null) return []
  const parts: Named[] = []
  let at = begin[0].length
  for (;;) {
    NAME.lastIndex = at
    const found = NAME.exec(text)
    if (found === null) return []
    const from = NAME.lastIndex
    const to = closing(text, from)
    const inside = text.slice(from, to)
    parts.push({ name: found[1] ?? '', text: inside, changes: CHANGES.test(inside) })
    at = to + 1
    if (text[at] !== ',') break
    at += 1
  }
  const last = text.slice(at)
  return [...parts, { name: '', text: last, changes: CHANGES.test(last) }]
}

/** Where the bracket closes that was opened before `from`; brackets in words do not count. */
function closing(text: string, from: number): number {
  let depth = 1
  let quoted = false
  for (let at = from; at < text.length; at += 1) {
    const one = text[at]
    if (one === "'") quoted = !quoted
    if (quoted) continue
    if (one === '(') depth += 1
    if (one === ')') depth -= 1
    if (depth === 0) return at
  }
  return text.length
}
