import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './sources.ts'

export const SDK = join(ROOT, 'sdk/typescript')

/** A folder in which `payments-sdk` is installed, as its build makes it. */
export function installedSdk(): string {
  const folder = mkdtempSync(join(process.env['TEST_FOLDER'] ?? tmpdir(), 'sdk-'))
  const place = join(folder, 'node_modules/payments-sdk')
  mkdirSync(place, { recursive: true })
  const made = compile(['-p', SDK, '--outDir', join(place, 'dist')], folder)
  assert.equal(made.status, 0, made.stdout)
  cpSync(join(SDK, 'package.json'), join(place, 'package.json'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

/** Run the compiler of this repository. */
export function compile(args: readonly string[], cwd: string) {
  const program = join(ROOT, 'node_modules/typescript/bin/tsc')
  return spawnSync(process.execPath, [program, ...args], { cwd, encoding: 'utf8' })
}

/** Options of a strict program that uses the package; `node` for one that runs on Node.js. */
export const STRICT = {
  target: 'es2022',
  lib: ['es2022', 'dom'],
  module: 'nodenext',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  types: [] as string[],
}

/** What its README shows: the TypeScript blocks as one program. */
export function readmeProgram(): string {
  const page = readFileSync(join(SDK, 'README.md'), 'utf8')
  return [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code).join('\n')
}
