import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './sources.ts'
import { deadExports, namedTwice, usedByTestsAlone } from './tidy/exports.ts'
import { kept, worldly } from './tidy/globals.ts'
import { backwards, ORDER, outwards, unreached } from './tidy/imports.ts'
import { lint } from './tidy/lint.ts'
import { calledAlike } from './tidy/names.ts'
import { foreignWrites, migrations, ownerless } from './tidy/tables.ts'
import { parse } from './tidy/tree.ts'
import {
  branching,
  classes,
  emptyNames,
  floatsOfMoney,
  machinePaths,
  silenced,
  strayStatements,
} from './tidy/words.ts'

// What any project could want is .oxlintrc.json's to say: lengths, globals, cycles, names. What is
// ours is here. Both read code with a parser; planted-violations.test.ts shows that they see it.

const FILES = parse(ROOT)

test('every TypeScript file is read', () => {
  const listed = spawnSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  )
  if (listed.status !== 0) return
  const names = listed.stdout.split('\n').filter((name) => name !== '' && !name.endsWith('.d.ts'))
  const read = new Set(FILES.map(({ path }) => path))
  assert.deepEqual(
    names.filter((name) => !read.has(name)),
    [],
  )
})

test('the linter has nothing to say', () => {
  assert.deepEqual(lint(ROOT), [])
})

test('dependencies point inward: every import is allowed to its file', () => {
  const { broken, stale } = outwards(FILES)
  assert.deepEqual(broken, [])
  assert.deepEqual(stale, [], 'exceptions that nothing needs any more')
})

test('the product has one order: each folder imports only those in front of it', () => {
  assert.deepEqual(backwards(FILES), [])
  for (const name of ORDER) {
    assert.ok(
      FILES.some(({ path }) => path.startsWith(`src/${name}/`) || path === `src/${name}.ts`),
      name,
    )
  }
})

test('ARCHITECTURE.md shows the order', () => {
  const page = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').replace(/\s+/g, ' ')
  assert.ok(page.includes(` ${ORDER.join(' → ')} `), ORDER.join(' → '))
})

test('every file is reached from a program or a test: nothing is dead', () => {
  assert.deepEqual(unreached(FILES), [])
})

test('what is exported is imported, and not by tests alone', () => {
  assert.deepEqual(deadExports(FILES), [])
  assert.deepEqual(usedByTestsAlone(FILES), [])
})

test('no two files of the product export one name', () => {
  assert.deepEqual(namedTwice(FILES), [])
})

test('no file of a feature is called like one of another', () => {
  assert.deepEqual(calledAlike(FILES), [])
})

test('a table is written by its own store, with exceptions that say why', () => {
  const { broken, stale } = foreignWrites(FILES)
  assert.deepEqual(broken, [])
  assert.deepEqual(stale, [], 'exceptions that nothing needs any more')
  assert.deepEqual(ownerless(migrations()), [])
})

test('SQL lives in stores', () => {
  assert.deepEqual(strayStatements(FILES), [])
})

test('functions return objects: there are no classes but errors', () => {
  assert.deepEqual(classes(FILES), [])
})

test('nothing has a name that says nothing: no managers, no helpers', () => {
  assert.deepEqual(emptyNames(FILES), [])
})

test('amounts leave as the text of their minor units: no float is made of money', () => {
  assert.deepEqual(floatsOfMoney(FILES), [])
})

test('time, chance, the network and the process are used where they come in, and nowhere else', () => {
  assert.deepEqual(worldly(FILES), [])
  assert.deepEqual(kept(FILES), [])
})

test('no file silences a rule for itself', () => {
  assert.deepEqual(silenced(FILES), [])
})

test('what a file does when it is loaded is as simple as a function', () => {
  assert.deepEqual(branching(FILES), [])
})

test('no text names a path of one machine', () => {
  assert.deepEqual(machinePaths(FILES), [])
})
