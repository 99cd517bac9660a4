import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MUTANTS } from './simulation/mutants.ts'
import { failureAt, firstFailure, SEEDS_MAX } from './simulation/search.ts'

/**
 * The seed that found each planted bug when all of them were searched last; looked at first,
 * because the whole search takes a minute. A change of the simulator moves them: then the search is
 * made here, and `npm run test:planted-bugs -- --write` notes the new ones.
 */
const FOUND_AT = JSON.parse(
  readFileSync(new URL('simulation/found-at.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, number>>

test('every planted bug is found', async (t) => {
  const rows: string[] = []
  for (const mutant of MUTANTS) {
    await t.test(`${mutant.name}: ${mutant.about}`, async () => {
      const known = FOUND_AT[mutant.name]
      const found =
        (known === undefined ? null : await failureAt(known, mutant)) ??
        (await firstFailure(mutant))
      const moved = found?.seed === known ? '' : ` (no longer at ${known ?? 'a noted seed'})`
      rows.push(
        `${mutant.name.padEnd(26)}${String(found?.seed ?? 'never').padStart(6)}${moved}  ` +
          `${found?.message.slice(0, 60) ?? ''}`,
      )
      assert.notEqual(found, null, `${SEEDS_MAX} seeds did not find it`)
    })
  }
  t.diagnostic('planted bug                  seed  found by')
  for (const row of rows) t.diagnostic(row)
})
