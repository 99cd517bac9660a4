import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CRASH_POINTS } from './faults/crash-points.ts'
import { SCENARIOS } from './faults/all.ts'
import { noSlower, type Took } from './faults/slower.ts'
import { ROOT } from './sources.ts'

const PAGE = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8')
const [, SUITE = ''] = PAGE.split('\n## Faults on real processes\n')
const [SHOWN = '', RESULTS = ''] = SUITE.split('\n## Results\n')
const NAMES = SCENARIOS.map(({ name }) => name)

test('every scenario of the fault suite has a name of its own and says what it shows', () => {
  assert.equal(new Set(NAMES).size, NAMES.length)
  for (const { name, title } of SCENARIOS) assert.match(title, /^\S.{20,}/, name)
})

test('docs/reliability.md counts the scenarios and crash points as they are', () => {
  assert.ok(SHOWN.includes(` has ${NAMES.length} scenarios.`), `${NAMES.length} scenarios`)
  assert.equal(CRASH_POINTS.length, 7)
  assert.match(PAGE, /SIGKILL at seven named points/)
})

test('docs/reliability.md describes only scenarios that there are', () => {
  const rows = [...SHOWN.matchAll(/^\| `([\w-]+)(…?)` +\|/gm)]
  assert.ok(rows.length >= 10, String(rows.length))
  for (const [, name = '', more] of rows) {
    const found = NAMES.filter((one) => (more === '' ? one === name : one.startsWith(name)))
    assert.ok(found.length > 0, name)
  }
})

test('the results of the fault suite are of every scenario, or say of which they are not', () => {
  const ran = [...RESULTS.matchAll(/^\| ([a-z][a-z-]+) +\| /gm)].map(([, name = '']) => name)
  const results = ran.filter((name) => name !== 'scenario')
  const [, count = '', newer = ''] =
    /^(\d+) scenarios of [^]*?all but the newer([^]*?), run/m.exec(RESULTS) ?? []
  const named = [...newer.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name)
  assert.equal(Number(count), results.length)
  assert.deepEqual([...results, ...named].toSorted(), NAMES.toSorted())
})

/** A hundred things a second from second to second, each of which took so long. */
function second(from: number, to: number, ms: (second: number, at: number) => number): Took[] {
  return Array.from({ length: (to - from) * 100 }, (_, at) => {
    const atMs = from * 1_000 + at * 10
    return { atMs, ms: ms(Math.floor(atMs / 1_000), at) }
  })
}

test('what slows one of fifty all the time is seen, and one busy moment of a machine is not', () => {
  const before = second(0, 20, () => 20)
  const judge = (ms: (second: number, at: number) => number) =>
    noSlower('as before', before, second(20, 40, ms)).ok
  assert.equal(
    judge(() => 20),
    true,
  )
  assert.equal(
    judge((_, at) => (at % 50 === 0 ? 200 : 20)),
    false,
    'waits behind a lock',
  )
  assert.equal(
    judge((at) => (at < 24 ? 300 : 20)),
    true,
    'a moment',
  )
  assert.equal(
    judge((at) => (at < 24 ? 3_000 : 20)),
    false,
    'a moment that is long',
  )
})
