/**
 * Loads TypeScript that was compiled in advance: `node --import ./scripts/typescript.mjs`, with the
 * folder of `compile` in TEST_COMPILED.
 *
 * A run of the tests is some 200 processes, and each would compile what it imports, or look it up
 * and start a compiler in case it is missing: about a third of their time. Modules keep their names
 * and places, so nobody sees a difference but the time.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { register } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** Folders that hold what tests import. */
const FOLDERS = ['src', 'console', 'test', 'tools', 'sdk', 'bench', 'scripts']

/**
 * Compile all TypeScript of this repository into a folder, at the same places.
 *
 * @param {string} folder
 */
export async function compile(folder) {
  const { transform } = await import('esbuild')
  const files = FOLDERS.flatMap((name) => filesIn(join(root, name)))
  await Promise.all(
    files.map(async (path) => {
      const { code } = await transform(readFileSync(path, 'utf8'), {
        loader: 'ts',
        format: 'esm',
        target: 'node20',
        sourcefile: pathToFileURL(path).href,
        sourcemap: 'inline',
        sourcesContent: false,
      })
      const compiled = placeOf(folder, path)
      mkdirSync(dirname(compiled), { recursive: true })
      writeFileSync(compiled, code)
    }),
  )
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesIn(path)
    return entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts') ? [path] : []
  })
}

/**
 * @param {string} folder
 * @param {string} path
 */
function placeOf(folder, path) {
  return join(folder, `${relative(root, path)}.js`)
}

/**
 * Load from now on what was compiled into a folder, in this process.
 *
 * @param {string} folder
 */
export function loadFrom(folder) {
  process.setSourceMapsEnabled(true)
  register(import.meta.url, { data: { folder } })
}

/** @type {string | null} */
let own = null

/**
 * Called by Node, in the thread that loads modules.
 *
 * @param {{ folder: string }} data
 */
export function initialize({ folder }) {
  own = folder
}

/**
 * Called by Node for each module.
 *
 * @type {import('node:module').LoadHook}
 */
export function load(url, context, next) {
  // Tests may ask for a module once more, by a query.
  const file = url.replace(/\?.*/, '')
  if (own === null || !file.startsWith('file:') || !file.endsWith('.ts')) return next(url, context)
  const path = fileURLToPath(file)
  if (!path.startsWith(root + sep)) return next(url, context)
  const source = readFileSync(placeOf(own, path), 'utf8')
  return { format: 'module', source, shortCircuit: true }
}

const compiled = process.env.TEST_COMPILED
if (isMainThread && compiled !== undefined) {
  // A bundle (bundles.mjs) has all that it imports, and needs no thread that loads modules.
  if (isBundle(process.argv[1])) process.setSourceMapsEnabled(true)
  else loadFrom(compiled)
}

/** @param {string | undefined} program */
function isBundle(program) {
  const bundles = process.env.TEST_BUNDLES
  return bundles !== undefined && program?.startsWith(bundles + sep)
}
