import { join } from 'node:path/posix'
import type { Node } from 'typescript/unstable/ast'
import { SyntaxKind } from 'typescript/unstable/ast'
import {
  isArrayBindingPattern,
  isExportDeclaration,
  isIdentifier,
  isNamedExports,
  isObjectBindingPattern,
  isVariableStatement,
} from 'typescript/unstable/ast/is'
import { importsOf } from './imports.ts'
import { nodesOf, placeOf, type Parsed } from './tree.ts'

interface Export {
  readonly name: string
  readonly node: Node
}

function exportsOf({ tree }: Parsed): Export[] {
  return tree.statements.flatMap((node) => {
    if (isExportDeclaration(node)) {
      const { exportClause: list } = node
      if (list === undefined || !isNamedExports(list)) return []
      return list.elements.map(({ name }) => ({ name: name.text, node }))
    }
    const { modifiers } = node as { modifiers?: readonly Node[] }
    if (!modifiers?.some(({ kind }) => kind === SyntaxKind.ExportKeyword)) return []
    const declared = isVariableStatement(node) ? node.declarationList.declarations : [node]
    return declared.flatMap((one) => namesIn(one).map((name) => ({ name, node })))
  })
}

/** What a declaration calls what it declares; several names where it takes something apart. */
function namesIn(declared: Node): string[] {
  const { name } = declared as { name?: Node }
  if (name === undefined) return []
  if (isIdentifier(name)) return [name.text]
  if (!isObjectBindingPattern(name) && !isArrayBindingPattern(name)) return []
  return name.elements.flatMap(namesIn)
}

/** Who takes what: `file name`, and `file *` for everything; `export *` takes nothing. */
function takenBy(files: readonly Parsed[]): Set<string> {
  return new Set(
    files.flatMap((file) =>
      importsOf(file).flatMap(({ from, names, node }) => {
        if (isExportDeclaration(node) && names === null) return []
        const path = join(from.replace(/\.js$/, '.ts'))
        return names === null ? [`${path} *`] : names.map((name) => `${path} ${name}`)
      }),
    ),
  )
}

/** What programs of others import. */
const ENTRIES = new RegExp(
  String.raw`^sdk/\w+/src/(index|file-keys|amounts|webhooks|` +
    String.raw`answers|endpoints|events|problems|requests)\.ts$`,
)

/** The product, its tools and its SDK. */
function isChecked(path: string): boolean {
  return /^(src|console|tools|sdk)\//.test(path) && !ENTRIES.test(path)
}

/** Exports of the product and its tools that no other file imports. */
export function deadExports(files: readonly Parsed[]): string[] {
  const taken = takenBy(files)
  return files
    .filter(({ path }) => isChecked(path) && !taken.has(`${path} *`))
    .flatMap((file) =>
      exportsOf(file)
        .filter(({ name }) => !taken.has(`${file.path} ${name}`))
        .map(({ name, node }) => `${placeOf(file, node)} exports ${name}, which nobody imports`),
    )
}

/** What only tests use of the product: it is shipped for nobody. */
export function usedByTestsAlone(files: readonly Parsed[]): string[] {
  const taken = takenBy(files.filter(({ path }) => !path.startsWith('test/')))
  return files
    .filter(({ path }) => isChecked(path) && !taken.has(`${path} *`))
    .flatMap((file) => {
      const words = new Map<string, number>()
      for (const node of nodesOf(file.tree)) {
        if (isIdentifier(node)) words.set(node.text, (words.get(node.text) ?? 0) + 1)
      }
      return exportsOf(file)
        .filter(({ name }) => !taken.has(`${file.path} ${name}`) && words.get(name) === 1)
        .map(({ name, node }) => `${placeOf(file, node)} exports ${name} for tests alone`)
    })
}

/** The gateways that are played speak in the words of their own contracts. */
const APART = /^src\/mock-gateway\//

/** Names that more than one file of the product exports: where they lead nobody can tell. */
export function namedTwice(files: readonly Parsed[]): string[] {
  const first = new Map<string, string>()
  return files
    .filter(({ path }) => path.startsWith('src/') && !APART.test(path))
    .flatMap((file) =>
      exportsOf(file).flatMap(({ name, node }) => {
        // Handed on, and the same thing.
        if (isExportDeclaration(node)) return []
        const other = first.get(name) ?? file.path
        first.set(name, other)
        const place = placeOf(file, node)
        return other === file.path ? [] : [`${place} exports ${name}, as ${other} does`]
      }),
    )
}
