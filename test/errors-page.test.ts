import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { REFUSALS } from '../src/domain/refusal.ts'
import { ROOT, sources } from './sources.ts'

const ERRORS = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')

/** The rows of the table: its cells, without the head. */
const ROWS = (ERRORS.split('\n## ')[0] ?? '')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )

test('docs/errors.md lists every code with its status, in order, and no other', () => {
  assert.deepEqual(
    ROWS.map(([code, status]) => [code, status]),
    Object.entries(REFUSALS).map(([code, [status]]) => [`\`${code}\``, String(status)]),
  )
})

test('docs/errors.md says of every code what it means and what to do', () => {
  for (const [code, , meaning = '', advice = '', ...rest] of ROWS) {
    assert.match(meaning, /^\S.{15,}\.$/, code)
    assert.match(advice, /^\S.{8,}\.$/, code)
    assert.deepEqual(rest, [], code)
  }
})

test('refusals are ordered by status, and each has a sentence for the caller', () => {
  const statuses = Object.values(REFUSALS).map(([status]) => status)
  assert.deepEqual(
    statuses,
    statuses.toSorted((one, other) => one - other),
  )
  for (const [code, [, detail]] of Object.entries(REFUSALS))
    assert.match(detail, /^[A-Z].*[.…]$/, code)
})

test('docs/errors.md lists every word that `errors` may say, and no other', () => {
  const [, section = ''] = /## What `errors` says\n([^]*?)\n## /.exec(ERRORS) ?? []
  const words = [...section.matchAll(/^\| (`.+?) +\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, word = '']) => word),
  )
  const said = sources('src').flatMap(({ path, text }) => [
    ...text.matchAll(/\b(?:pointer|field|name)\b[^{}]{0,80}\bcode: '(\w+)'/g),
    ...(path.startsWith('src/http/') ? text.matchAll(/\bwhy: '(\w+)'|\bunreadable\('(\w+)'/g) : []),
    ...(path === 'src/http/strict-json.ts' ? text.matchAll(/\breturn '(\w+)'/g) : []),
    ...(path === 'src/http/failures.ts' ? text.matchAll(/^ {4}\w+: '(\w+)',$/gm) : []),
  ])
  const schema = ['minLength', 'format']
  const money = ['amount_malformed', 'amount_precision', 'amount_range', 'balance_range']
  const expected = said.map(([, word, other]) => word ?? other ?? '')
  assert.deepEqual(
    [...new Set(words)].toSorted(),
    [...new Set([...expected, ...schema, ...money])].toSorted(),
  )
})

test('docs/errors.md says of every status when to send again, and of no other', () => {
  const [, chapter = ''] = /\n## When to send again\n([^]*)$/.exec(ERRORS) ?? []
  const told = new Set((chapter.match(/\b[45]\d\d\b/g) ?? []).map(Number))
  const statuses = new Set(Object.values(REFUSALS).map(([status]) => Number(status)))
  assert.deepEqual([...told].toSorted(), [...statuses].toSorted())
})
