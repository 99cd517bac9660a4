/**
 * Search every planted bug of the simulator from the first seed on: `npm run test:planted-bugs [--
 * --write]`. Exits with 1 when one is not found within the seeds it may take. `--write` keeps the
 * seeds, where `npm test` looks first.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { MUTANTS } from '../test/simulation/mutants.ts'
import { firstFailure, SEEDS_MAX } from '../test/simulation/search.ts'

const FOUND_AT = new URL('../test/simulation/found-at.json', import.meta.url)

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } })

const seeds: Record<string, number> = {}
const never: string[] = []
for (const mutant of MUTANTS) {
  const found = await firstFailure(mutant)
  if (found === null) never.push(mutant.name)
  else seeds[mutant.name] = found.seed
  const seed = String(found?.seed ?? 'never').padStart(6)
  console.log(`${mutant.name.padEnd(26)}${seed}  ${found?.message.slice(0, 60) ?? ''}`)
}
if (values.write) writeFileSync(FOUND_AT, `${JSON.stringify(seeds, null, 2)}\n`)
if (never.length > 0) console.error(`Not found in ${SEEDS_MAX} seeds: ${never.join(', ')}`)
process.exitCode = never.length > 0 ? 1 : 0
