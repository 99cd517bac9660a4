/**
 * Which files are tests: all of `test/*.test.ts`, or those that need neither a database nor a
 * process of the service, by what they import.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'

/** Who asks for the server of the tests, or starts processes. */
const NEEDS_A_SERVER = /TEST_DATABASE_URL|\/process-kit\.ts'/

/**
 * @param {string} root
 * @param {boolean} unit
 */
export function testFiles(root, unit) {
  const names = fs.readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'))
  const files = names.toSorted().map((name) => join('test', name))
  if (!unit) return files
  return files.filter((file) => {
    const texts = [...textsFrom(root, file, new Map()).values()]
    return !texts.some((text) => NEEDS_A_SERVER.test(text))
  })
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
