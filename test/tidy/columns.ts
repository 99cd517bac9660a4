import type { Node } from 'typescript/unstable/ast'
import {
  isNoSubstitutionTemplateLiteral,
  isRegularExpressionLiteral,
  isStringLiteral,
  isTemplateExpression,
} from 'typescript/unstable/ast/is'
import type { Source } from '../sources.ts'
import { isSql } from './sql.ts'
import { nodesOf, type Parsed } from './tree.ts'

/** The most columns of a line, for whatever prettier does not wrap as for code. */
export const COLUMNS_MAX = 100

/**
 * Texts so long may make a line wide: what a test, a script or the console says is nothing won by
 * cutting. The service's are cut.
 */
const TEXT_MIN = 40

/** Lines that are too wide, with where they are; a long text is not cut. */
export function wideLines(file: Parsed): string[] {
  const lines = file.text.split('\n')
  if (lines.every((line) => line.length <= COLUMNS_MAX)) return []
  const texts = textsOf(file)
  return lines.flatMap((line, at) => {
    const uncut = texts.get(at) ?? []
    const rest = uncut.reduce((text, literal) => text.replace(literal, ''), line)
    // What remains is a comment, or prettier's to wrap.
    const comment = /^\s*(?:\/?\*|#!)|(?:^|\s)\/\//.test(rest)
    const wide = line.length > COLUMNS_MAX && (comment || uncut.length === 0)
    return wide ? [`${file.path}:${at + 1} has ${line.length} columns`] : []
  })
}

/** The texts of one line, by line; SQL of the product is cut clause by clause. */
function textsOf({ path, tree }: Parsed): Map<number, string[]> {
  const found = new Map<number, string[]>()
  if (path.startsWith('src/')) return found
  for (const node of nodesOf(tree)) {
    const text = isText(node) ? node.getText(tree) : ''
    if (text.length < TEXT_MIN || text.includes('\n')) continue
    if (!path.startsWith('test/') && isSql(text.slice(1))) continue
    const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
    found.set(line, [...(found.get(line) ?? []), text])
  }
  return found
}

function isText(node: Node): boolean {
  const text = isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)
  return text || isTemplateExpression(node) || isRegularExpressionLiteral(node)
}

/** The same of a file that is no code; an address and an alert's expression are not cut. */
export function wideText({ path, text }: Source): string[] {
  return text.split('\n').flatMap((line, at) => {
    const wide = line.length > COLUMNS_MAX && !/\bhttps?:\/\/|^ *expr: /.test(line)
    return wide ? [`${path}:${at + 1} has ${line.length} columns`] : []
  })
}
