import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Setting } from '../src/config/kinds.ts'
import { SETTINGS } from '../src/config/settings.ts'
import { isOpen, OPERATIONS, TRANSITIONS, type StoredStatus } from '../src/domain/payment.ts'
import { program } from '../src/process/program.ts'
import { codeOf, deadLinks, PAGES, prose, requestsOf } from './pages.ts'
import { ROOT, sources } from './sources.ts'
import { COLUMNS_MAX, wideLines, wideText } from './tidy/columns.ts'
import { parse } from './tidy/tree.ts'
import { BACK_DAMAGES } from './verify-damage-back.ts'
import { MONEY_DAMAGES } from './verify-damage-money.ts'
import { RECORD_DAMAGES } from './verify-damage-records.ts'

// That docs/configuration.md and .env.example are what the settings generate is config.test.ts' to
// say.

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Variables that pages name and that are not settings of the service. */
const NOT_OURS = ['NODE_ENV', 'NODE_OPTIONS', 'TEST_DATABASE_URL', 'POSTGRES_PASSWORD']

test('every link of a page into the repository leads to a file and a heading', () => {
  assert.ok(PAGES.length >= 40, String(PAGES.length))
  assert.deepEqual(PAGES.flatMap(deadLinks), [])
})

/** A path as pages and comments write it: from the root, or a file of `test/` by its name alone. */
const PATH =
  /^(?:\.github|docs|src|test|bench|scripts|tools|migrations|console|sdk|deploy)\/[\w./-]*[\w/]$|^[\w.-]+\.(?:md|test\.ts|mjs|yaml)$/

function isThere(path: string): boolean {
  return [path, `test/${path}`, `docs/${path}`, `${path}.md`].some((one) =>
    existsSync(join(ROOT, one)),
  )
}

test('every file that a page names is there', () => {
  const missing = PAGES.filter(({ path }) => path !== 'CHANGELOG.md').flatMap(({ path, text }) =>
    codeOf(text)
      .filter((code) => PATH.test(code) && !isThere(code))
      .map((code) => `${path}: ${code}`),
  )
  assert.deepEqual(missing, [])
})

test('what a page says is in a file is in it', () => {
  const said = PAGES.flatMap(({ path, text }) =>
    [...prose(text).matchAll(/`(\w+)`\s+in\s+`([\w./-]+\.ts)`|`(\w+)`\s+\(`([\w./-]+\.ts)`/g)].map(
      ([, name, file, verb, own]) => ({ path, name: name ?? verb ?? '', file: file ?? own ?? '' }),
    ),
  )
  assert.ok(said.length >= 8, String(said.length))
  for (const { path, name, file } of said) {
    assert.match(readFileSync(join(ROOT, file), 'utf8'), new RegExp(`\\b${name}\\b`), path)
  }
})

test('every file that a comment names is there', () => {
  const folders = ['src', 'tools', 'test', 'bench', 'scripts']
  const missing = folders.flatMap(sources).flatMap(({ path, text }) => {
    const comments = [...text.matchAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm)].join('\n')
    const named = comments.match(
      /\b(?:docs|src|test|bench|scripts|migrations)\/[\w./-]+\w|\b[\w-]+\.md\b/g,
    )
    const near = (name: string) => existsSync(join(ROOT, dirname(path), name))
    return (named ?? [])
      .filter((name) => !isThere(name) && !near(name))
      .map((name) => `${path}: ${name}`)
  })
  assert.deepEqual(missing, [])
})

/** What comments name of others: constants of OpenTelemetry. */
const OTHERS = new Set(['SPAN_FLAGS', 'STATUS_CODE_ERROR', 'SpanKind'])

test('every name that a comment quotes is in the code, the schema or the API', () => {
  const files = ['src', 'console', 'tools', 'scripts', 'test', 'sdk', 'bench'].flatMap(sources)
  const comments = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm
  const schema = readdirSync(join(ROOT, 'migrations')).map((name) => `migrations/${name}`)
  const beside = ['docs/openapi.json', '.env.example', 'docs/operations.md', ...schema].map(read)
  const code = [...files.map(({ text }) => text.replace(comments, '')), ...beside]
  const known = new Set(code.flatMap((text) => text.match(/\w+/g) ?? []))
  const missing = files.flatMap(({ path, text }) =>
    [...(text.match(comments) ?? []).join('\n').matchAll(/`([a-z_]\w+[a-z\d])`/gi)]
      .filter(([, name = '']) => !known.has(name) && !OTHERS.has(name))
      .map(([, name]) => `${path} names ${name}`),
  )
  assert.deepEqual(missing, [])
})

test('the map of the code has every folder of src, and no other', () => {
  const rows = [...read('ARCHITECTURE.md').matchAll(/^\| `src\/([\w-]+)\/` +\|/gm)]
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  )
  assert.deepEqual(
    rows.map(([, name]) => name).toSorted(),
    folders.map(({ name }) => name).toSorted(),
  )
})

test('every script of package.json that is named anywhere is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const files = ['.ci/run', '.github/workflows/ci.yml'].map((path) => ({ path, text: read(path) }))
  const named = [...PAGES, ...files].flatMap(({ path, text }) =>
    [...text.matchAll(/\bnpm run (?:--silent )?([a-z][a-z:-]*)/g)].map(([, name = '']) => ({
      path,
      name,
    })),
  )
  assert.ok(named.length >= 20, String(named.length))
  assert.deepEqual(
    named.filter(({ name }) => !(name in scripts)),
    [],
  )
})

test('every setting that a page names is there, and the README shows its default', () => {
  const settings = Object.values<Setting>(SETTINGS)
  // A page may name constants of the code as well, which look the same.
  const constants = sources('src').flatMap(({ text }) => [...text.matchAll(/\bconst ([A-Z_]+)\b/g)])
  const names = new Set([
    ...settings.map(({ name }) => name),
    ...constants.map(([, name]) => name),
    ...NOT_OURS,
  ])
  const unknown = PAGES.filter(({ path }) => path !== 'CHANGELOG.md').flatMap(({ path, text }) =>
    codeOf(text)
      .map((code) => /^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=|$)/.exec(code)?.[1])
      .filter((name) => name !== undefined && !names.has(name))
      .map((name) => `${path}: ${name}`),
  )
  assert.deepEqual(unknown, [])
  const rows = [...read('README.md').matchAll(/^\| `([A-Z_]+)` +\| `?([\w.]+)`? +\|/gm)]
  assert.ok(rows.length >= 4, String(rows.length))
  for (const [, name = '', shown] of rows) {
    assert.equal(settings.find((setting) => setting.name === name)?.fallback, shown, name)
  }
})

test('the diagram of states shows each transition, and no other', () => {
  const [, diagram = ''] =
    /```mermaid\nstateDiagram-v2\n([^]*?)```/.exec(read('ARCHITECTURE.md')) ?? []
  const edges = [...diagram.matchAll(/(\w+) --> (\w+): /g)].map(([, from, to]) => `${from} ${to}`)
  const legal = Object.entries(TRANSITIONS).flatMap(([from, all]) =>
    all.map((to) => `${from} ${to}`),
  )
  assert.deepEqual(edges.toSorted(), legal.toSorted())
  const final = [...diagram.matchAll(/(\w+) --> \[\*\]/g)].map(([, from]) => from)
  assert.deepEqual(
    final,
    Object.keys(TRANSITIONS).filter((status) => !isOpen(status as StoredStatus)),
  )
})

test('every operation is on a page for those who use it', () => {
  const { paths } = JSON.parse(read('docs/openapi.json')) as { paths: Record<string, object> }
  const pages = ['README.md', 'docs/events.md', 'docs/gateways.md', 'docs/operations.md']
  const requests = pages.flatMap((page) => requestsOf(read(page)))
  // As they are written there: with ids as words or numbers, and perhaps a slash at the end.
  const missing = Object.entries(paths).flatMap(([path, methods]) => {
    const pattern = path.replace(/[/.]/g, '\\$&').replace(/\{\w+\}/g, '(?:\\{\\w+\\}|[\\w-]+)')
    return Object.keys(methods)
      .map((method) => method.toUpperCase())
      .filter((method) => {
        const shown = new RegExp(`^${method} ${pattern}/?$`)
        return !requests.some((request) => shown.test(request))
      })
      .map((method) => `${method} ${path}`)
  })
  assert.deepEqual(missing, [])
})

test('the health that docs/operations.md shows has every operation', () => {
  const [, shown = ''] =
    /\/api\/v1\/health\n```\n\n```json\n([^]*?)```/.exec(read('docs/operations.md')) ?? []
  const { gateways } = JSON.parse(shown) as { gateways: { operation: string }[] }
  assert.deepEqual(
    gateways.map(({ operation }) => operation),
    OPERATIONS,
  )
})

test('docs/operations.md says of every tool that it creates nothing', () => {
  const commands = sources('src')
    .filter(({ path }) => /[/-]command\.ts$/.test(path))
    .flatMap(({ text }) => [...text.matchAll(/\bprogram\s*\.command\('(\w+)/g)])
    .map(([, name]) => name)
  const [, list = ''] = /\n\n(`keys`[^.]+?)\snever\srun/.exec(read('docs/operations.md')) ?? []
  assert.deepEqual(
    [...list.matchAll(/`(\w+)`/g)].map(([, name]) => name).toSorted(),
    commands.toSorted(),
  )
})

test('docs/operations.md lists every command with the options that it has', () => {
  const rows = [
    ...read('docs/operations.md').matchAll(/^\| `payments ([a-z-]+)[^`]*` +\| (.+?) +\|/gm),
  ]
  assert.deepEqual(
    rows.map(([, name = '']) => name).toSorted(),
    program.commands.map((command) => command.name()).toSorted(),
  )
  for (const [, name = '', says = ''] of rows) {
    const own = program.commands.filter((command) => command.name() === name)
    const options = own
      .flatMap((command) => [command, ...command.commands])
      .flatMap((command) => command.options.map(({ long }) => long))
    const named = new Set(says.match(/--[a-z-]+/g))
    assert.deepEqual([...named].toSorted(), [...new Set(options)].toSorted(), name)
  }
})

test('each decision is in both lists under its title, with what decided it', () => {
  const files = readdirSync(join(ROOT, 'docs/decisions')).filter((name) => /^\d{4}-/.test(name))
  const numbers = files.map((name) => Number(name.slice(0, 4)))
  assert.deepEqual(
    numbers,
    numbers.map((_, at) => at + 1),
    'numbers without a gap',
  )
  for (const [at, name] of files.entries()) {
    const text = read(`docs/decisions/${name}`)
    const [title = ''] = text.split('\n', 1)
    assert.ok(title.startsWith(`# ${at + 1}. `), name)
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
    assert.deepEqual(headings, ['Context', 'Decision', 'What decided', 'Consequences'], name)
    const [, decided = ''] = /## What decided\n([^]*?)\n## /.exec(text) ?? []
    assert.match(decided, /\b\d{4}-\d\d-\d\d\b/, `${name} says when its figure was measured`)
    const lists = { 'ARCHITECTURE.md': `docs/decisions/${name}`, 'docs/decisions/README.md': name }
    for (const [list, link] of Object.entries(lists)) {
      const entry = `[${title.slice(2)}](${link})`
      assert.ok(read(list).replace(/\s+/g, ' ').includes(entry), `${list}: ${entry}`)
    }
  }
})

test('the version is written once: the program shows the one of package.json', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  assert.equal(program.version(), version)
  const again = ['src', 'tools']
    .flatMap(sources)
    .filter(({ text }) => text.includes(`'${version}'`))
  assert.deepEqual(
    again.map(({ path }) => path),
    [],
  )
})

test('where the API lives is written once', () => {
  // In texts for people it may stand as well: they are no code that has to agree.
  const again = sources('src').filter(({ text }) => /['`]\/api\/v1/.test(text))
  assert.deepEqual(
    again.map(({ path }) => path),
    ['src/http/paths.ts'],
  )
})

test('one version of Node is the newest that is tested, and another the oldest that may be', () => {
  const newest = read('.nvmrc').trim()
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } }
  const [, matrix = ''] = /node: \[(.+)\]/.exec(read('.github/workflows/ci.yml')) ?? []
  const oldest = engines.node.replace('>=', '')
  assert.deepEqual(matrix.replaceAll("'", '').split(', '), [oldest, newest])
  for (const [, major] of read('Dockerfile').matchAll(/^FROM node:(\d+)/gm))
    assert.equal(major, newest)
  assert.match(
    read('README.md'),
    new RegExp(`nodejs\\.org\\)\\s${oldest.replace('.', '\\.')} or newer`),
  )
})

/** Migrations up to here are applied with whatever lines they have. */
const APPLIED = 'migrations/0013'

test('no line is wider than a line of code may be', () => {
  const folder = (name: string) =>
    readdirSync(join(ROOT, name), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(?:sql|ya?ml)$/.test(file))
      .map((file) => `${name}/${file.replaceAll('\\', '/')}`)
  const folders = ['.github', 'deploy', 'docs', 'migrations'].flatMap(folder)
  const paths = [...folders, '.ci/run', 'Dockerfile', 'compose.yaml']
  const wide = paths.flatMap((path) => wideText({ path, text: read(path) }))
  assert.deepEqual(
    wide.filter((line) => !line.startsWith('migrations/') || line > APPLIED),
    [],
  )
  assert.deepEqual(parse(ROOT).flatMap(wideLines), [])
})

test('no page has prose that is wider than a line of code may be', () => {
  // Rows of tables and addresses cannot be broken.
  const wide = PAGES.flatMap(({ path, text }) =>
    prose(text)
      .split('\n')
      .filter(
        (line) => line.length > COLUMNS_MAX && !/^\||^\s*(?:- )?(?:\S+|\[.+\]\(\S+\))$/.test(line),
      )
      .map((line) => `${path}: ${line}`),
  )
  assert.deepEqual(wide, [])
})

/** Words that praise, or stand for a plainer one. */
const PRAISE =
  /\b(?:simply|obviously|effortless(?:ly)?|seamless(?:ly)?|robust|powerful|blazing|leverages?|utili[sz]es?|in order to|cutting-edge|world-class|best-in-class|state of the art|enterprise-grade|battle-tested|rock-solid)\b/i

test('pages say what is so, without words that praise', () => {
  const praise = PAGES.flatMap(({ path, text }) => {
    const [word] = PRAISE.exec(prose(text)) ?? []
    return word === undefined ? [] : [`${path}: ${word}`]
  })
  assert.deepEqual(praise, [])
})

test('docs/reliability.md counts the planted bugs and damages as they are', () => {
  const page = prose(read('docs/reliability.md')).replace(/\s+/g, ' ')
  const bugs = Object.keys(JSON.parse(read('test/simulation/found-at.json')) as object).length
  const damages = [...MONEY_DAMAGES, ...BACK_DAMAGES, ...RECORD_DAMAGES].length
  assert.ok(page.includes(`all ${bugs} are found`), `${bugs} planted bugs`)
  assert.ok(page.includes(`plants ${damages} kinds of damage`), `${damages} kinds of damage`)
})

test('each guarantee of docs/reliability.md names a test that there is', () => {
  const page = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8')
  const rows = [...page.matchAll(/\| `([\w-]+)`: (.+?) +\|$/gm)]
  assert.ok(rows.length >= 70, String(rows.length))
  const missing = rows.filter(([, file = '', name = '']) => {
    const path = join(ROOT, `test/${file}.test.ts`)
    const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
    return !["'", '"', '`'].some((quote) => text.includes(quote + name + quote))
  })
  assert.deepEqual(
    missing.map(([row]) => row),
    [],
  )
})
