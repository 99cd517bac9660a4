/** @typedef {{ name: string, file?: string }} Named */

/**
 * A reporter that says which tests had not ended when the run did, or when their file was ended
 * because it took too long: Node itself names only the file.
 *
 * @param {AsyncIterable<{ type: string, data: Named }>} events
 */
export default async function* unfinished(events) {
  /** @type {Map<string | undefined, string[]>} */
  const begun = new Map()
  for await (const { type, data } of events) {
    const own = begun.get(data.file) ?? []
    if (type === 'test:dequeue' && !isFile(data)) begun.set(data.file, [...own, data.name])
    if (type === 'test:complete' && !isFile(data)) {
      begun.set(
        data.file,
        own.filter((name) => name !== data.name),
      )
    }
    if (type === 'test:complete' && isFile(data)) {
      begun.delete(data.file)
      if (own.length > 0) yield told(data.file, own)
    }
  }
  for (const [file, names] of begun) if (names.length > 0) yield told(file, names)
}

/**
 * Each file is a test of its own to the runner, whose name is its path.
 *
 * @param {Named} test
 */
export function isFile({ name, file }) {
  return file === undefined || file === name || file.endsWith(name)
}

/**
 * @param {string | undefined} file
 * @param {readonly string[]} names
 */
function told(file, names) {
  return `\nNever ended, in ${file}:\n${names.map((name) => `  ${name}\n`).join('')}`
}
