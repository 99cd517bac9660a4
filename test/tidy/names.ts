import { basename, dirname } from 'node:path/posix'
import type { Parsed } from './tree.ts'

/** What many features have, and call alike: their folder says whose it is. */
const FAMILIES: ReadonlySet<string> = new Set([
  'api.ts',
  'bodies.ts',
  'command.ts',
  'read.ts',
  'routes.ts',
  'store.ts',
  'traced.ts',
])

/** What is decided, put together or played for a file of another folder, and called like it. */
const OF_ANOTHER = /^src\/(domain|process|mock-gateway)$/

/**
 * Files of `src/` that are called like one of another folder: whoever guesses by the name opens the
 * wrong one.
 */
export function calledAlike(files: readonly Parsed[]): string[] {
  const first = new Map<string, string>()
  return files.flatMap(({ path }) => {
    const name = basename(path)
    if (!path.startsWith('src/') || OF_ANOTHER.test(dirname(path))) return []
    if (FAMILIES.has(name) || name.endsWith('-store.ts')) return []
    const other = first.get(name)
    first.set(name, other ?? path)
    return other === undefined ? [] : [`${path} is called like ${other}`]
  })
}
