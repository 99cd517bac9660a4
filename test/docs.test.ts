import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { REFUSALS } from '../src/domain/refusal.ts'
import { ROOT } from './sources.ts'

// That docs/configuration.md and .env.example are what the settings generate is config.test.ts' to say.

const ERRORS = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')

/** The rows of the table: its cells, without the head. */
const ROWS = ERRORS.split('\n')
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

/** Files that a newcomer reads, with what they link to inside the repository. */
const PAGES = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
for (const name of readdirSync(join(ROOT, 'docs'))) {
  if (name.endsWith('.md')) PAGES.push(`docs/${name}`)
}

test('every link of a page into the repository leads to a file', () => {
  const dead = PAGES.flatMap((page) => {
    const links = readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\(([^)#\s]+)(#[^)\s]*)?\)/g)
    return [...links]
      .map(([, link = '']) => link)
      .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(ROOT, dirname(page), link)))
      .map((link) => `${page}: ${link}`)
  })
  assert.deepEqual(dead, [])
})

test('each guarantee of docs/reliability.md names a test that there is', () => {
  const page = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8')
  const rows = [...page.matchAll(/\| `([\w-]+)`: (.+?) +\|$/gm)]
  assert.ok(rows.length >= 70, String(rows.length))
  const missing = rows.filter(([, file = '', name = '']) => {
    const path = join(ROOT, `test/${file}.test.ts`)
    const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
    return !["'", '"', '`'].some((quote) => text.includes(quote + name + quote))
  })
  assert.deepEqual(
    missing.map(([row]) => row),
    [],
  )
})
