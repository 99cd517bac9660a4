import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './sources.ts'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Where the default of a command stands of which the README says how much it does. */
const DEFAULTS = [
  ['demo', 'tools/demo/command.ts', /'--payments <number>'.+, ([\d_]+)\)/],
  ['test:simulation', 'scripts/simulate.ts', /\bseeds: \{[^}]*default: '(\d+)'/],
  ['test:fuzz', 'scripts/fuzz.ts', /'--requests <number>'.+?'(\d+)'\)/],
] as const

for (const [script, path, pattern] of DEFAULTS) {
  test(`the README says how much \`npm run ${script}\` does without options`, () => {
    const [, count = ''] = pattern.exec(read(path)) ?? []
    const stated = Number(count.replaceAll('_', '')).toLocaleString('en-US')
    const [line = ''] = new RegExp(`^npm run ${script} +#.*$`, 'm').exec(read('README.md')) ?? []
    assert.match(line, new RegExp(`# ${stated} `))
  })
}
