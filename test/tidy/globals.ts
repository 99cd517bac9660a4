import type { Node } from 'typescript/unstable/ast'
import { SyntaxKind } from 'typescript/unstable/ast'
import {
  isBinaryExpression,
  isCallExpression,
  isIdentifier,
  isNewExpression,
  isPropertyAccessExpression,
  isShorthandPropertyAssignment,
  isSpreadElement,
  isVariableStatement,
} from 'typescript/unstable/ast/is'
import { importsOf } from './imports.ts'
import { nodesOf, placeOf, type Parsed } from './tree.ts'

/**
 * What is global, or comes with Node.js, and lets the world in: the time, chance, the network, the
 * process. The linter knows them by one spelling each; here every use is one of these files', or it
 * is refused, however it is spelled.
 */
const WORLD: readonly (readonly [what: RegExp, files: RegExp, why: string])[] = [
  [/^new Date\(\)$|^Date\.now$/, /^src\/adapters\/clock\.ts$/, 'time comes from the clock'],
  [/^performance\b/, /^src\/adapters\/|^tools\//, "durations are the clock's"],
  [/^Math\.random$/, /^src\/process\/(?:worker|watches|webhooks)\.ts$/, 'chance is an argument'],
  [/^crypto\b/, /^$/, 'chance is an argument, and hashes are of node:crypto'],
  [/^AbortSignal\.timeout$/, /^src\/gateways\/http-charges\.ts$/, "waits are the clock's"],
  [/^fetch$/, /^src\/gateways\/http-charges\.ts$|^tools\//, 'calls leave through a port'],
  [/^(?:new )?(?:WebSocket|EventSource)\b/, /^$/, 'calls leave through a port'],
  [
    /^process\.(?:env|getBuiltinModule)$/,
    /^src\/config\/config\.ts$/,
    'settings are read in one place',
  ],
  [
    /^process\b/,
    /^src\/(?:main|config\/config)\.ts$|^src\/(?:process|adapters)\/|[/-]command\.ts$|^tools\//,
    'the process is that of the composition root, of commands and of adapters',
  ],
]

/** Globals that stand with the name of a member behind them, so that it can be read which. */
const BY_NAME = new Set(['AbortSignal', 'Date', 'JSON', 'Math', 'performance', 'process'])
const NAMES = new Set([...BY_NAME, 'crypto', 'fetch', 'WebSocket', 'EventSource'])

/** What of node:crypto is chance, and which files may take it. */
const CHANCE = /^(?:random|getRandom|webcrypto|generate|subtle|prime)/i
const DRAWS =
  /^src\/adapters\/|^src\/process\/(?:distribute|start|webhooks)\.ts$|^src\/http\/server\.ts$|^src\/keys\/(?:command|sessions)\.ts$|^src\/webhooks\/sealed-secrets\.ts$/
/** Modules of Node.js that are the globals by another name. */
const TWINS = /^(?:node:)?(?:process|timers|timers\/promises|module)$/
const LOADERS = /^src\/http\/docs-page\.ts$|^src\/adapters\/embedded-/

const product = ({ path }: Parsed) => path.startsWith('src/') || path.startsWith('tools/')

/** Uses of the world in files that have no business with it. */
export function worldly(files: readonly Parsed[]): string[] {
  return files.filter(product).flatMap((file) => [
    ...[...nodesOf(file.tree)].flatMap((node) => {
      const use = useOf(node, file)
      if (use === null) return []
      if (use === '') return [`${placeOf(file, node)} hands ${node.getText(file.tree)} on`]
      const rule = WORLD.find(([what, may]) => what.test(use) && !may.test(file.path))
      return rule === undefined ? [] : [`${placeOf(file, node)} uses ${use}: ${rule[2]}`]
    }),
    ...importsOf(file).flatMap(({ from, names, node }) => {
      const what = from.replace(/^node:/, '')
      const draws = what === 'crypto' && (names === null || names.some((name) => CHANCE.test(name)))
      if (draws && !DRAWS.test(file.path)) return [`${placeOf(file, node)} draws from ${from}`]
      const late = isCallExpression(node) && TWINS.test(from)
      if (late || (what === 'module' && !LOADERS.test(file.path))) {
        return [`${placeOf(file, node)} loads ${from}`]
      }
      return []
    }),
  ])
}

/** How a global is used; '': as a value, so nobody sees how; null: this is no use of one. */
function useOf(node: Node, { tree }: Parsed): string | null {
  if (!isIdentifier(node) || !NAMES.has(node.text)) return null
  const { parent } = node
  if (TYPES.has(parent.kind) || isNameOf(parent, node)) return null
  if (isPropertyAccessExpression(parent)) return parent.getText(tree)
  if (isBinaryExpression(parent)) {
    if (parent.operatorToken.kind === SyntaxKind.InstanceOfKeyword) return null
  } else if (isNewExpression(parent) && parent.expression === node) {
    const [given] = parent.arguments ?? []
    const dated = given !== undefined && !isSpreadElement(given)
    return node.text === 'Date' && dated ? null : `new ${node.text}()`
  }
  return BY_NAME.has(node.text) ? '' : node.text
}

const TYPES = new Set([
  SyntaxKind.TypeReference,
  SyntaxKind.ExpressionWithTypeArguments,
  SyntaxKind.QualifiedName,
  SyntaxKind.TypeQuery,
])

/** Whether a node only names something of the file's own: a member, a field, a parameter. */
function isNameOf(parent: Node, node: Node): boolean {
  if (isShorthandPropertyAssignment(parent)) return false
  const { name, propertyName } = parent as { name?: Node; propertyName?: Node }
  return name === node || propertyName === node
}

/** What is kept between two calls without an owner: variables of a file. */
export function kept(files: readonly Parsed[]): string[] {
  return files
    .filter(product)
    .flatMap((file) =>
      file.tree.statements
        .filter((node) => isVariableStatement(node) && !isConst(node.getText(file.tree)))
        .map((node) => `${placeOf(file, node)} keeps a variable for the whole process`),
    )
}

/** An empty collection is there to be filled. */
function isConst(text: string): boolean {
  const filled = /= new (?:Map|Set|WeakMap)(?:<[^]*>)?\(\)$/.test(text)
  return /^(?:export )?const /.test(text) && (!filled || /^[\w ]+: Readonly/.test(text))
}
