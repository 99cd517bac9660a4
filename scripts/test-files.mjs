/**
 * Which files are tests, by suite. What a file needs is read off what it imports and does.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'

/** Who asks for the server of the tests. */
const NEEDS_A_SERVER = /TEST_DATABASE_URL/
/** Who starts programs: the service as it is shipped, other servers, a browser, other languages. */
const STARTS_PROGRAMS =
  /\/(programs|browser|own-server|pgbouncer|python)\.ts'|\bspawn\(process|startEmbeddedPostgres\(/

/**
 * What takes long by its nature: histories by the hundred, books that are gone through row by row,
 * outages that are lived through, and tests that test tests.
 */
const LONG = new Set(
  [
    'attacks',
    'compatibility',
    'fuzz-selftest',
    'misconfigured',
    'planted-violations',
    'recipes',
    'sdk-proof',
    'series-week',
    'simulation',
    'simulation-mutants',
    'simulation-postgres',
    'simulation-postgres-told',
    'simulation-verify',
    'unnamed-refusals',
    'verify',
    'verify-steps',
    'verify-traffic',
    'yookassa-lists',
  ].map((name) => join('test', `${name}.test.ts`)),
)

/** @typedef {'usual' | 'unit' | 'long' | 'programs'} Suite */

/**
 * The tests of a suite: `programs` those that start programs, `long` the others that take long;
 * `usual` all others; `unit` those of them that need no database.
 *
 * @param {string} root
 * @param {Suite} suite
 */
export function testFiles(root, suite) {
  const names = fs.readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'))
  return names
    .toSorted()
    .map((name) => join('test', name))
    .filter((file) => {
      const texts = textsFrom(root, file, new Map())
      const own = [...texts].filter(([path]) => path.startsWith('test')).map(([, text]) => text)
      if (own.some((text) => STARTS_PROGRAMS.test(text))) return suite === 'programs'
      if (LONG.has(file)) return suite === 'long'
      return (
        suite === 'usual' || (suite === 'unit' && !own.some((text) => NEEDS_A_SERVER.test(text)))
      )
    })
}

/**
 * Whether a file, or one that it imports, imports modules of ours by names that it makes up.
 *
 * @param {string} root
 * @param {string} file
 */
export function importsByName(root, file) {
  const texts = textsFrom(root, file, new Map())
  return [...texts.values()].some((text) => /\bawait import\((url|module)\)/.test(text))
}

/**
 * The texts of the files of ours that a file imports, directly or through others, and its own.
 *
 * @param {string} root
 * @param {string} file
 * @param {Map<string, string>} texts
 */
function textsFrom(root, file, texts) {
  if (texts.has(file)) return texts
  const text = fs.readFileSync(join(root, file), 'utf8')
  texts.set(file, text)
  for (const [, from = ''] of text.matchAll(/\b(?:from|import\(?) ?'(\.[^']+\.ts)'/g)) {
    const path = join(dirname(file), from)
    if (fs.existsSync(join(root, path))) textsFrom(root, path, texts)
  }
  return texts
}
