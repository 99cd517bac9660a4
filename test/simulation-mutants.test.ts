import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MUTANTS, type Mutant } from './simulation/mutants.ts'
import { simulate } from './simulation/run.ts'

/** The simulator finds each planted bug within as many seeds; most within ten. */
const SEEDS_MAX = 3_000

interface Found {
  readonly seed: number
  readonly message: string
}

/** The first seed that fails because of the bug: without it, the same seed keeps every promise. */
async function firstFailure({ plants }: Mutant): Promise<Found | null> {
  const { profile } = plants
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const { failure } = await simulate(seed, plants)
    if (failure === null) continue
    const sound = await simulate(seed, profile === undefined ? {} : { profile })
    // The first line: the promise that was broken, or the error that escaped.
    if (sound.failure === null) return { seed, message: failure.message.split('\n')[0] ?? '' }
  }
  return null
}

test('every planted bug is found', async (t) => {
  const rows: string[] = []
  for (const mutant of MUTANTS) {
    await t.test(`${mutant.name}: ${mutant.about}`, async () => {
      const found = await firstFailure(mutant)
      rows.push(
        `${mutant.name.padEnd(26)}${String(found?.seed ?? 'never').padStart(6)}  ` +
          `${found?.message.slice(0, 60) ?? ''}`,
      )
      assert.notEqual(found, null, `${SEEDS_MAX} seeds did not find it`)
    })
  }
  t.diagnostic('planted bug                  seed  found by')
  for (const row of rows) t.diagnostic(row)
})
