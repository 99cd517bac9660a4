import { Check } from 'typebox/value'
import { REFUSALS, type RefusalCode } from '../../src/domain/refusal.ts'
import { Problem } from '../../src/http/problem.ts'
import type { Received, Wire } from './wire.ts'

/** One line of a table: what is sent, and the answer that is demanded. */
export interface Case {
  readonly name: string
  readonly request: Wire
  readonly status: number
  readonly code?: RefusalCode
}

const MEMBERS = new Set([
  'type',
  'title',
  'status',
  'detail',
  'instance',
  'code',
  'errors',
  'payment_id',
  'user_id',
  'required',
  'at_most',
  'evidence',
  'gateways',
])

/** What no caller may ever read: stacks, paths, SQL and the words of PostgreSQL. */
const LEAKS: readonly RegExp[] = [
  /\bat (\S+ )?\(?\/?\S+:\d+:\d+/,
  /node_modules|\.ts\b|\.js\b/,
  /\b(select|insert|update|delete)\b.+\b(from|into|set|where)\b/i,
  /syntax error|out of range for type|violates|relation "|column "|invalid input/i,
  /postgres(ql)?:|FST_ERR|ECONN|TypeError|RangeError/,
]

/** Everything wrong with an answer: its status, and if it refuses, its problem document. */
export function wrongWith(expected: Case, answer: Received | null): string[] {
  if (answer === null) return ['no answer']
  const wrong = problemsOf(answer)
  const { status, code } = expected
  if (answer.status !== status) wrong.push(`${answer.status} instead of ${status}`)
  if (code !== undefined && codeOf(answer) !== code) {
    wrong.push(`${codeOf(answer)} instead of ${code}`)
  }
  return wrong
}

/** What is wrong with a refusal as a document, whatever it was the answer to. */
export function problemsOf(answer: Received): string[] {
  const leaks = LEAKS.filter((leak) => answer.status >= 400 && leak.test(answer.body))
  const wrong = leaks.map((leak) => `the body leaks ${leak.source}`)
  if (answer.status >= 500 && answer.status !== 503) wrong.push(`a ${answer.status}`)
  if (answer.status < 400 || answer.body === '') return wrong
  const type = answer.headers['content-type'] ?? 'none'
  if (!/^application\/problem\+json(;|$)/.test(type)) wrong.push(`content type ${type}`)
  const body = read(answer.body)
  if (!Check(Problem, body)) return [...wrong, 'the body is no problem document']
  if (body.status !== answer.status) wrong.push(`the body says ${body.status}`)
  // A code that the table does not have is undefined here.
  const known = (REFUSALS as Record<string, readonly [number, string]>)[body.code]
  if (known?.[0] !== answer.status) wrong.push(`${body.code} does not belong to ${answer.status}`)
  return [...wrong, ...membersWrong(body), ...headersWrong(answer)]
}

function membersWrong(body: object): string[] {
  const more = Object.keys(body).filter((name) => !MEMBERS.has(name))
  return more.length > 0 ? [`unknown members ${more.join(', ')}`] : []
}

/** Headers that belong to a status, and are not there. */
function headersWrong(answer: Received): string[] {
  const wrong: string[] = []
  if (answer.status === 503 && answer.headers['retry-after'] === undefined) {
    wrong.push('no Retry-After')
  }
  if (answer.status === 405 && answer.headers['allow'] === undefined) wrong.push('no Allow')
  return wrong
}

export function codeOf(answer: Received): string | null {
  const body = read(answer.body)
  return Check(Problem, body) ? body.code : null
}

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Tables whose numbers differ. */
export function changed(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): string[] {
  return Object.keys(after)
    .filter((table) => before[table] !== after[table])
    .map((table) => `${table} went from ${before[table]} to ${after[table]} rows`)
}
