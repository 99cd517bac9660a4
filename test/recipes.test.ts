import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { temporaryFolder } from './process-kit.ts'
import { FOLLOWED } from './recipes.ts'
import { ROOT } from './sources.ts'
import { judge } from './tidy/all.ts'
import { lint } from './tidy/lint.ts'
import { parse } from './tidy/tree.ts'

/** What is not of the repository, or of no use to what runs in a copy of it. */
const LEFT_OUT = ['.git', '.data', 'coverage', 'dist', 'node_modules']

/** What is shown of a program that fails: the end, where failed tests are. */
const SHOWN_MAX = 8_000
/** Recipes say which store it is only by what is in it. */
const WHERE_IT_FITS = /store\.ts$/

/** The recipes of CONTRIBUTING.md by their headings. */
function recipes(): Map<string, string> {
  const page = fs.readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8')
  const parts = (/\n## Recipes\n([^]*?)\n## /.exec(page)?.[1] ?? '').split('\n### ').slice(1)
  return new Map(parts.map((text) => [text.split('\n', 1)[0] ?? '', text]))
}

/** A copy of the repository in which all recipes of `FOLLOWED` were followed, but for scripts. */
async function followed(t: TestContext): Promise<string> {
  const copy = await temporaryFolder(t)
  for (const name of fs.readdirSync(ROOT).filter((one) => !LEFT_OUT.includes(one))) {
    fs.cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  }
  fs.symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'), 'junction')
  for (const { changes } of FOLLOWED) {
    for (const [path, change] of Object.entries(changes)) {
      const file = join(copy, path)
      fs.writeFileSync(file, change(fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''))
    }
  }
  return copy
}

/** Run Node.js in a copy: all has to be well, otherwise the end of what it says is shown. */
function run(copy: string, args: readonly string[]): void {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  // The one script that is a test of its own: `npm run query-plans`.
  const env = { ...inherited, QUERY_PLANS: 'write' }
  const options = { cwd: copy, env, encoding: 'utf8', maxBuffer: 1 << 26 } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options)
  assert.equal(status, 0, `${args.join(' ')}\n${(stdout + stderr).slice(-SHOWN_MAX)}`)
}

/** The arguments of Node.js for what a script of package.json runs, one program after another. */
function programsOf(script: string): string[][] {
  const text = fs.readFileSync(join(ROOT, 'package.json'), 'utf8')
  const { scripts } = JSON.parse(text) as { scripts: Record<string, string> }
  const programs = (scripts[script] ?? '').split(' && ')
  return programs.flatMap((words) => (words.startsWith('tsx ') ? [words.split(' ').slice(1)] : []))
}

test('recipes that are followed to the letter pass their checks, the types and the rules', async (t) => {
  const all = recipes()
  const copy = await followed(t)
  const checks = new Set<string>()
  const programs = new Map<string, string[]>()
  for (const { recipe, called = '', changes, scripts, inBrowser = false } of FOLLOWED) {
    const text = (all.get(recipe) ?? '').replaceAll('<name>', called)
    for (const path of Object.keys(changes)) {
      const named = [path, basename(path), `${dirname(path)}/`].some((name) => text.includes(name))
      assert.ok(named || WHERE_IT_FITS.test(path), `${recipe}: ${path} is not named`)
    }
    for (const script of scripts) {
      assert.ok(text.includes(`npm run ${script}`), `${recipe}: ${script} is not named`)
      for (const program of programsOf(script)) programs.set(program.join(' '), program)
    }
    const [, check = ''] = /Check:\s+`npm test -- ([^`]+)`/.exec(text) ?? []
    assert.notEqual(check, '', `${recipe}: nothing checks it`)
    for (const file of inBrowser ? [] : check.split(/\s+/)) checks.add(file)
  }
  for (const program of programs.values()) run(copy, ['--import', 'tsx', ...program])

  for (const project of ['.', 'console']) {
    run(copy, ['node_modules/typescript/lib/tsc.js', '--noEmit', '-p', project])
  }
  assert.deepEqual([...lint(copy), ...judge(parse(copy))], [])
  run(copy, ['--import', 'tsx', '--test', '--test-reporter=spec', ...checks])
})
