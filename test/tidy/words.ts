import { isCallExpression, isClassDeclaration, isClassExpression } from 'typescript/unstable/ast/is'
import { isBinaryExpression, isIdentifier, isNumericLiteral } from 'typescript/unstable/ast/is'
import {
  isFunctionDeclaration,
  isInterfaceDeclaration,
  isPrefixUnaryExpression,
  isPropertyAccessExpression,
} from 'typescript/unstable/ast/is'
import { SyntaxKind, type ClassLikeDeclaration, type Node } from 'typescript/unstable/ast'
import { isStatement } from './tables.ts'
import { literalsOf, nodesOf, placeOf, type Parsed } from './tree.ts'

const product = ({ path }: Parsed) => /^(src|console|tools)\//.test(path)

const STORES =
  /store\.ts$|^src\/adapters\/(backup|citus(?:-held|-parts|-places)?|migrate|old-ids|reshard(?:-source|-tables)?|postgres|primary|connection-check|app-role|hung-backends|id-blocks|id-ranges(?:-given|-keys|-read)?|shard-session|embedded-\w+)\.ts$/

/** SQL lives in stores; adapters speak to their own database. */
export function strayStatements(files: readonly Parsed[]): string[] {
  return files
    .filter((file) => product(file) && !STORES.test(file.path))
    .flatMap((file) =>
      literalsOf(file)
        .filter(({ text }) => isStatement(text))
        .map(({ node }) => `${placeOf(file, node)} is SQL`),
    )
}

/** It runs anywhere. */
export function machinePaths(files: readonly Parsed[]): string[] {
  return files.filter(product).flatMap((file) =>
    literalsOf(file)
      .filter(({ text }) => /^(\/home\/|\/Users\/|\/work\/|\/root\/|[A-Z]:\\)/.test(text))
      .map(({ node }) => `${placeOf(file, node)} names a path of one machine`),
  )
}

/** Made for each call of a gateway, for a library that asks for classes: not nine closures. */
const OBJECTS = 'src/gateways/http-exchange.ts'

/** Functions that return objects, not classes; an error has to be one. */
export function classes(files: readonly Parsed[]): string[] {
  const all = files
    .filter(product)
    .flatMap((file) =>
      [...nodesOf(file.tree)]
        .filter((node) => isClassDeclaration(node) || isClassExpression(node))
        .map((node) => ({ file, node, base: baseOf(node) })),
    )
  const errors = new Set(['Error'])
  // An error may be one of another that stands behind it.
  for (let known = 0; known < errors.size;) {
    known = errors.size
    for (const { node, base } of all) if (errors.has(base)) errors.add(node.name?.text ?? '')
  }
  return all
    .filter(({ file, base }) => !errors.has(base) && file.path !== OBJECTS)
    .map(({ file, node }) => `${placeOf(file, node)} is a class`)
}

function baseOf(node: ClassLikeDeclaration): string {
  const clauses = node.heritageClauses ?? []
  const base = clauses.find(({ token }) => token === SyntaxKind.ExtendsKeyword)?.types[0]
    ?.expression
  return base !== undefined && isIdentifier(base) ? base.text : ''
}

/** Ends of names that say nothing about what a thing does; and what marks a kind of thing. */
const EMPTY = /(?:Manager|Helpers?|Utils?|Impl|D[Tt][Oo]|Singleton)$/
const EMPTY_PATH =
  /(?:^|\/)(?:utils?|helpers?|common|misc|services|models|dtos|types|own|found|data)(?:\/|\.)/
/** What no function of the product is called: it is said of everything. */
const SAID_OF_ALL = /^(?:own|found|data|info|thing|stuff)$/

/** What is declared under a name that says nothing, files and folders included. */
export function emptyNames(files: readonly Parsed[]): string[] {
  return files.flatMap((file) => [
    ...(EMPTY_PATH.test(file.path) ? [`${file.path} has a name that says nothing`] : []),
    ...[...nodesOf(file.tree)].flatMap((node) => {
      const { name } = node as { name?: Node }
      if (name === undefined || !isIdentifier(name) || isPropertyAccessExpression(node)) return []
      const marked = isInterfaceDeclaration(node) && /^I[A-Z][a-z]/.test(name.text)
      const vague =
        (name.text === 'own' && file.path.startsWith('src/')) ||
        (isFunctionDeclaration(node) && product(file) && SAID_OF_ALL.test(name.text))
      const empty = marked || vague || EMPTY.test(name.text)
      return empty ? [`${placeOf(file, name)} calls something ${name.text}`] : []
    }),
  ])
}

const MONEY = /amount|minor|balance|available|held|fees|commission/i
/** Only a gauge is a float by nature, and a load that is made up. */
const FLOATS = /^src\/adapters\/prometheus-gauges\.ts$|^tools\/load\/traffic\.ts$/

/** Amounts leave as the text of their minor units. */
export function floatsOfMoney(files: readonly Parsed[]): string[] {
  return files
    .filter((file) => product(file) && !FLOATS.test(file.path))
    .flatMap((file) =>
      [...nodesOf(file.tree)]
        .filter((node) => isFloatOfMoney(node, (of) => of?.getText(file.tree) ?? ''))
        .map((node) => `${placeOf(file, node)} makes a float of money`),
    )
}

const SCALES = new Set([SyntaxKind.SlashToken, SyntaxKind.AsteriskToken])

function isFloatOfMoney(node: Node, textOf: (node: Node | undefined) => string): boolean {
  if (isPrefixUnaryExpression(node)) {
    return node.operator === SyntaxKind.PlusToken && MONEY.test(textOf(node.operand))
  }
  if (isBinaryExpression(node)) {
    const { operatorToken, left, right } = node
    if (!SCALES.has(operatorToken.kind)) return false
    const parts = operatorToken.kind === SyntaxKind.SlashToken ? [100] : [0.01]
    return [left, right].some(
      (side, at) =>
        isNumericLiteral(side) &&
        (parts.includes(Number(side.text)) || MONEY.test(textOf(at === 0 ? right : left))),
    )
  }
  if (!isCallExpression(node)) return false
  const called = textOf(node.expression)
  if (/\bparseFloat$/.test(called)) return true
  const given = textOf(node.arguments[0])
  return called === 'Number' && !given.includes('(') && MONEY.test(given)
}

/** Words to the linter and the compiler, in comments. */
const SILENCED = /(?:ox|es)lint-(?:disable|enable)|@ts-(?:nocheck|ignore)/
/** It plants them. */
const PLANTS = /^test\/tidy\//

/** What a rule refuses is changed, or `.oxlintrc.json` says why not: no file says it for itself. */
export function silenced(files: readonly Parsed[]): string[] {
  return files
    .filter(({ path, text }) => SILENCED.test(text) && !PLANTS.test(path))
    .map(({ path }) => `${path} silences a rule`)
}

const { IfStatement, ForStatement, ForOfStatement, ForInStatement, WhileStatement } = SyntaxKind
const { DoStatement, ConditionalExpression, CaseClause, CatchClause } = SyntaxKind
const LOOPS = [ForStatement, ForOfStatement, ForInStatement, WhileStatement, DoStatement]
const BRANCHES = new Set([IfStatement, ConditionalExpression, CaseClause, CatchClause, ...LOOPS])

const { ArrowFunction, FunctionDeclaration, FunctionExpression } = SyntaxKind
const { MethodDeclaration, Constructor, GetAccessor } = SyntaxKind
const FUNCTIONS = new Set([
  ArrowFunction,
  FunctionDeclaration,
  FunctionExpression,
  MethodDeclaration,
  Constructor,
  GetAccessor,
])
/** What the linter allows a function. */
const BRANCHES_MAX = 15

/** Files with too many ways through what they do when they are loaded. */
export function branching(files: readonly Parsed[]): string[] {
  const count = (node: Node): number => {
    let branches = BRANCHES.has(node.kind) ? 1 : 0
    node.forEachChild((child) => {
      if (!FUNCTIONS.has(child.kind)) branches += count(child)
    })
    return branches
  }
  return files.flatMap(({ path, tree }) => {
    const branches = count(tree)
    return branches >= BRANCHES_MAX ? [`${path} has ${branches} branches outside functions`] : []
  })
}
