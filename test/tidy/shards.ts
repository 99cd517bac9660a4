import type { Node } from 'typescript/unstable/ast'
import {
  isForOfStatement,
  isForStatement,
  isIdentifier,
  isParameterDeclaration,
  isPropertyAccessExpression,
  isPropertySignatureDeclaration,
} from 'typescript/unstable/ast/is'
import { tokens, touchedBy } from './sql.ts'
import { literalsOf, nodesOf, placeOf, type Parsed } from './tree.ts'

const COMPARED = ['=', '<>', '!=', '<', '>', '<=', '>=', 'in', 'any', 'between', 'is', 'not']

/** What is wrong with how a statement names its shard, of the tables that belong to shards. */
export function unnamed(sql: string, sharded: ReadonlySet<string>): string[] {
  const words = tokens(sql)
  const at = (index: number, ...wanted: string[]) =>
    wanted.every((word, next) => words[index + next] === word)
  const count = (...wanted: string[]) => words.filter((_, index) => at(index, ...wanted)).length

  const named = count('shard', '=', '$1')
  const touched = touchedBy(sql, sharded).length
  const wrong = named < touched ? [`${touched} tables, and ${named} times shard = $1`] : []
  const inserts = words.flatMap((word, index) => {
    if (word !== 'into' || !sharded.has(words[index + 1] ?? '')) return []
    return [words.slice(index, words.indexOf(')', index)).join(' ')]
  })
  wrong.push(...inserts.filter((insert) => !/^into \w+ (?:as \w+ )?\( shard\b/.test(insert)))
  const values = count('select', '$1', '::', 'int') + count('values', '(', '$1', '::', 'int')
  if (inserts.length > values) wrong.push(`${inserts.length} inserts, and ${values} of shard $1`)
  for (const [index, word] of words.entries()) {
    if (word !== 'shard') continue
    const own = at(index, 'shard', '=', '$1')
    const before = words[index - 1] === '.' ? words[index - 3] : words[index - 1]
    if (!own && COMPARED.includes(words[index + 1] ?? '')) {
      wrong.push(words.slice(index, index + 4).join(' '))
    } else if (/^[<>!=]+$/.test(before ?? '')) wrong.push(`${before} shard`)
  }
  return wrong
}

/** Where a number of a shard, or of shards, may stand. */
const SESSION =
  /^src\/(ports|each-shard|queue\/shard-turns)\.ts$|^src\/adapters\/(?:citus-places|id-blocks|shard-session)\.ts$|^src\/domain\/|^(?!src\/)/

/** Bounds of a list, which are no clock. */
const BOUNDS = 'src/payments/time-index-store.ts'

/**
 * Outside the session nobody carries a shard's number or a time for the database, nor goes through
 * shards.
 */
export function carried(files: readonly Parsed[]): string[] {
  return files
    .filter(({ path }) => !SESSION.test(path))
    .flatMap((file) => [
      ...[...nodesOf(file.tree)].flatMap((node) => {
        const what = carriedBy(node, file)
        return what === null ? [] : [`${placeOf(file, node)} ${what}`]
      }),
      ...literalsOf(file)
        .filter(({ text }) => /\$\d :: timestamptz , (?:clock_timestamp|now) \(/.test(joined(text)))
        .map(({ node }) => `${placeOf(file, node)} has a parameter for the time, by hand`),
    ])
}

const joined = (text: string) => tokens(text).join(' ')

/** What goes through the elements of an array. */
const LOOPS = /^(?:map|forEach|flatMap|filter|reduce|entries|values|keys|some|every|find)$/

function carriedBy(node: Node, file: Parsed): string | null {
  return loopOf(node, file) ? 'goes through shards' : declaredBy(node, file)
}

function loopOf(node: Node, { tree }: Parsed): boolean {
  const shards = (one: Node) => /(?:^|\.)shards(?:\.slice\([^()]*\))?$/.test(one.getText(tree))
  if (isForOfStatement(node)) return shards(node.expression)
  if (isForStatement(node)) return /\bshards\.length/.test(node.condition?.getText(tree) ?? '')
  return isPropertyAccessExpression(node) && shards(node.expression) && LOOPS.test(node.name.text)
}

function declaredBy(node: Node, { path, tree }: Parsed): string | null {
  const declared = isParameterDeclaration(node) || isPropertySignatureDeclaration(node)
  if (!declared || node.type === undefined || !isIdentifier(node.name)) return null
  // What stands in braces is declared by itself.
  const type = node.type.getText(tree).replace(/\{[^]*\}/, '')
  const { text: name } = node.name
  // An answer names the shards that it leaves out.
  if (name === 'missing_shards') return null
  if (/shard/i.test(name) && /\bnumber\b/.test(type)) return `carries a number of shards, ${name}`
  if (!isParameterDeclaration(node) && !/^(?:at|now|time|clock)$/.test(name)) return null
  if (!/\bDate\b/.test(type) || path === BOUNDS) return null
  const optional = /\b(?:null|undefined)\b/.test(type) || node.getText(tree).includes('?:')
  return optional ? `carries a time for the database, ${name}` : null
}
