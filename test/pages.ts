import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { ROOT } from './sources.ts'

/** A Markdown page of the repository; the path is from its root. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** Folders that hold pages; the root's own pages come with `.`. */
const FOLDERS = ['.', 'docs', 'docs/decisions', 'bench', '.github']

export const PAGES: readonly Page[] = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .toSorted()
    .map((name) => page(normalize(`${folder}/${name}`))),
)

export function page(path: string): Page {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') }
}

/** A page without its fenced blocks, in which other rules hold. */
export function prose(text: string): string {
  return text.replace(/^```[^]*?^```$/gm, '')
}

/** What a page has between single backticks, spaces for line breaks. */
export function codeOf(text: string): string[] {
  return [...prose(text).matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replace(/\s+/g, ' '))
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading)
  const slugs = headings.map((heading) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
  const seen = new Map<string, number>()
  return new Set(
    slugs.map((slug) => {
      const before = seen.get(slug) ?? 0
      seen.set(slug, before + 1)
      return before === 0 ? slug : `${slug}-${before}`
    }),
  )
}

/**
 * The links of a page that lead nowhere in the repository; those to other sites are not followed.
 */
export function deadLinks({ path, text }: Page): string[] {
  const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links
    .filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(path, link))
    .map((link) => `${path}: ${link}`)
}

function leadsSomewhere(from: string, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? from : join(dirname(from), file)
  if (!existsSync(join(ROOT, target))) return false
  return anchor === undefined || anchorsOf(page(target).text).has(anchor)
}

const METHOD = 'GET|POST|PUT|PATCH|DELETE'
/** One method or several in front of a path: `` `GET`, `PATCH /users/{id}` ``. */
const TOLD = new RegExp(`\\b((?:(?:${METHOD})\`?,\\s\`?)*(?:${METHOD})) (/[\\w/{}.-]*)`, 'g')

/** Requests that a page shows, as `METHOD path`: in its text, and as commands of curl. */
export function requestsOf(text: string): string[] {
  const told = [...text.matchAll(TOLD)].flatMap(([, methods = '', path]) =>
    (methods.match(/[A-Z]+/g) ?? []).map((method) => `${method} ${path}`),
  )
  const commands = text
    .replaceAll('\\\n', ' ')
    .matchAll(/\bcurl (.*?)http:\/\/localhost:8000([\w/{}.-]*)/g)
  const curled = [...commands].map(([, options = '', path = '']) => {
    return `${/-X (\w+)/.exec(options)?.[1] ?? 'GET'} ${path}`
  })
  return [...told, ...curled]
}
