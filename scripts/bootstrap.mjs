/**
 * What `npm start`, `npm run demo` and `npm test` need on a fresh clone: the right Node, the
 * dependencies and, with the argument `build`, a `dist` as new as `src`. Imports only Node itself
 * and its neighbours. Takes some 100 ms when nothing is to do; any number of runs may go on at
 * once.
 *
 *     node scripts/bootstrap.mjs [build] [--then <file> [argument ...]]
 *
 * `--then` goes on with a program in this same process, so that signals and exit codes are its own.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isAlive } from './alive.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const hashFile = join(modules, '.payments-lock-hash')
const builtFile = join(root, 'dist', '.built')

/** As in package.json's `engines`. */
const NODE_MIN = /** @type {const} */ ([20, 19])
const LOCK_POLL_MS = 200
/** A lock directory without its owner's id is left from a process that died between two calls. */
const LOCK_EMPTY_MS_MAX = 10_000
/** After a lost connection, npm ci can take this long; then we go on regardless of the lock. */
const LOCK_WAIT_MS_MAX = 15 * 60_000

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return
  console.error(
    `Payments needs Node.js ${NODE_MIN.join('.')} or newer, and this is ${process.versions.node}. ` +
      'Install a current one from https://nodejs.org or with `nvm install --lts`.',
  )
  process.exit(1)
}

/**
 * Read a file, or null if it is not there.
 *
 * @param {string} path
 */
function read(path) {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function lockHash() {
  const text = read(join(root, 'package-lock.json'))
  // Without a lock file (an npm package, a bundle) there is nothing to install from.
  return text === null ? null : createHash('sha256').update(text).digest('hex')
}

function hasCompiler() {
  return fs.existsSync(join(modules, 'typescript', 'package.json'))
}

/** A release: dist came ready-made, and the compiler was left out on purpose (--omit=dev). */
function isRelease() {
  return fs.existsSync(join(root, 'dist', 'main.js')) && !hasCompiler()
}

function needsInstall() {
  if (!fs.existsSync(modules)) return true
  const hash = lockHash()
  if (hash === null || read(hashFile) === hash) return false
  if (!installedMatches()) return true
  remember(hash)
  return false
}

/**
 * A read-only node_modules is fine: the longer comparison is then made each time.
 *
 * @param {string} hash
 */
function remember(hash) {
  try {
    fs.writeFileSync(hashFile, hash)
  } catch {
    // Only a shortcut for the next run.
  }
}

/**
 * Whether somebody has already run npm by hand: npm records what it installed. All of it must be as
 * in the lock file, and only what is optional (or, in a release, for development) may be missing.
 */
function installedMatches() {
  const wantedText = read(join(root, 'package-lock.json'))
  const installedText = read(join(modules, '.package-lock.json'))
  if (wantedText === null || installedText === null) return false
  const wanted = JSON.parse(wantedText).packages
  const installed = JSON.parse(installedText).packages
  const release = isRelease()
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue
    const present = installed[path]
    const optional = entry.optional || entry.devOptional || entry.peer
    if (present === undefined && !optional && !(release && entry.dev)) return false
    if (present !== undefined && present.version !== entry.version) return false
  }
  return Object.keys(installed).every((path) => wanted[path] !== undefined)
}

function needsBuild() {
  if (isRelease()) return false
  const built = fs.statSync(builtFile, { throwIfNoEntry: false })
  if (built === undefined) return true
  const configs = fs.readdirSync(root).filter((name) => /^tsconfig.*\.json$/.test(name))
  const names = ['package.json', ...configs, 'src', 'console', 'migrations']
  const inputs = names.map((name) => join(root, name))
  return inputs.some((path) => newerThan(path, built.mtimeMs))
}

/**
 * Folders count as well: deleting or renaming a file changes only its folder's time.
 *
 * @param {string} path
 * @param {number} timeMs
 * @returns {boolean}
 */
function newerThan(path, timeMs) {
  const stats = fs.statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return false
  if (stats.mtimeMs > timeMs) return true
  return (
    stats.isDirectory() && fs.readdirSync(path).some((name) => newerThan(join(path, name), timeMs))
  )
}

async function install() {
  console.log('Installing dependencies (npm ci) ...')
  const hash = lockHash()
  if (hash === null) fail('package-lock.json is missing, so the dependencies cannot be installed.')
  // The compiler and the embedded database are needed, whatever NODE_ENV says.
  const flags = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
  const npm = process.env.npm_execpath
  // npm tells its scripts where it is. Otherwise: Windows runs npm.cmd only through a shell.
  const ours = npm !== undefined && basename(npm) === 'npm-cli.js'
  const code = ours
    ? await run(process.execPath, [npm, ...flags], false)
    : await run('npm', flags, process.platform === 'win32')
  if (code !== 0) fail('npm ci failed (see above). Is the network there?')
  remember(hash)
}

async function build() {
  console.log('Building ...')
  const code = await run(process.execPath, [join(root, 'scripts', 'build.mjs')], false)
  if (code !== 0) process.exit(code)
}

/**
 * Run a command, and give its exit code.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {boolean} shell
 * @returns {Promise<number>}
 */
function run(command, args, shell) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', shell })
    child.once('error', (error) => fail(`${command} could not be run: ${error.message}`))
    child.once('exit', (code) => done(code ?? 1))
  })
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message)
  process.exit(1)
}

/** Outside the project: npm ci deletes node_modules, and the checkout stays clean. */
function lockFolder() {
  const id = createHash('sha256').update(`${root}:${process.getuid?.()}`).digest('hex').slice(0, 16)
  return join(tmpdir(), `payments-bootstrap-${id}`)
}

/**
 * Do `work` while no other bootstrap of this folder does.
 *
 * @param {() => Promise<void>} work
 */
async function alone(work) {
  const lock = lockFolder()
  const deadline = Date.now() + LOCK_WAIT_MS_MAX
  let told = false
  while (!acquire(lock) && Date.now() < deadline) {
    if (!told) console.log('Waiting for another run to finish installing or building ...')
    told = true
    await new Promise((done) => setTimeout(done, LOCK_POLL_MS))
  }
  const release = () => {
    if (read(join(lock, 'pid')) === String(process.pid))
      fs.rmSync(lock, { recursive: true, force: true })
  }
  process.once('exit', release)
  try {
    await work()
  } finally {
    process.off('exit', release)
    release()
  }
}

/** @param {string} lock */
function acquire(lock) {
  try {
    fs.mkdirSync(lock)
    fs.writeFileSync(join(lock, 'pid'), String(process.pid))
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code !== 'EEXIST' && code !== 'ENOENT') throw error
    removeStale(lock)
    return false
  }
}

/**
 * Moved away before it is deleted, so that of several who see it stale only one takes it.
 *
 * @param {string} lock
 */
function removeStale(lock) {
  const owner = read(join(lock, 'pid'))
  const stats = fs.statSync(lock, { throwIfNoEntry: false })
  if (stats === undefined) return
  const empty = owner === null || owner === ''
  const stale = empty ? Date.now() - stats.mtimeMs > LOCK_EMPTY_MS_MAX : !isAlive(Number(owner))
  if (!stale) return
  const away = `${lock}.${process.pid}`
  try {
    fs.renameSync(lock, away)
    if (read(join(away, 'pid')) === owner) fs.rmSync(away, { recursive: true, force: true })
    // It had changed hands in between: give it back.
    else fs.renameSync(away, lock)
  } catch {
    // Somebody else was faster.
  }
}

checkNode()
const then = process.argv.indexOf('--then')
const own = process.argv.slice(2, then === -1 ? undefined : then)
const wantsBuild = own.includes('build')
if (needsInstall() || (wantsBuild && needsBuild())) {
  await alone(async () => {
    // Asked again: the run that held the lock before us may have done it.
    if (needsInstall()) await install()
    if (wantsBuild && needsBuild()) await build()
  })
}
if (then !== -1) {
  const program = resolve(root, process.argv[then + 1] ?? '')
  process.argv = [process.execPath, program, ...process.argv.slice(then + 2)]
  await import(pathToFileURL(program).href)
}
