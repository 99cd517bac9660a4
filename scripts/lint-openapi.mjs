/**
 * Let programs that nobody here wrote read docs/openapi.json: `npm run lint:openapi`.
 *
 * Redocly and Spectral lint it by their recommended rules; a warning counts as an error. The types
 * that openapi-typescript makes of it compile with TypeScript 5 and with the compiler of this
 * repository. The SDK checks webhooks that another library has signed.
 *
 * These programs are large and serve no other purpose, so they are no dependencies: they are
 * installed here, below node_modules, when they are first needed.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'scripts/contract-tools')
const folder = join(root, 'node_modules/.contract-tools')
const stamp = join(folder, '.installed')

/** They phone home otherwise. */
const env = { ...process.env, REDOCLY_TELEMETRY: 'off', SCARF_ANALYTICS: 'false' }

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function run(command, args) {
  const options = /** @type {const} */ ({ cwd: folder, encoding: 'utf8', env })
  const { status, stdout, stderr, error } = spawnSync(command, args, options)
  return { ok: status === 0, said: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` }
}

function install() {
  mkdirSync(folder, { recursive: true })
  const lock = readFileSync(join(source, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).digest('hex')
  cpSync(source, folder, { recursive: true })
  cpSync(join(root, 'docs/openapi.json'), join(folder, 'openapi.json'))
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  console.log('Installing the programs that read the document (npm ci) ...')
  const npm = process.env.npm_execpath
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const done = npm === undefined ? run('npm', flags) : run(process.execPath, [npm, ...flags])
  if (!done.ok) {
    console.error(done.said)
    process.exit(1)
  }
  writeFileSync(stamp, hash)
}

/** @param {string} path */
const module = (path) => join(folder, 'node_modules', path)

const types = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022']
const program = [...types, '--module', 'nodenext', '--allowImportingTsExtensions', 'sample.mts']
const typescript = join(root, 'node_modules/typescript/bin/tsc')

/** @type {readonly (readonly [name: string, args: readonly string[]])[]} */
const STEPS = [
  ['Redocly', [module('@redocly/cli/bin/cli.js'), 'lint', 'openapi.json', '--max-problems=50']],
  [
    'Spectral',
    [module('@stoplight/spectral-cli/dist/index.js'), 'lint', 'openapi.json', '-F', 'hint'],
  ],
  [
    'openapi-typescript',
    [module('openapi-typescript/bin/cli.js'), 'openapi.json', '-o', 'openapi.d.ts'],
  ],
  ['TypeScript 5 compiles the sample', [module('typescript/bin/tsc'), ...program]],
  ['TypeScript 7 compiles the sample', [typescript, ...program, '--ignoreConfig']],
  [
    'TypeScript 7 compiles the SDK',
    [typescript, '-p', join(root, 'sdk/typescript'), '--outDir', join(folder, 'sdk')],
  ],
  ['the SDK believes what standardwebhooks signs', ['signatures.mjs']],
]

install()
for (const [name, args] of STEPS) {
  const { ok, said } = run(process.execPath, args)
  // Redocly has no option that makes warnings count.
  const fine = ok && !/\b[1-9]\d* warnings?\b/.test(said)
  console.log(`${fine ? 'ok  ' : 'FAIL'} ${name}`)
  if (!fine) {
    console.log(said)
    process.exitCode = 1
  }
}
