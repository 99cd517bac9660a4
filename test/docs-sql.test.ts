import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { busyHistory } from './verify-history.ts'
import { testWorld } from './harness.ts'

const DOCS = join(import.meta.dirname, '..', 'docs')

/** Every statement that a page shows, by its place. */
function statementsOf(page: string): readonly (readonly [at: string, text: string])[] {
  const fences = fs.readFileSync(join(DOCS, page), 'utf8').matchAll(/^```sql\n([^]*?)^```/gm)
  return [...fences].map(([, text = ''], index) => [`${page} ${index + 1}`, text] as const)
}

test('the SQL that the pages show runs, and the checks of the books find nothing in sound books', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 1)
  const statements = ['ledger.md', 'operations.md'].flatMap(statementsOf)
  assert.ok(statements.length >= 10, String(statements.length))
  for (const [at, text] of statements) {
    const rows = await world
      .sql(text)
      .catch((error: Error) => assert.fail(`${at}: ${error.message}`))
    // The first two of the page on the books show sums; the others look for damage.
    if (at.startsWith('ledger.md') && !/ [12]$/.test(at)) assert.deepEqual(rows, [], at)
  }
})
