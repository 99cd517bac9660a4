/**
 * Run test files, those that take longest first: `node --test-concurrency=3 scripts/run-tests.mjs
 * [--test-reporter=... ...] file ...`. Started by `scripts/test.mjs`, which brings the database.
 *
 * Node's own command runs files by name, and then whoever is last and long runs alone on a machine
 * that has nothing else to do.
 */
import { setMaxListeners } from 'node:events'
import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import * as builtin from 'node:test/reporters'
import { bundleOf, sourceOf } from './bundles.mjs'
import { isFile } from './unfinished.mjs'

/** The files that take longest, longest first; a whole run says when this is no longer true. */
const LONGEST = [
  'verify-steps',
  'series-week',
  'simulation-postgres',
  'simulation',
  'unnamed-refusals',
  'simulation-mutants',
  'verify',
  'webhooks-command',
  'python-client',
  'console-acts',
  'group',
  'pooler',
  'console-screens',
  'payer-page',
  'start',
  'commands',
  'former-secrets',
  'console-sessions',
  'moved-endpoints',
  'sdk-doubt',
  'sdk-service',
  'resolve',
  'webhook-endpoints',
  'processes',
  'tidy',
  'verify-gateway',
  'act-keys',
  'counts',
  'lists',
  'plans',
  'verify-returns',
  'user-erase',
  'locks',
  'webhooks',
  'hostile-input',
  'keys',
  'cut-short',
  'embedded-postgres',
  'failover',
  'pages',
  'readme',
  'connections',
  'currency-accounts',
  'openapi-document',
  'event-routes',
  'series',
  'migrate',
  'exact-money',
  'change-outcomes',
  'admission',
].map((name) => `test/${name}.test.ts`)

/** @param {string} name */
function option(name) {
  const last = process.execArgv.findLast((argument) => argument.startsWith(`${name}=`))
  return last === undefined ? undefined : Number(last.slice(name.length + 1))
}

/**
 * The values of an option that may be given several times.
 *
 * @param {string} name
 */
function values(name) {
  const given = process.argv.slice(2).filter((argument) => argument.startsWith(`${name}=`))
  return given.map((argument) => argument.slice(name.length + 1))
}

/**
 * The path of a file within the repository, with slashes.
 *
 * @param {string} file
 */
function pathOf(file) {
  return relative('', file).replaceAll('\\', '/')
}

/** @param {string} file */
function placeOf(file) {
  const place = LONGEST.indexOf(pathOf(file))
  return place === -1 ? LONGEST.length : place
}

const files = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const stopping = new AbortController()
// Each file listens.
setMaxListeners(0, stopping.signal)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stopping.abort())

/** The folder of what was made of the files to run it faster. */
const bundles = process.env.TEST_BUNDLES ?? ''

/** @param {string} file */
function programOf(file) {
  const bundled = bundleOf(bundles, file)
  return existsSync(bundled) ? bundled : file
}

/**
 * Where a test of a bundle stands in its source.
 *
 * @param {string} file
 * @param {Told['data']} place
 */
function lineIn(file, { line = 1, column = 1 }) {
  if (sourceOf(bundles, file) === file) return {}
  const [, map = ''] = readFileSync(file, 'utf8').split(
    'sourceMappingURL=data:application/json;base64,',
  )
  const source = new SourceMap(JSON.parse(Buffer.from(map, 'base64').toString()))
  const origin = source.findOrigin(line, column)
  return 'lineNumber' in origin ? { line: origin.lineNumber, column: origin.columnNumber } : {}
}

/**
 * @typedef {{
 *   type: string,
 *   data: { name?: string, file?: string, line?: number, column?: number },
 * }} Told
 */

/**
 * Events that name the files that were asked for, not those that ran.
 *
 * @param {AsyncIterable<Told>} told
 */
async function* bySource(told) {
  for await (const event of told) {
    const { name, file } = event.data
    if (name !== undefined) event.data.name = sourceOf(bundles, name)
    if (file !== undefined) {
      if (event.type === 'test:fail') Object.assign(event.data, lineIn(file, event.data))
      event.data.file = sourceOf(bundles, file)
    }
    yield event
  }
}

const events = run({
  files: files.toSorted((one, other) => placeOf(one) - placeOf(other)).map(programOf),
  concurrency: option('--test-concurrency') ?? true,
  timeout: option('--test-timeout') ?? Number.POSITIVE_INFINITY,
  signal: stopping.signal,
  testNamePatterns: values('--test-name-pattern'),
})
/** @type {Map<string, number>} */
const tookMs = new Map()
/** @type {Set<string>} */
const failed = new Set()
events.on('test:fail', ({ todo, file, name }) => {
  if (todo !== undefined && todo !== false) return
  process.exitCode = 1
  failed.add(pathOf(sourceOf(bundles, file ?? name)))
})
events.on('test:complete', (data) => {
  if (isFile(data)) tookMs.set(pathOf(sourceOf(bundles, data.name)), data.details.duration_ms)
})

const destinations = values('--test-reporter-destination')
for (const [index, name] of values('--test-reporter').entries()) {
  const named = /** @type {import('node:stream').Readable} */ (events.compose(bySource))
  named.compose(await reporterOf(name)).pipe(streamTo(destinations[index] ?? 'stdout'))
}

/**
 * A reporter of Node's own by its name, or one of ours by its address.
 *
 * @param {string} name
 */
async function reporterOf(name) {
  if (name === 'spec') return new builtin.spec()
  if (name === 'dot') return builtin.dot
  if (name === 'tap') return builtin.tap
  const { default: reporter } = await import(name)
  return reporter
}

/** @param {string} destination */
function streamTo(destination) {
  if (destination === 'stdout') return process.stdout
  return destination === 'stderr' ? process.stderr : createWriteStream(destination)
}

events.once('end', () => {
  const folder = process.env.TEST_FOLDER
  if (folder !== undefined) writeFileSync(join(folder, 'failed.json'), JSON.stringify([...failed]))
  tellOrder()
})

/** Say what the list of the longest files should be, as far as it is clearly wrong. */
function tellOrder() {
  if (tookMs.size <= 2 * LONGEST.length) return
  const order = [...tookMs].toSorted(([, one], [, other]) => other - one)
  for (const [place, [file, ms]] of order.entries()) {
    const took = `${file} took ${Math.round(ms / 1_000)} s`
    const isListed = LONGEST.includes(file)
    if (place < LONGEST.length / 2 && !isListed) {
      console.error(`${took}: add it to LONGEST in scripts/run-tests.mjs`)
    }
    if (place >= 2 * LONGEST.length && isListed) {
      console.error(`${took}: take it out of LONGEST in scripts/run-tests.mjs`)
    }
  }
}
