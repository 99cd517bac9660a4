/**
 * Run the tests on one PostgreSQL of their own: `node scripts/test.mjs [file ...] [--test-...
 * ...]`. With `--unit` those that need neither a database nor a process of the service run alone,
 * without a server.
 *
 * Starts an embedded server in a temporary folder, or uses the one TEST_DATABASE_URL names;
 * migrates the database `payments_template`, which each test clones; hands both to the tests as
 * TEST_DATABASE_URL and TEST_TEMPLATE, and a folder for their files as TEST_FOLDER; stops the
 * server and deletes the folder whatever happens, also when this process is killed. The exit code
 * is the runner's.
 *
 * On a slow disk, `TMPDIR=/dev/shm npm test` clones the template several times faster.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { register } from 'tsx/esm/api'
import { testFiles } from './test-files.mjs'

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

/** Load TypeScript from src as it is; the tests do the same. */
register()
const { startEmbeddedPostgres } = await import('../src/adapters/embedded-postgres.ts')
const { migrate } = await import('../src/adapters/migrate.ts')

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

/** A folder for the server and whatever the tests write, so that nothing outlives the run. */
function createFolder() {
  const folder = fs.mkdtempSync(join(tmpdir(), 'payments-test-'))
  // Open to pass through: the tests may run as root, and the server then runs as somebody else.
  fs.chmodSync(folder, 0o711)
  return folder
}

/** @param {string} folder */
function startServer(folder) {
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
  await migrate(template.href)
}

/**
 * @param {string | null} url
 * @param {string} folder
 * @returns {Promise<number>}
 */
function runTests(url, folder) {
  const files = given.some(isFile) ? [] : testFiles(root, unit)
  const limits = [`--test-concurrency=${FILES_SIDE_BY_SIDE}`, `--test-timeout=${FILE_MS_MAX}`]
  // Options must precede the files; of two that say the same, the later one holds.
  const args = [
    '--import',
    'tsx',
    '--test',
    ...limits,
    ...reporters(given),
    ...given.toSorted((a, b) => Number(isFile(a)) - Number(isFile(b))),
    ...files,
  ]
  const database = url === null ? {} : { TEST_DATABASE_URL: url, TEST_TEMPLATE: TEMPLATE }
  const env = { ...process.env, ...database, TEST_FOLDER: folder }
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
 * What tells how it went: as asked for, or as the runner does by itself, and who hangs.
 *
 * @param {readonly string[]} given
 */
function reporters(given) {
  if (given.some((argument) => argument.startsWith('--test-reporter-destination'))) return []
  const asked = given.some((argument) => argument.startsWith('--test-reporter'))
  const usual = `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`
  const hanging = `--test-reporter=${pathToFileURL(join(root, 'scripts', 'unfinished.mjs')).href}`
  // A destination goes to the reporter at the same place in the list: ours first.
  const destinations = ['stderr', 'stdout'].map((name) => `--test-reporter-destination=${name}`)
  return [hanging, ...(asked ? [] : [usual]), ...destinations]
}

/** @param {string} argument */
function isFile(argument) {
  return !argument.startsWith('-')
}

/** The address of the tests' server, with a template; null: they need none. */
async function prepare() {
  if (unit) return null
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

const unit = process.argv.includes('--unit')
const given = process.argv.slice(2).filter((argument) => argument !== '--unit')
const folder = createFolder()
const witness = startWitness(folder)
/** @type {() => Promise<void>} */
let stopServer = () => Promise.resolve()
try {
  const url = await prepare()
  process.exitCode = interrupted ? 130 : await runTests(url, folder)
} finally {
  endGroup()
  await stopServer()
  // The same hands clean up after every run, whether or not it came to its end.
  witness.stdin.end()
  if (witness.exitCode === null) await once(witness, 'exit')
}
process.exit(process.exitCode)
