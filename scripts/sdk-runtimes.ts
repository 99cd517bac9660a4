/**
 * Run the SDK, as it is built, on Node.js 18, 20, 22 and 24, Deno and Bun, against the service:
 * `npm run test:runtimes`. The runtimes come from npm, into a temporary folder. On Node.js 24,
 * whose own clients take proxies from the environment, the tests of what webhooks reach are run as
 * well, and with them the service.
 *
 * Exit code 0: it works on every one that could be had; the others are named with the reason.
 */
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installedSdk } from '../test/sdk-kit.ts'
import { ROOT } from '../test/sources.ts'
import { withTarget } from './own-target.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_450
const PROGRAM = fileURLToPath(new URL('contract-tools/smoke.mjs', import.meta.url))

interface Runtime {
  readonly name: string
  /** A package of npm that is a binary for this machine. */
  readonly package: string
  readonly binary: string
  readonly args: readonly string[]
  /** Tests of the service that mean something else there. */
  readonly tests?: string
}

const system = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const glibc = process.platform === 'linux' ? '-glibc' : ''

const RUNTIMES: readonly Runtime[] = [
  ...['18.20.8', '20.20.2', '22.23.3', '24.21.0'].map((version) => ({
    name: `Node.js ${version}`,
    package: `node-${system}@${version}`,
    binary: `node-${system}/bin/node`,
    args: [],
    ...(version.startsWith('24.') && { tests: 'test/webhook-network.test.ts' }),
  })),
  {
    name: 'Deno 2.9.6',
    package: `@deno/${process.platform}-${process.arch}${glibc}@2.9.6`,
    binary: `@deno/${process.platform}-${process.arch}${glibc}/deno`,
    args: ['run', '--allow-all'],
  },
  {
    name: 'Bun 1.4.5',
    package: `@oven/bun-${process.platform}-${process.arch}@1.4.5`,
    binary: `@oven/bun-${process.platform}-${process.arch}/bin/bun`,
    args: [],
  },
]

await withTarget({ name: 'runtimes', port: PORT }, async ({ url }) => {
  const folder = installedSdk()
  cpSync(PROGRAM, join(folder, 'smoke.mjs'))
  for (const runtime of RUNTIMES) {
    const binary = install(folder, runtime)
    if (typeof binary !== 'string') {
      console.log(`skipped ${runtime.name}: ${binary.why}`)
      continue
    }
    const { ok, said } = await run(binary, [...runtime.args, 'smoke.mjs', url], folder)
    console.log(`${ok ? 'ok     ' : 'FAILED '} ${runtime.name}: ${said}`)
    if (!ok) process.exitCode = 1
    if (runtime.tests === undefined) continue
    const tested = await run(binary, ['scripts/test.mjs', runtime.tests], ROOT)
    const counts = tested.said.match(/^# (?:pass|fail|skipped) \d+$/gm)?.join(', ') ?? ''
    console.log(`${tested.ok ? 'ok     ' : 'FAILED '} ${runtime.name}: ${runtime.tests} ${counts}`)
    if (!tested.ok) console.log(tested.said)
    if (!tested.ok) process.exitCode = 1
  }
  rmSync(folder, { recursive: true, force: true })
})
process.exit()

/** The path of a runtime, or why there is none. */
function install(folder: string, { package: name, binary }: Runtime): string | { why: string } {
  const home = join(folder, 'runtimes', binary.replaceAll(/\W/g, '-'), name.replaceAll(/\W/g, '-'))
  const args = ['install', '--prefix', home, '--ignore-scripts', '--no-save', '--force', name]
  const { status, stderr, error } = spawnSync('npm', args, { encoding: 'utf8' })
  if (status !== 0) {
    const why = stderr?.split('\n').find((line) => line.includes('code')) ?? error?.message
    return { why: `npm has no ${name} (${why ?? 'no reason given'})` }
  }
  const path = join(home, 'node_modules', binary)
  return existsSync(path) ? path : { why: `${name} has no ${binary}` }
}

function run(program: string, args: readonly string[], cwd: string) {
  return new Promise<{ readonly ok: boolean; readonly said: string }>((done) => {
    execFile(program, args, { cwd }, (error, stdout, stderr) =>
      done({ ok: error === null, said: `${stdout}${error === null ? '' : stderr}`.trim() }),
    )
  })
}
