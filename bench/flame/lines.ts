import * as fs from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { join } from 'node:path'
import type { CallFrame, LineOf } from './frame.ts'

interface Built {
  readonly lines: readonly string[]
  readonly map: SourceMap
}

/**
 * Finds functions of the build `dist` in their sources. A profile may be of an older build, so a
 * line is told only where this build still has that function; otherwise the answer is null.
 */
export function sourceLines(dist: string): LineOf {
  const known = new Map<string, Built | null>()
  return (module, call) => {
    const built = known.get(module) ?? read(join(dist, `${module}.js`))
    known.set(module, built)
    if (built === null || !isThere(built.lines, call)) return null
    const entry = built.map.findEntry(call.lineNumber, call.columnNumber)
    return 'originalLine' in entry ? entry.originalLine + 1 : null
  }
}

function read(file: string): Built | null {
  if (!fs.existsSync(`${file}.map`)) return null
  // The compiler wrote it, so it is a source map.
  const payload = JSON.parse(fs.readFileSync(`${file}.map`, 'utf8')) as SourceMapPayload
  return { lines: fs.readFileSync(file, 'utf8').split('\n'), map: new SourceMap(payload) }
}

/** A function that is called after a variable or property may begin on the line below that. */
function isThere(lines: readonly string[], { functionName, lineNumber }: CallFrame): boolean {
  const text = `${lines[lineNumber - 1] ?? ''}\n${lines[lineNumber] ?? ''}`
  const name = functionName.replace(/^.*[. ]/, '')
  return name === '' ? lineNumber === 0 || /=>|function/.test(text) : text.includes(name)
}
