import { readFileSync } from 'node:fs'

/** The version of this build, from package.json, which stands beside `src` as beside `dist`. */
export const VERSION = versionOf(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
)

function versionOf(text: string): string {
  return (JSON.parse(text) as { readonly version: string }).version
}
