import { Compile } from 'typebox/schema'
import { REFUSALS } from '../../src/domain/refusal.ts'
import { readJson } from '../../src/http/strict-json.ts'
import { problemsOf } from '../hostile/case.ts'
import type { Operation, Schema } from '../hostile/document.ts'
import type { Received } from '../hostile/wire.ts'
import type { Plan } from './plan.ts'

/** Each way a service can be wrong, by name. */
export type Fault =
  | 'no_answer'
  | 'server_error'
  | 'undocumented_status'
  | 'undocumented_content_type'
  | 'not_a_problem'
  | 'answer_breaks_schema'
  | 'forbidden_accepted'
  | 'value_echoed'
  | 'rows_changed'
  | 'sequence_broken'
  | 'books_broken'
  | 'logged_a_bug'

/** One thing found, and the request that shows it. */
export interface Finding {
  readonly fault: Fault
  readonly what: string
  readonly request: string
}

/** Judges answers by what the document says. */
export interface Oracle {
  judge(plan: Plan, answer: Received | null): Finding[]
}

/** Requests that HTTP itself refuses before there is an operation; any header can lead there. */
const PROTOCOL = new Set([400, 408, 415, 417, 431])
/** What refusals say anyway. */
const SENTENCES = Object.values(REFUSALS).join('\n')
/** Shorter texts are in every sentence; these are not, by chance. */
const ECHO_LENGTH_MIN = 6

/** An oracle that compiles each schema once. */
export function oracle(): Oracle {
  const checks = new Map<Schema, (value: unknown) => boolean>()
  const check = (schema: Schema, value: unknown): boolean => {
    let known = checks.get(schema)
    if (known === undefined) {
      const validator = Compile(schema)
      known = (candidate) => validator.Check(candidate)
      checks.set(schema, known)
    }
    return known(value)
  }
  return {
    judge(plan, answer) {
      const request = shown(plan)
      const finding = (fault: Fault, what: string): Finding => ({ fault, what, request })
      if (answer === null) return [finding('no_answer', 'closed, or silent for two minutes')]
      const { status } = answer
      const found: Finding[] = []
      if (status >= 500 && status !== 503 && !isDocumented(plan, status)) {
        found.push(finding('server_error', `${status}: ${answer.body.slice(0, 200)}`))
      }
      if (!isDocumented(plan, status)) found.push(finding('undocumented_status', `${status}`))
      found.push(...contentOf(plan, answer, check).map(([fault, what]) => finding(fault, what)))
      // A gateway names what it was asked for, also when it says no.
      const mayEcho = plan.operation.path.includes('/mock-gateway/')
      const echoed = mayEcho ? [] : plan.values.filter((value) => echoes(answer, value))
      found.push(...echoed.map((value) => finding('value_echoed', value.slice(0, 60))))
      if (status < 300 && isForbidden(plan, check)) {
        const body = Buffer.from(plan.request.body ?? '').toString('utf8')
        found.push(finding('forbidden_accepted', `${status} for ${body.slice(0, 200)}`))
      }
      return found
    },
  }
}

type Check = (schema: Schema, value: unknown) => boolean

function isDocumented({ operation, places }: Plan, status: number): boolean {
  if (operation.answers[status] !== undefined) return true
  // The text in place of an id may be the name of another route, which has other methods.
  if (places.includes('path') && status === 405) return true
  return places.includes('header') && PROTOCOL.has(status)
}

function contentOf(plan: Plan, answer: Received, check: Check): [Fault, string][] {
  const { status, headers, body } = answer
  const content = plan.operation.answers[status]?.content ?? {}
  const type = (headers['content-type'] ?? '').split(';', 1)[0] ?? ''
  const schema = content[type]?.schema
  if (status >= 400 && (type === 'application/problem+json' || schema === undefined)) {
    return problemsOf(answer).map((what) => ['not_a_problem', what])
  }
  if (body === '' && Object.keys(content).length === 0) return []
  if (content[type] === undefined) return [['undocumented_content_type', type]]
  const value = read(body)
  if (schema === undefined || check(schema, value)) return []
  return [['answer_breaks_schema', `${status}: ${body.slice(0, 200)}`]]
}

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Whether a refusal repeats a value; a pointer names fields, which may be the caller's, and a
 * gateway names the key that it was asked about.
 */
function echoes({ status, body }: Received, value: string): boolean {
  if (status < 400 || value.length < ECHO_LENGTH_MIN || /^[a-z_ ]*$/i.test(value)) return false
  if (SENTENCES.includes(value)) return false
  const bare = body.replace(/"(pointer|instance|idempotency_key)":"(?:[^"\\]|\\.)*"/g, '')
  return bare.includes(value) || bare.includes(JSON.stringify(value).slice(1, -1))
}

/** Whether the document forbids what was sent: its body, or a parameter of its query. */
function isForbidden({ operation, request }: Plan, check: Check): boolean {
  return bodyForbidden(operation, request.body, check) || queryForbidden(operation, request, check)
}

function bodyForbidden(
  { body: schema }: Operation,
  body: string | Uint8Array | undefined,
  check: Check,
): boolean {
  if (schema === null || body === undefined) return false
  const json = readJson(Buffer.from(body))
  return !json.ok || !check(schema, json.value)
}

function queryForbidden(operation: Operation, request: Plan['request'], check: Check): boolean {
  const query = new URLSearchParams(request.path.split('?')[1] ?? '')
  return operation.parameters
    .filter(({ in: place, name }) => place === 'query' && query.has(name))
    .some(({ name, schema }) =>
      query.getAll(name).some((text) => !check(schema, meant(text, schema))),
    )
}

/** What the text of a query means by its schema: there an integer is written in digits. */
function meant(text: string, { type }: Schema): unknown {
  return type === 'integer' && /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : text
}

/** A request on one line, cut short. */
export function shown({ request, places }: Pick<Plan, 'request' | 'places'>): string {
  const { method = 'GET', path, headers = [], body = '' } = request
  const lines = headers.map(([name, value]) => `${name}: ${value}`)
  const text = [`${method} ${path}`, ...lines, Buffer.from(body).toString('utf8')].join(' | ')
  return `[${places.join('+')}] ${text.length > 400 ? `${text.slice(0, 400)}…` : text}`
}
