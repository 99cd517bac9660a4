/**
 * Run the tests on one PostgreSQL of their own: `node scripts/test.mjs [file ...] [--test-...
 * ...]`. Without files it runs all tests but those that start programs and those that take long:
 * with `--programs` or `--long` it runs these, with `--unit` those of the others that need no
 * database, without a server.
 *
 * Starts an embedded server in a temporary folder, or uses the one TEST_DATABASE_URL names;
 * migrates the database `payments_template`, which each test clones; hands both to the tests as
 * TEST_DATABASE_URL and TEST_TEMPLATE, and a folder for their files as TEST_FOLDER; stops the
 * server and deletes the folder whatever happens, also when this process is killed. The exit code
 * is the runner's. With `--again`, at most two files that failed run once more, alone.
 *
 * The folder is in memory where that has room, and in TMPDIR where that is set.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { bundle } from './bundles.mjs'
import { temporaryFolder } from './temporary.mjs'
import { importsByName, testFiles } from './test-files.mjs'
import { compile, loadFrom } from './typescript.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const TEMPLATE = 'payments_template'

/**
 * Files that run side by side: one more than there are cores, because some wait for leases and
 * timers most of the time. More would wait for the one database that they share.
 */
const FILES_SIDE_BY_SIDE = Math.min(availableParallelism() + 1, 5)
/**
 * A file that takes longer is ended, and its tests that have not ended are named. The longest takes
 * half a minute; a machine may be busy with other things.
 */
const FILE_MS_MAX = 600_000
/** Chooses tests, not files: for the processes of the files alone. */
const PATTERN = '--test-name-pattern'
/** When more files fail than this, it is not chance. */
const AGAIN_MAX = 2

/** @type {import('node:child_process').ChildProcess | null} */
let child = null
let interrupted = false
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  // The first one lets the tests end and cleans up; a second one ends the tests at once.
  process.on(signal, () => {
    if (interrupted) endGroup()
    else child?.kill(signal)
    interrupted = true
  })
}

/** End the tests and every process that they have started. */
function endGroup() {
  try {
    if (child?.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody is left; or there are no groups, as on Windows.
    child?.kill('SIGKILL')
  }
}

/**
 * Somebody who outlives us, to clean up where we cannot: when we are killed.
 *
 * @param {string} folder
 */
function startWitness(folder) {
  const script = join(root, 'scripts', 'after-death.mjs')
  return spawn(process.execPath, [script, folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
    windowsHide: true,
  })
}

/** @param {string} folder */
async function startServer(folder) {
  const { startEmbeddedPostgres } = await import('../src/adapters/embedded-postgres.ts')
  return startEmbeddedPostgres({
    dataDir: join(folder, 'data'),
    // Away from the service's own ports, so that both can run side by side.
    port: 55_320,
    log: (line) => console.log(line),
    // fsync stays on: measured, it is not what a clone of the template or a commit waits for.
    settings: { max_connections: '200' },
  })
}

/** @param {string} url */
async function createTemplate(url) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`drop database if exists ${TEMPLATE}`)
    await client.query(`create database ${TEMPLATE}`)
  } finally {
    await client.end()
  }
  const template = new URL(url)
  template.pathname = `/${TEMPLATE}`
  const { migrate } = await import('../src/adapters/migrate.ts')
  await migrate(template.href)
}

/**
 * @param {string | null} url
 * @param {readonly string[]} files
 * @param {number} sideBySide Files at a time.
 * @returns {Promise<number>}
 */
function runTests(url, files, sideBySide) {
  const options = given.filter((argument) => argument.startsWith('-'))
  const args = [
    `--import=${pathToFileURL(join(root, 'scripts', 'typescript.mjs')).href}`,
    // Of two that say the same, the later one holds.
    `--test-concurrency=${sideBySide}`,
    `--test-timeout=${FILE_MS_MAX}`,
    ...options.filter((option) => !isReporter(option) && !option.startsWith(PATTERN)),
    join(root, 'scripts', 'run-tests.mjs'),
    ...reporters(options.filter(isReporter)),
    ...options.filter((option) => option.startsWith(PATTERN)),
    ...files,
  ]
  const database = url === null ? {} : { TEST_DATABASE_URL: url, TEST_TEMPLATE: TEMPLATE }
  const own = {
    TEST_FOLDER: folder,
    TEST_COMPILED: compiledIn(folder),
    TEST_BUNDLES: bundlesIn(folder),
  }
  const env = { ...process.env, ...database, ...own }
  return new Promise((done) => {
    // A group of their own, with all that they start: it can be ended as a whole.
    child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env,
      detached: true,
    })
    witness.stdin.write(`${child.pid}\n`)
    child.once('exit', (code) => done(code ?? 1))
  })
}

/**
 * Run all that is asked for. With `--again`, the files that failed run once more, alone, when they
 * are few: a test that fails only beside others is a mistake in it or in the service that has to be
 * found, so it is named, but it does not hold up what else the run has shown.
 *
 * @param {string | null} url
 */
async function runAll(url) {
  const named = given.filter((argument) => !argument.startsWith('-'))
  const files = named.length > 0 ? named : testFiles(root, suite)
  const there = files.filter((file) => fs.existsSync(join(root, file)))
  const whole = there.filter((file) => !importsByName(root, file))
  await bundle(whole, bundlesIn(folder))
  const code = await runTests(url, files, FILES_SIDE_BY_SIDE)
  if (code === 0 || !again || interrupted) return code
  const failed = failedFiles()
  if (failed.length === 0 || failed.length > AGAIN_MAX) return code
  console.log(`\nFailed, and run once more alone: ${failed.join(', ')}`)
  const second = await runTests(url, failed, 1)
  if (second === 0) console.log(`UNSTEADY, to be mended: ${failed.join(', ')}`)
  return second
}

/** @returns {string[]} */
function failedFiles() {
  const path = join(folder, 'failed.json')
  return fs.existsSync(path) ? JSON.parse(fs.readFileSync(path, 'utf8')) : []
}

/**
 * What tells how it went: as asked for, or as the runner does by itself, and who hangs.
 *
 * @param {readonly string[]} asked
 */
function reporters(asked) {
  if (asked.some((option) => option.startsWith('--test-reporter-destination'))) return asked
  const usual = `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`
  const hanging = `--test-reporter=${pathToFileURL(join(root, 'scripts', 'unfinished.mjs')).href}`
  // A destination goes to the reporter at the same place in the list: ours first.
  const destinations = ['stderr', 'stdout'].map((name) => `--test-reporter-destination=${name}`)
  return [hanging, ...(asked.length > 0 ? asked : [usual]), ...destinations]
}

/** @param {string} option */
function isReporter(option) {
  return option.startsWith('--test-reporter')
}

/**
 * Where this run keeps what it has compiled.
 *
 * @param {string} folder
 */
function compiledIn(folder) {
  return join(folder, 'compiled')
}

/**
 * Where this run keeps the tests with all that they import.
 *
 * @param {string} folder
 */
function bundlesIn(folder) {
  return join(folder, 'bundles')
}

/** The address of the tests' server, with a template; null: they need none. */
async function prepare() {
  if (suite === 'unit') return null
  const given = process.env.TEST_DATABASE_URL
  const url = given || (await ownServer())
  await createTemplate(url)
  return url
}

async function ownServer() {
  const server = await startServer(folder)
  stopServer = server.stop
  return server.url
}

const again = process.argv.includes('--again')
const SUITES = /** @type {const} */ (['unit', 'long', 'programs'])
const suite = SUITES.find((name) => process.argv.includes(`--${name}`)) ?? 'usual'
const OURS = ['--again', ...SUITES.map((name) => `--${name}`)]
const given = process.argv.slice(2).filter((argument) => !OURS.includes(argument))
// For the server and whatever the tests write, so that nothing outlives the run.
const folder = temporaryFolder('payments-test-')
const witness = startWitness(folder)
/** @type {() => Promise<void>} */
let stopServer = () => Promise.resolve()
try {
  await compile(compiledIn(folder))
  loadFrom(compiledIn(folder))
  const url = await prepare()
  process.exitCode = interrupted ? 130 : await runAll(url)
} finally {
  endGroup()
  await stopServer()
  // The same hands clean up after every run, whether or not it came to its end.
  witness.stdin.end()
  if (witness.exitCode === null) await once(witness, 'exit')
}
process.exit(process.exitCode)
