import assert from 'node:assert/strict'
import { register } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Statement } from '../src/ports.ts'
import { ROOT, sources } from './sources.ts'

/**
 * A statement of the source: where it is, its text as it is sent, and the type of row it declares.
 */
export interface Found {
  readonly file: string
  readonly name: string
  readonly text: string
  readonly row: string
  readonly sharded: boolean
  readonly clock: boolean
  readonly ranged: string | undefined
}

/**
 * Statements are private to their stores. A module that is imported with their names in its query
 * gives them away: this hook adds the exports after the module's own text.
 */
const HOOK = `
  export async function load(url, context, next) {
    const loaded = await next(url, context)
    const names = new URL(url).searchParams.get('statements')
    if (names === null) return loaded
    const exports = names.split(',').map((name) => name + ' as $' + name)
    return { ...loaded, source: loaded.source + '\\n;export {' + exports + '}' }
  }`

const DECLARED = /^(?:export )?const (\w+): (?:Statement|Unsharded)<(.+)> = \{/gm

const WRITTEN =
  /^ *name: '\w+',\n(?: *(?:sharded|clock|ranged): '?\w+'?,\n)* *(?:text:|\.\.\.\w)|\{ name: '\w+', text:/gm

/** Every statement of the source, in order of file and place. */
export async function statements(): Promise<Found[]> {
  register(`data:text/javascript,${encodeURIComponent(HOOK)}`)
  const found: Found[] = []
  for (const { path, text } of sources('src')) {
    const rows = new Map([...text.matchAll(DECLARED)].map(([, name = '', row = '']) => [name, row]))
    const written = [...text.matchAll(WRITTEN)]
    assert.equal(rows.size, written.length, `${path}: not every statement is a constant of its own`)
    if (rows.size === 0) continue
    const url = `${pathToFileURL(join(ROOT, path)).href}?statements=${[...rows.keys()].join()}`
    const module = (await import(url)) as Record<string, Statement<unknown>>
    for (const [constant, row] of rows) {
      const statement = module[`$${constant}`]
      assert.ok(statement, constant)
      const { name, text: sent, sharded = true, clock = false, ranged } = statement
      found.push({ file: path, name, text: sent, row, sharded, clock, ranged })
    }
  }
  return found
}
