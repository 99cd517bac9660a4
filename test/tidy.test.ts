import assert from 'node:assert/strict'
import { dirname, join } from 'node:path/posix'
import { test } from 'node:test'
import { sources } from './sources.ts'

const FILES = [...sources('src'), ...sources('tools')]
const LINES_OF_FILE_MAX = 400
const LINES_OF_FUNCTION_MAX = 70

/**
 * The features in order: each knows only those in front of it, and none knows itself through them.
 */
const CHAIN = [
  'ledger',
  'users',
  'payments',
  'dead-letters',
  'charging',
  'runs',
  'timeline',
] as const

const FEATURE = new RegExp(`^src/(${CHAIN.join('|')})/`)

/** Where a feature stands in the chain; -1: it is none. */
function placeOf(path: string): number {
  const [, name] = FEATURE.exec(path) ?? []
  return CHAIN.findIndex((feature) => feature === name)
}

/**
 * Import rules, the first that matches a file; a target is a path in src or the name of a package.
 */
const RULES: readonly (readonly [files: RegExp, may: RegExp, who: string])[] = [
  [
    /^tools\//,
    /^OWN\/|^tools\/\w+\.ts$|^src\/(domain|adapters|config)\/|^src\/ports|^src\/process\/program|^(?!fastify|src\/)[\w:-]/,
    'a tool drives the service from outside',
  ],
  [
    /^src\/main\.ts$|^src\/process\/|\/command\.ts$/,
    /^(?!tools\/)/,
    'the composition root and commands may import everything but tools',
  ],
  [/^src\/domain\//, /^src\/domain\/|^node:(assert|crypto)$/, 'the domain is pure'],
  [/^src\/ports\.ts$/, /^src\/domain\//, 'ports know the domain'],
  [/^src\/shards\.ts$/, /^src\/ports/, 'shards are gone through for everybody'],
  [/^src\/config\//, /^src\/(config|domain)\/|^typebox|^node:/, 'configuration'],
  [
    /^src\/adapters\//,
    /^src\/(adapters|domain)\/|^src\/ports|^src\/config\/config|^(?!fastify)[\w:-]/,
    'adapters',
  ],
  [
    /^src\/gateways\//,
    /^src\/(gateways|domain)\/|^src\/ports|^node:|^undici$/,
    'gateways know no feature',
  ],
  [/^src\/queue\//, /^src\/(queue|domain)\/|^src\/ports/, 'the queue knows no feature'],
  [
    /^src\/http\//,
    /^src\/(domain|http)\/|^src\/ports|^@?fastify|^typebox|^node:/,
    'http knows no feature',
  ],
  [/store\.ts$/, /^src\/domain\/|^src\/ports|^OWN\//, 'a store knows the domain and the ports'],
  [
    /routes\.ts$|\/bodies\.ts$/,
    /^src\/(domain|http)\/|^src\/ports|^OWN\/|^@?fastify|^typebox/,
    'routes are thin',
  ],
  [
    /./,
    /^src\/(?!adapters|http|config|main|process|gateways\/http)|^node:(assert|crypto|fs)$/,
    'an operation knows no driver',
  ],
]

/** What breaks a rule for a reason; the reason is why it is not a mistake. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/users/routes.ts imports src/ledger/store.ts':
    "a user's transactions are ledger entries, read and shown with nothing to decide in between",
  'src/runs/routes.ts imports src/dead-letters/':
    'a redrive of many shows its letters as the routes of dead letters do',
}

interface Import {
  /** A path in src, or the name of a package. */
  readonly resolved: string
  /** The same, with OWN for the file's own feature. */
  readonly target: string
}

/** The two folders at the root of a path: `src/payments`, `tools/load`. */
function roomOf(path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

function imports(path: string, text: string): Import[] {
  const found = text.matchAll(/^(?:import|export)(?: type)?\s+(?:[{*\w][^'"`]*?from )?'([^']+)'/gm)
  return [...found].map(([, from = '']) => {
    if (!from.startsWith('.')) return { target: from, resolved: from }
    const resolved = join(dirname(path), from)
    const own = roomOf(resolved) === roomOf(path)
    return { target: own ? resolved.replace(/^\w+\/[^/]+/, 'OWN') : resolved, resolved }
  })
}

test('dependencies point inward: every import is allowed to its file', () => {
  const broken = FILES.flatMap(({ path, text }) => {
    const [, may, who] = RULES.find(([files]) => files.test(path)) ?? [/./, /./, '']
    return imports(path, text)
      .filter(({ target, resolved }) => !may.test(target) && !may.test(resolved))
      .map(({ resolved }) => `${path} imports ${resolved}, but ${who}`)
  })
  const excused = Object.keys(EXCEPTIONS)
  const surprising = broken.filter((line) => !excused.some((excuse) => line.startsWith(excuse)))
  assert.deepEqual(surprising, [])
  const stale = excused.filter((excuse) => !broken.some((line) => line.startsWith(excuse)))
  assert.deepEqual(stale, [], 'exceptions that nothing needs any more')
})

test('features form a chain: each imports only those in front of it', () => {
  const broken = FILES.flatMap(({ path, text }) =>
    imports(path, text)
      .filter(({ resolved }) => FEATURE.test(path) && placeOf(resolved) > placeOf(path))
      .map(({ resolved }) => `${path} imports ${resolved}`),
  )
  assert.deepEqual(broken, [])
  for (const feature of CHAIN) {
    assert.ok(
      FILES.some(({ path }) => path.startsWith(`src/${feature}/`)),
      feature,
    )
  }
})

test('no file imports itself, however far around, not even for a type', () => {
  const graph = new Map(
    FILES.map(({ path, text }) => [path, imports(path, text).map(({ resolved }) => resolved)]),
  )
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), [...trail, path].join(' -> '))
    if (done.has(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
})

/**
 * Decisions that stand here before the feature that takes them: what goes back to whom, and what
 * belongs to a payment. A file that is reached leaves the list.
 */
const AHEAD = [
  'src/domain/card.ts',
  'src/domain/details.ts',
  'src/domain/refund.ts',
  'src/domain/returns.ts',
  'src/domain/sent.ts',
]

test('every file is reached from a main.ts: nothing is dead', () => {
  const reached = new Set<string>()
  const open = FILES.map(({ path }) => path).filter((path) => path.endsWith('/main.ts'))
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const text = FILES.find((file) => file.path === path)?.text
    if (text === undefined || reached.has(path)) continue
    reached.add(path)
    // Loaded late, or run as a process of its own: named all the same.
    const named = [...text.matchAll(/'(\.{1,2}\/[\w/-]+)\.[jt]s'/g)].map(([, from = '']) => from)
    open.push(...named.map((from) => `${join(dirname(path), from)}.ts`))
    open.push(...imports(path, text).map(({ resolved }) => resolved))
  }
  assert.deepEqual(
    FILES.map(({ path }) => path).filter((path) => !reached.has(path)),
    AHEAD,
  )
})

test(`no file has more than ${LINES_OF_FILE_MAX} lines`, () => {
  const long = FILES.map(({ path, text }) => [path, text.split('\n').length - 1] as const)
  assert.deepEqual(
    long.filter(([, lines]) => lines > LINES_OF_FILE_MAX),
    [],
  )
})

/** Functions by their layout: from the line that opens one to the brace at the same indentation. */
function functions(text: string): { line: number; length: number }[] {
  const lines = text.split('\n')
  const opens =
    /^( *)(?:export )?(?:(?:async )?function\b.*|.*(?:=>|\)(?:: .+)?)) \{$|^( *)\)(?:: .+)? (?:=> )?\{$/
  return lines.flatMap((line, index) => {
    const match = opens.exec(line)
    if (match === null || /^\s*(if|for|while|switch|\}|test\()/.test(line)) return []
    const indent = match[1] ?? match[2] ?? ''
    const end = lines.findIndex((other, at) => at > index && other.startsWith(`${indent}}`))
    return end < 0 ? [] : [{ line: index + 1, length: end - index + 1 }]
  })
}

test(`no function has more than ${LINES_OF_FUNCTION_MAX} lines`, () => {
  const all = FILES.flatMap(({ path, text }) => functions(text).map((one) => ({ path, ...one })))
  assert.ok(all.length > 300, `${all.length} functions`)
  assert.deepEqual(
    all.filter(({ length }) => length > LINES_OF_FUNCTION_MAX),
    [],
  )
})

/** Texts that stand only where they are allowed, with why. Comments do not count. */
const BANNED: readonly (readonly [name: string, text: RegExp, allowed: RegExp, why: string])[] = [
  ['Date.now', /\bDate\.now\b/, /adapters\/clock\.ts$/, 'time comes from the clock'],
  [
    'new Date()',
    /\bnew Date\(\)/,
    /adapters\/clock\.ts$|tools\/load\//,
    'time comes from the clock',
  ],
  [
    'performance.now',
    /\bperformance\.now\b/,
    /src\/adapters\/|tools\/load\//,
    'durations come from the clock',
  ],
  ['Math.random', /\bMath\.random\b/, /src\/main\.ts$|src\/process\//, 'chance is an argument'],
  [
    'process.env',
    /\bprocess\.env\b/,
    /src\/config\/config\.ts$/,
    'configuration is read in one place',
  ],
  ['any', /(?::|\bas|<|,) ?any\b/, /^$/, 'a type that is checked says more'],
  ['@ts-', /@ts-(ignore|expect-error|nocheck)/, /^$/, 'the compiler is listened to'],
  ['default export', /^export default\b/m, /^$/, 'an export has one name'],
  ['to do', /\b(TODO|FIXME|HACK|XXX)\b/, /^$/, 'what is to be done is an issue'],
  [
    'SQL',
    /^\s*(?:select|insert into|update|delete from|with) /m,
    /store\.ts$|adapters\/(migrate|sessions|embedded-\w+)\.ts$/,
    'SQL lives in stores',
  ],
  [
    'a path of one machine',
    /['"`](\/home\/|\/Users\/|\/work\/|\/root\/|[A-Z]:\\)/,
    /^$/,
    'it runs anywhere',
  ],
  [
    'a float made of money',
    /\bNumber\([^()]*(?:amount|minor|balance|available|held|fees|commission)|\/ 100\b(?!n)/i,
    /adapters\/gauges\.ts$|tools\/load\/traffic\.ts$/,
    'amounts leave as the text of their minor units; only a gauge is a float by nature',
  ],
  [
    'JSON.stringify',
    /\bJSON\.stringify\b/,
    /domain\/json\.ts$|store\.ts$|tools\/|src\/(keys|config)\/|adapters\/(log|unsettled)\.ts$|mock-gateway\/(journal|server)\.ts$|http\/schemas\.ts$|verify\/command\.ts$/,
    'writeJson writes what may hold an amount',
  ],
  ['console.', /\bconsole\.(log|error|warn|info)\b/, /^$/, 'events go to the log'],
]

for (const [name, pattern, allowed, why] of BANNED) {
  test(`${name} stands only where it is allowed: ${why}`, () => {
    const found = FILES.filter(({ path, text }) => {
      const code = text.replace(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
      return pattern.test(name === 'to do' || name === '@ts-' ? text : code) && !allowed.test(path)
    })
    assert.deepEqual(
      found.map(({ path }) => path),
      [],
    )
  })
}
