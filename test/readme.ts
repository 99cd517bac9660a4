import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './sources.ts'

/**
 * A step of the page: commands in the order they stand, and what the page shows of their outputs.
 */
export interface Step {
  /** The heading and the first command, for messages. */
  readonly name: string
  readonly commands: readonly string[]
  /** The outputs of the last so many commands. */
  readonly shown: readonly Shown[]
}

export interface Shown {
  /** `text`: a part of what the last program that goes on running has said. */
  readonly kind: 'json' | 'http' | 'text'
  readonly text: string
}

interface Fence {
  readonly kind: string
  readonly text: string
  readonly heading: string
}

/** Blocks that no reader types into a bash as they stand: other shells, pictures, one of many. */
const NOT_RUN = new Set(['powershell', 'mermaid', 'sh', 'ts'])

export const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** Every fenced block of a page, in order. */
export function fencesOf(page: string): Fence[] {
  let heading = ''
  let open: { kind: string; lines: string[] } | null = null
  const fences: Fence[] = []
  for (const line of page.split('\n')) {
    const mark = /^```(\w*)/.exec(line)
    if (open === null && line.startsWith('#')) heading = line.replace(/^#+ /, '')
    if (mark === null) open?.lines.push(line)
    else if (open === null) open = { kind: mark[1] ?? '', lines: [] }
    else {
      fences.push({ kind: open.kind, text: open.lines.join('\n'), heading })
      open = null
    }
  }
  return fences
}

/** What is to be run, in order, each with the outputs that follow it. */
export function stepsOf(page: string): Step[] {
  const steps: { name: string; commands: string[]; shown: Shown[] }[] = []
  for (const { kind, text, heading } of fencesOf(page)) {
    if (kind === 'bash') {
      const commands = commandsOf(text)
      steps.push({ name: `${heading}: ${commands[0]?.split('\n')[0] ?? ''}`, commands, shown: [] })
    } else if (kind === 'json' || kind === 'http') {
      steps.at(-1)?.shown.push({ kind, text })
    } else if (kind === 'text') {
      steps.push({ name: `${heading}: what is shown`, commands: [], shown: [{ kind, text }] })
    } else assert.ok(NOT_RUN.has(kind), `a block of the kind "${kind}" under "${heading}"`)
  }
  return steps
}

/** The commands of a block: a line that ends in a backslash goes on in the next one. */
function commandsOf(text: string): string[] {
  const joined = text.split('\n').reduce<string[]>((lines, line) => {
    const last = lines.at(-1)
    if (last?.endsWith('\\')) return [...lines.slice(0, -1), `${last}\n${line}`]
    return [...lines, line]
  }, [])
  return joined.filter((line) => line.trim() !== '')
}

/** Fail unless an output is what the page shows, but for what differs from run to run. */
export function sameAsShown({ kind, text }: Shown, output: string): void {
  if (kind === 'json') return sameJson(parse(text), parse(output), '')
  if (kind === 'text') {
    const said = uncounted(output).split('\n')
    for (const line of text.split('\n')) assert.ok(said.includes(uncounted(line)), output)
    return
  }
  const [head = '', body = ''] = split(text)
  const [ownHead = '', ownBody = ''] = split(output.replaceAll('\r', ''))
  const lines = ownHead.split('\n').map((line) => line.toLowerCase())
  for (const line of head.split('\n'))
    assert.ok(lines.includes(line.toLowerCase()), `${line}: ${output}`)
  sameJson(parse(body), parse(ownBody), '')
}

/** A text without the numbers that differ from run to run. */
function uncounted(text: string): string {
  return text.replace(/\d+ ms$|#\d+|msg_\d+/gm, 'a number')
}

function split(message: string): string[] {
  const at = message.indexOf('\n\n')
  return [message.slice(0, at), message.slice(at + 2)]
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new assert.AssertionError({ message: `no JSON: ${text}` })
  }
}

/** Members whose values differ from run to run; their type is compared. */
const VOLATILE = new Set(['instance', 'next_cursor', 'took_ms', 'attempts'])

/**
 * The same members in the same order. A shown list may end earlier: the page says where it is cut.
 */
function sameJson(shown: unknown, own: unknown, at: string): void {
  if (typeof shown !== 'object' || shown === null) {
    const name = at.slice(at.lastIndexOf('/') + 1)
    if (VOLATILE.has(name)) return assert.equal(typeof own, typeof shown, at)
    return assert.deepEqual(timeless(own), timeless(shown), at)
  }
  assert.ok(typeof own === 'object' && own !== null, `${at}: ${String(own)}`)
  assert.equal(Array.isArray(own), Array.isArray(shown), at)
  const members = Object.entries(shown)
  if (!Array.isArray(shown))
    assert.deepEqual(
      Object.keys(own),
      members.map(([name]) => name),
      at,
    )
  for (const [name, value] of members)
    sameJson(value, (own as Record<string, unknown>)[name], `${at}/${name}`)
}

/** A value without the digits of times and of references that count up. */
function timeless(value: unknown): unknown {
  if (typeof value !== 'string') return value
  return value.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'a time').replace(/^gw_\d{8}$/, 'a reference')
}
