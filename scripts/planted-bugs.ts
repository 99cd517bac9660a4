/**
 * Search every planted bug of the simulator from the first seed on:
 *
 *     npm run test:planted-bugs [-- --write]
 *
 * `--write` notes the seeds, where `npm test` looks first. Exits with 1 when a bug is not found
 * within the seeds that it may take. One that is found at another seed than noted is told: `npm
 * test` finds it too, and takes longer.
 */
import { readFileSync, writeFileSync } from 'node:fs'
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
const text = `${JSON.stringify(seeds, null, 2)}\n`
if (values.write) writeFileSync(FOUND_AT, text)
const moved = readFileSync(FOUND_AT, 'utf8') !== text
if (never.length > 0) console.error(`Not found in ${SEEDS_MAX} seeds: ${never.join(', ')}`)
if (moved) console.log('Found elsewhere than noted: `npm run test:planted-bugs -- --write`')
process.exitCode = never.length > 0 ? 1 : 0
