import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of the repository; the path is from its root, with slashes. */
export interface Source {
  readonly path: string
  readonly text: string
}

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** Every TypeScript file below a folder of the repository, in order of its path. */
export function sources(folder: string): Source[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}
