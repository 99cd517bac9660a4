import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

interface Python {
  /** The path of a program that a package brings. */
  program(name: string): string
}

/**
 * A Python of its own in a folder, with these packages of PyPI; or why there is none: a machine
 * without Python, or without a way to PyPI, is no failure.
 */
export function pythonWith(
  folder: string,
  packages: readonly string[],
): Python | { readonly missing: string } {
  const home = join(folder, 'python')
  const bin = join(home, process.platform === 'win32' ? 'Scripts' : 'bin')
  const made = spawnSync('python3', ['-m', 'venv', home], { encoding: 'utf8' })
  if (made.status !== 0) return { missing: `no python3 with venv: ${whyNot(made)}` }
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]
  const installed = spawnSync(join(bin, 'python'), args, { encoding: 'utf8' })
  if (installed.status !== 0) return { missing: `no packages of PyPI: ${whyNot(installed)}` }
  return { program: (name) => join(bin, name) }
}

function whyNot({ error, stderr }: ReturnType<typeof spawnSync>): string {
  return error?.message ?? String(stderr).trim().split('\n').at(-1) ?? ''
}
