import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import type { Node } from 'typescript/unstable/ast'
import { SyntaxKind } from 'typescript/unstable/ast'
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isNamedExports,
  isNamedImports,
  isNoSubstitutionTemplateLiteral,
  isStringLiteral,
} from 'typescript/unstable/ast/is'
import { ROOT } from '../sources.ts'
import { literalsOf, nodesOf, placeOf, type Parsed } from './tree.ts'

/** What a file takes from another one, in whichever way. */
export interface Import {
  /** The path of a file, or the name of a package; `?`: known only when it runs. */
  readonly from: string
  /** What is taken by name; null: everything. */
  readonly names: readonly string[] | null
  readonly node: Node
}

/**
 * Everything that a file imports: by declarations, by `import(…)`, and by the types of others.
 */
export function importsOf(file: Parsed): Import[] {
  const found: Import[] = []
  const add = (node: Node, specifier: Node | undefined, names: readonly string[] | null): void => {
    if (specifier === undefined) return
    const plain = isStringLiteral(specifier) || isNoSubstitutionTemplateLiteral(specifier)
    const text = plain ? specifier.text : '?'
    const from = text.startsWith('.') ? join(dirname(file.path), text) : text
    found.push({ from, names, node })
  }
  for (const node of nodesOf(file.tree)) {
    if (isImportDeclaration(node)) add(node, node.moduleSpecifier, namesOf(node))
    else if (isExportDeclaration(node)) add(node, node.moduleSpecifier, namesOf(node))
    else if (isImportTypeNode(node)) {
      if (isLiteralTypeNode(node.argument)) add(node, node.argument.literal, null)
    } else if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], null)
    }
  }
  return found
}

/** The names behind `import` or `export`, as the other file calls them. */
function namesOf(node: Node): string[] | null {
  if (isExportDeclaration(node)) {
    const { exportClause } = node
    if (exportClause === undefined || !isNamedExports(exportClause)) return null
    return exportClause.elements.map(({ propertyName, name }) => (propertyName ?? name).text)
  }
  if (!isImportDeclaration(node)) return null
  const bindings = node.importClause?.namedBindings
  if (bindings === undefined) return []
  if (!isNamedImports(bindings)) return null
  return bindings.elements.map(({ propertyName, name }) => (propertyName ?? name).text)
}

/**
 * Every folder of the product, and every file beside them, in order: each knows only those in front
 * of it, and none knows itself through them. From `ledger` to `overview` they are features.
 */
export const ORDER = `
  domain ports each-shard config adapters http queue gateways keys metrics presence verify
  mock-gateway ledger export events users payments operators dead-letters refunds charging
  webhooks runs timeline search overview process main`
  .trim()
  .split(/\s+/)

/** Where a path of the product stands in the order; -1: nowhere. */
function orderOf(path: string): number {
  return ORDER.indexOf(/^src\/([\w-]+)/.exec(path)?.[1] ?? '')
}

/** Files that import what stands behind them, or have no place. */
export function backwards(files: readonly Parsed[]): string[] {
  return files
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap((file) => {
      const place = orderOf(file.path)
      if (place < 0) return [`${file.path} has no place in the order`]
      return importsOf(file)
        .filter(({ from }) => orderOf(from) > place)
        .map(({ from, node }) => `${placeOf(file, node)} imports ${from}, which stands behind it`)
    })
}

/**
 * Import rules, the first that matches a file; a target is a path of ours or the name of a package.
 */
const RULES: readonly (readonly [files: RegExp, may: RegExp, who: string])[] = [
  [/^sdk\/\w+\/src\/file-keys\.ts$/, /^OWN\/|^node:fs\/promises$/, 'the SDK has no dependencies'],
  [
    /^sdk\/\w+\/src\/runtime\.ts$/,
    /^OWN\/|^\?$/,
    'the SDK asks a runtime for what it may not have, by names that bundlers do not follow',
  ],
  [/^sdk\//, /^OWN\//, 'the SDK has no dependencies, and runs where there is no Node.js'],
  [
    /^tools\//,
    /^OWN\/|^tools\/\w+\.ts$|^src\/(domain|adapters|config)\/|^src\/ports|^src\/process\/command-line|^(?!fastify|src\/)[\w:-]/,
    'a tool drives the service from outside',
  ],
  [/[/-]command\.ts$/, /^src\/|^commander$|^node:/, 'a command knows the product, and no driver'],
  [
    /^src\/main\.ts$|^src\/process\//,
    /^src\/|^commander$|^fastify$|^pino$|^node:/,
    'the composition root puts the product together, and leaves drivers to adapters',
  ],
  [/^src\/domain\//, /^src\/domain\/|^node:(assert|crypto)$/, 'the domain is pure'],
  [/^src\/ports\.ts$/, /^src\/domain\//, 'ports know the domain'],
  [/^src\/each-shard\.ts$/, /^src\/ports/, 'shards are gone through for everybody'],
  [/^src\/config\//, /^src\/(config|domain)\/|^typebox|^node:/, 'configuration'],
  [
    /^src\/adapters\//,
    /^src\/(adapters|domain)\/|^src\/(ports|each-shard)|^src\/config\/config|^(?!fastify|src\/)[\w:-]/,
    'adapters know the domain and the ports',
  ],
  [
    /^src\/gateways\//,
    /^src\/(gateways|domain)\/|^src\/ports|^node:|^undici$/,
    'gateways know no feature',
  ],
  [
    /^src\/queue\//,
    /^src\/(queue|domain)\/|^src\/(ports|each-shard)/,
    'the queue knows no feature',
  ],
  [
    /^src\/(payments|refunds)\/api\.ts$/,
    /^src\/domain\/|^src\/http\/(answer|idempotency|paths)\.ts$|^src\/payments\/api\.ts$/,
    'what a payment is answered with depends on no server',
  ],
  [
    /^src\/http\/(answer|idempotency|paths)\.ts$/,
    /^src\/domain\/|^node:http$/,
    'what is answered depends on no server',
  ],
  [
    /^src\/http\//,
    /^src\/(domain|http)\/|^src\/ports|^@?fastify|^typebox|^node:/,
    'http knows no feature',
  ],
  [/store\.ts$/, /^src\/domain\/|^src\/ports|^OWN\//, 'a store knows the domain and the ports'],
  [
    /routes\.ts$|[/-]bodies\.ts$|\/webhook-document\.ts$/,
    /^src\/(domain|http)\/|^src\/ports|^OWN\/|^@?fastify|^typebox/,
    'routes are thin',
  ],
  [
    /^src\/mock-gateway\/journal\.ts$/,
    /^src\/(domain|mock-gateway)\/|^node:(assert|fs|path)$/,
    'the journal of the mock gateway is a file',
  ],
  [
    /^src\//,
    /^src\/(?!adapters|http|config|main|process|gateways\/http)|^node:(assert|crypto)$/,
    'an operation knows no driver',
  ],
]

/** What breaks a rule for a reason, name by name; the reason is why it is not a mistake. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/payments/store.ts imports PAYMENT_SHOWN of src/events/write-store.ts': 'see the next',
  'src/payments/store.ts imports paymentEvents of src/events/write-store.ts':
    'the statement that changes payments writes their events, or one could be without the other',
  'src/payments/back-store.ts imports paymentEvents of src/events/write-store.ts':
    'the statement that gives back writes the events of it',
  'src/dead-letters/store.ts imports LETTER_SHOWN of src/events/write-store.ts': 'see the next',
  'src/dead-letters/store.ts imports letterEvents of src/events/write-store.ts':
    'the statement that changes letters writes their events',
  'src/users/routes.ts imports postingsOfUser of src/ledger/store.ts':
    "a user's transactions are ledger entries, read and shown with nothing to decide in between",
  'src/users/routes.ts imports Posting of src/ledger/store.ts': 'they are shown',
  'src/runs/routes.ts imports DeadLetterBody of src/dead-letters/bodies.ts':
    'a redrive of many shows its letters as the routes of dead letters do',
  'src/runs/routes.ts imports letterBody of src/dead-letters/bodies.ts': 'they are shown',
  'src/runs/routes.ts imports LetterClass of src/dead-letters/bodies.ts': 'they are chosen by it',
  'src/runs/routes.ts imports ActWorld of src/dead-letters/letter-act.ts': 'it is handed on',
  'src/runs/routes.ts imports DeadLetter of src/dead-letters/store.ts': 'they are shown',
  'src/runs/routes.ts imports RedriveFilter of src/dead-letters/store.ts': 'it is handed on',
  'src/runs/replay-routes.ts imports ReplayFilterBody of src/webhooks/replay-plan-bodies.ts':
    'a dry run is shown here and where an endpoint is enabled',
  'src/runs/replay-routes.ts imports replayPlanBody of src/webhooks/replay-plan-bodies.ts':
    'see above',
  'src/runs/replay-routes.ts imports ReplayPlanBody of src/webhooks/replay-plan-bodies.ts':
    'see above',
  'src/runs/replay-routes.ts imports readEndpoint of src/webhooks/store.ts': 'it is handed on',
  'src/runs/replay-routes.ts imports Endpoint of src/webhooks/store.ts': 'it is handed on',
  'src/search/routes.ts imports DeadLetterBody of src/dead-letters/bodies.ts':
    'what is found is shown as the routes of its feature do',
  'src/search/routes.ts imports letterBody of src/dead-letters/bodies.ts': 'they are shown',
  'src/search/routes.ts imports PaymentBody of src/payments/routes.ts': 'see above',
  'src/search/routes.ts imports paymentBody of src/payments/routes.ts': 'they are shown',
  'src/search/routes.ts imports UserBody of src/users/routes.ts': 'see above',
  'src/search/routes.ts imports userBody of src/users/routes.ts': 'they are shown',
}

/** The two folders at the root of a path: `src/payments`, `tools/load`. */
function roomOf(path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

/** Imports that the file's rule does not allow, and exceptions that nothing needs any more. */
export function outwards(files: readonly Parsed[]): { broken: string[]; stale: string[] } {
  const broken = files.flatMap((file) => {
    const [, may, who] = RULES.find(([paths]) => paths.test(file.path)) ?? [/./, /./, '']
    return importsOf(file)
      .filter(({ from }) => {
        const own = from.includes('/') && roomOf(from) === roomOf(file.path)
        return !may.test(from) && !may.test(own ? from.replace(/^\w+\/[^/]+/, 'OWN') : from)
      })
      .flatMap(({ from, names }) => (names ?? ['*']).map((name) => ({ from, name, file, who })))
  })
  const needed = new Set<string>()
  const left = broken.filter(({ from, name, file: { path } }) => {
    const excuse = `${path} imports ${name} of ${from}`
    if (!(excuse in EXCEPTIONS)) return true
    needed.add(excuse)
    return false
  })
  return {
    broken: left.map(({ from, file, who }) => `${file.path} imports ${from}, but ${who}`),
    stale: Object.keys(EXCEPTIONS).filter((excuse) => !needed.has(excuse)),
  }
}

/** Programs that are started by name: from them everything else is reached. */
const ROOTS =
  /^(src|bench|tools\/\w+)\/main\.ts$|^console\/main\.tsx$|^sdk\/\w+\/src\/(index|file-keys)\.ts$|\.test\.ts$|^test\/compatibility\/record\.ts$/
/** What a person or a machine starts by a path that one of these files says. */
const SAYS = ['package.json', '.ci/run', 'CONTRIBUTING.md', 'bench/README.md']

/** Files that no program reaches, nor any test: the product's are not reached by tests. */
export function unreached(files: readonly Parsed[]): string[] {
  const said = SAYS.map((name) => readFileSync(join(ROOT, name), 'utf8')).join('\n')
  const isRoot = ({ path }: Parsed) => ROOTS.test(path) || said.includes(path)
  const isShipped = ({ path }: Parsed) => /^(src|console|tools|sdk)\//.test(path)
  const shipped = files.filter(isShipped)
  const [own, reached] = [reachedFrom(shipped, isRoot), reachedFrom(files, isRoot)]
  return files
    .filter((file) => !(isShipped(file) ? own : reached).has(file.path))
    .map(({ path }) => `${path} is reached from no program`)
}

function reachedFrom(files: readonly Parsed[], isRoot: (file: Parsed) => boolean): Set<string> {
  const ours = new Map(files.map((file) => [file.path, file]))
  const reached = new Set<string>()
  const open = files.filter(isRoot).map(({ path }) => path)
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const file = ours.get(path)
    if (file === undefined || reached.has(path)) continue
    reached.add(path)
    open.push(...importsOf(file).map(({ from }) => from))
    // Run as a process of its own: named all the same, by its path from
    // here, from the root, or from the folder there.
    // What the rules name are violations.
    for (const { text } of path.startsWith('test/tidy/') ? [] : literalsOf(file)) {
      const named = /^[\w./-]+\.m?[jt]s$/.exec(text)?.[0]
      if (named === undefined) continue
      const ending = named.replace(/\.js$/, '.ts')
      const folder = path.split('/', 1)[0] ?? ''
      open.push(join(dirname(path), ending), join(ending), join(folder, ending))
    }
  }
  return reached
}
