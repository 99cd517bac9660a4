import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { etagOf, isKnown } from './etag.ts'
import { page, PAGE_HEADERS } from './html-page.ts'
import { refuse } from './problem.ts'

/** Where the build leaves the console: beside `src` as well as in `dist`. */
const FOLDER = fileURLToPath(new URL('../../dist/console', import.meta.url))

/** What the console is served under. */
export const CONSOLE = '/console'

/** The page's own files and requests to this service, and no text that becomes a script. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

/** Encodings in the order in which they are preferred, and how the build marks files in them. */
const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const

const INDEX = 'index.html'

/** A file in one encoding. */
interface Version {
  /** Null: as it is. */
  readonly encoding: string | null
  readonly content: Buffer
  readonly etag: string
}

interface ConsoleFile {
  readonly type: string
  /** The best first, and as it is last. */
  readonly versions: readonly Version[]
}

/**
 * `GET /console`: the pages of the console, as the build left them. They are read once, with what
 * the build compressed, and answered from memory. Files have names with a hash of what is in them,
 * so they are kept for good; every path that names no file is the one page, which finds its way by
 * the path. Where the console was not built, a page says so.
 */
export function consolePage(title: string, folder = FOLDER): FastifyPluginAsync {
  const files = readFiles(folder)
  const index = files.get(INDEX)
  const missing = page(`Console · ${title}`, NOT_BUILT)
  const answer = (request: FastifyRequest, reply: FastifyReply) => {
    const { '*': name = '' } = request.params as { readonly '*'?: string } // Of this route.
    const file = files.get(name)
    if (file !== undefined && name !== INDEX) return send(request, reply, file, KEPT)
    if (extname(name) !== '' && name !== INDEX) return refuse(reply, { code: 'route_not_found' })
    if (index === undefined) return reply.headers(PAGE_HEADERS).send(missing)
    return send(request, reply, index, ASKED)
  }
  return async (app) => {
    app.get(CONSOLE, { schema: { hide: true } }, answer)
    app.get(`${CONSOLE}/*`, { schema: { hide: true } }, answer)
  }
}

/** How long browsers keep a file whose name tells what is in it, and the page that names them. */
const KEPT = 'public, max-age=31536000, immutable'
const ASKED = 'no-cache'

const NOT_BUILT = `<h1>The console is not built</h1>
<p><code>npm run build</code> builds it, and <code>npm start</code> does so by itself. The service
works without it: see <a href="/docs">the documentation</a>.</p>`

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { type, versions }: ConsoleFile,
  lifetime: string,
): FastifyReply {
  const accepted = acceptedBy(request)
  const version = versions.find(({ encoding }) => encoding === null || accepted.has(encoding))
  if (version === undefined) throw new Error('a file without its plain version')
  void reply.headers({
    'content-security-policy': POLICY,
    'cache-control': lifetime,
    etag: version.etag,
    vary: 'Accept-Encoding',
  })
  if (isKnown(request, version.etag)) return reply.code(304).send()
  if (version.encoding !== null) void reply.header('content-encoding', version.encoding)
  return reply.type(type).send(version.content)
}

/** The encodings that the caller names, and does not refuse with `q=0`. */
function acceptedBy(request: FastifyRequest): ReadonlySet<string> {
  const given = String(request.headers['accept-encoding'] ?? '').toLowerCase()
  const parts = given.split(',').map((part) => part.split(';').map((word) => word.trim()))
  const wanted = parts.filter(([, weight = 'q=1']) => !/^q=0(\.0*)?$/.test(weight))
  return new Set(wanted.map(([name = '']) => name))
}

/** Every file of the folder by its path in it; none where there is no folder. */
function readFiles(folder: string): ReadonlyMap<string, ConsoleFile> {
  const contents = new Map(
    namesIn(folder).map((name) => [name, readFileSync(join(folder, name))] as const),
  )
  const version = (encoding: string | null, content: Buffer | undefined): Version[] =>
    content === undefined ? [] : [{ encoding, content, etag: etagOf(content) }]
  const files = [...contents].flatMap(([name, content]) => {
    const type = TYPES[extname(name)]
    if (type === undefined) return []
    const encoded = ENCODINGS.flatMap(([encoding, ending]) =>
      version(encoding, contents.get(name + ending)),
    )
    return [[name, { type, versions: [...encoded, ...version(null, content)] }] as const]
  })
  return new Map(files)
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
