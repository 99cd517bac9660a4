import { toWire } from '../domain/money.ts'
import type { JsonNumber } from '../domain/exact-json.ts'
import { detailOf, REFUSALS, type Refusal, type RefusalCode } from '../domain/refusal.ts'

/** What a request is answered with, whoever writes it to the wire. */
export interface HttpAnswer {
  readonly status: number
  /** Names and values in turn, `content-type` among them. */
  readonly headers: readonly string[]
  /** Written by `writeJson`. */
  readonly body: unknown
}

/** RFC 9457 problem details with the members this service adds; `Problem` is its schema. */
export interface ProblemBody {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: RefusalCode
  readonly errors?: readonly { readonly pointer: string; readonly code: string }[]
  readonly payment_id?: number
  readonly user_id?: number
  readonly required?: JsonNumber
  readonly at_most?: JsonNumber
  readonly until?: string
  readonly evidence?: Refusal['evidence']
  readonly gateways?: Refusal['gateways']
}

/** Where the codes are explained; the fragment is the code. */
const TYPE_BASE = '/docs/errors#'

export const JSON_TYPE = ['content-type', 'application/json; charset=utf-8'] as const

/** The headers of a refusal. A 503 says when to come back. */
const PROBLEM_TYPE = ['content-type', 'application/problem+json; charset=utf-8'] as const
const COME_BACK = [...PROBLEM_TYPE, 'retry-after', '1'] as const

/** The answer to a refused request. */
export function refusalAnswer(refusal: Refusal, requestId: string): HttpAnswer {
  const [status] = REFUSALS[refusal.code]
  const headers = status === 503 ? COME_BACK : PROBLEM_TYPE
  return { status, headers, body: problem(refusal, requestId) }
}

/** The problem document of a refusal; `instance` is the id of the request. */
export function problem(refusal: Refusal, instance: string): ProblemBody {
  const [status] = REFUSALS[refusal.code]
  return {
    type: TYPE_BASE + refusal.code,
    title: title(refusal.code),
    status,
    detail: detailOf(refusal),
    instance,
    code: refusal.code,
    ...(refusal.errors === undefined ? {} : { errors: refusal.errors.map(pointed) }),
    ...(refusal.paymentId === undefined ? {} : { payment_id: Number(refusal.paymentId) }),
    ...(refusal.userId === undefined ? {} : { user_id: Number(refusal.userId) }),
    ...(refusal.required === undefined ? {} : { required: wire(refusal, refusal.required) }),
    ...(refusal.atMost === undefined ? {} : { at_most: wire(refusal, refusal.atMost) }),
    ...(refusal.until === undefined ? {} : { until: refusal.until.toISOString() }),
    ...(refusal.evidence === undefined ? {} : { evidence: refusal.evidence }),
    ...(refusal.gateways === undefined ? {} : { gateways: refusal.gateways }),
  }
}

/** A field at fault as a JSON Pointer (RFC 6901), which is empty for the whole request. */
function pointed({ field, code }: NonNullable<Refusal['errors']>[number]) {
  return { pointer: field === null ? '' : `/${field}`, code }
}

function wire({ exponent }: Refusal, minor: bigint): JsonNumber {
  if (exponent === undefined) throw new Error('an amount without a currency')
  return toWire(minor, exponent)
}

function title(code: RefusalCode): string {
  const words = code.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
