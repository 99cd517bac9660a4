import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import { join } from 'node:path/posix'
import type { Node, SourceFile } from 'typescript/unstable/ast'
import { isStringLiteral, isTemplateExpression } from 'typescript/unstable/ast/is'
import { isNoSubstitutionTemplateLiteral } from 'typescript/unstable/ast/is'
import { API } from 'typescript/unstable/sync'

/** A TypeScript file as its parser reads it; the path is from the root, with slashes. */
export interface Parsed {
  readonly path: string
  readonly text: string
  readonly tree: SourceFile
}

/** Every file that the projects at `root` have by their tsconfig.json, in order of its path. */
export function parse(root: string): readonly Parsed[] {
  const configs = ['tsconfig.json', 'console/tsconfig.json'].map((name) => join(root, name))
  const found = configs.filter((config) => existsSync(config)).flatMap((one) => read(root, one))
  const files = new Map(found.map((file) => [file.path, file]))
  return [...files.values()].toSorted((one, other) => (one.path < other.path ? -1 : 1))
}

function read(root: string, config: string): readonly Parsed[] {
  const api = new API({ cwd: root })
  try {
    const { program } = api.updateSnapshot({ openProjects: [config] }).getProjects()[0] ?? {}
    if (program === undefined) throw new Error(`no project in ${config}`)
    const paths = program.getSourceFileNames().filter((name) => !name.includes('/node_modules/'))
    return paths.flatMap((name) => {
      const tree = program.getSourceFile(name)
      const path = relative(root, name).replaceAll('\\', '/')
      return tree === undefined || path.startsWith('..') ? [] : [{ path, text: tree.text, tree }]
    })
  } finally {
    api.close()
  }
}

/** Every node of a tree, parents first. */
export function* nodesOf(node: Node): Generator<Node> {
  yield node
  const children: Node[] = []
  node.forEachChild((child) => void children.push(child))
  for (const child of children) yield* nodesOf(child)
}

/** Where a node stands, as an editor finds it. */
export function placeOf({ path, tree }: Parsed, node: Node): string {
  const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
  return `${path}:${line + 1}`
}

/** A text in the code: of quotes, or a template with `…` for what it does not know yet. */
export interface Literal {
  readonly node: Node
  readonly text: string
}

export function literalsOf({ tree }: Parsed): Literal[] {
  return [...nodesOf(tree)].flatMap((node): Literal[] => {
    if (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)) {
      return [{ node, text: node.text }]
    }
    if (!isTemplateExpression(node)) return []
    const spans = node.templateSpans.map((span) => span.literal.text)
    return [{ node, text: [node.head.text, ...spans].join('…') }]
  })
}
