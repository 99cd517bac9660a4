import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './sources.ts'

/** Why tests with a package of Python are skipped; false: it is installed. */
export function skipWithout(name: string): false | string {
  const found = spawnSync('python3', ['-c', `import ${name}`]).status === 0
  return found ? false : `the Python package is not installed: python3 -m pip install ${name}`
}

/** Run a script of `test/clients/`, and read the JSON that it prints. */
export async function runClient(script: string, ...args: readonly string[]): Promise<unknown> {
  const path = join(ROOT, 'test/clients', script)
  const { stdout } = await promisify(execFile)('python3', [path, ...args])
  return JSON.parse(stdout)
}
