import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import { toWire } from '../domain/money.ts'
import { REFUSALS, type Refusal, type RefusalCode } from '../domain/refusal.ts'
import { Money } from './schemas.ts'

/** Where the codes are explained; the fragment is the code. */
const TYPE_BASE = '/docs/errors#'

/** RFC 9457 problem details with the members this service adds. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'A link to what the code means and what to do about it.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'For people. Programs go by `code`.' }),
    instance: Type.String({ description: 'The request id, as it stands in the logs.' }),
    code: Type.String({ description: 'Stable; see docs/errors.md.' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'JSON Pointer (RFC 6901) of the field at fault.' }),
          code: Type.String(),
        }),
      ),
    ),
    payment_id: Type.Optional(
      Type.Integer({ description: 'The payment first made with the key.' }),
    ),
    required: Type.Optional(Money('What the withdrawal costs with its commission.')),
  },
  { $id: 'Problem' },
)

/** The problem document of a refusal; `instance` is the id of the request. */
export function problem(refusal: Refusal, instance: string): Static<typeof Problem> {
  const [status, detail] = REFUSALS[refusal.code]
  return {
    type: TYPE_BASE + refusal.code,
    title: title(refusal.code),
    status,
    detail,
    instance,
    code: refusal.code,
    ...(refusal.errors === undefined ? {} : { errors: [...refusal.errors] }),
    ...(refusal.paymentId === undefined ? {} : { payment_id: Number(refusal.paymentId) }),
    ...(refusal.required === undefined ? {} : { required: toWire(refusal.required) }),
  }
}

/** The headers of a refusal. A 503 says when to come back. */
export function refusalHeaders(status: number): Record<string, string> {
  const type = { 'content-type': 'application/problem+json; charset=utf-8' }
  return status === 503 ? { ...type, 'retry-after': '1' } : type
}

/** Send a refusal as application/problem+json. */
export function refuse(reply: FastifyReply, refusal: Refusal): FastifyReply {
  const [status] = REFUSALS[refusal.code]
  return reply.code(status).headers(refusalHeaders(status)).send(problem(refusal, reply.request.id))
}

function title(code: RefusalCode): string {
  const words = code.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const DESCRIPTIONS: Readonly<Record<number, string>> = {
  400: 'The request cannot be read.',
  401: 'No valid API key.',
  402: 'The balance does not cover the amount and its commission.',
  403: 'The API key lacks the scope.',
  404: 'There is nothing with this id.',
  405: 'The path does not take this method.',
  408: 'The request did not arrive in time.',
  409: 'The state does not allow it.',
  413: 'The body is too large.',
  414: 'A part of the path is longer than any id.',
  415: 'The body is not application/json in UTF-8.',
  422: 'The request is well-formed and refused.',
  429: 'Too many requests from this key or address; wait for `Retry-After` seconds.',
  503: 'Try the same request again after `Retry-After` seconds.',
}

/** What any route may answer before it is reached. */
const GUARDED = [401, 403, 429]

/** What a route with a body, and one with a part of the path to fill in, may answer as well. */
const READING = [400, 413, 415]
const ADDRESSED = [404, 414]

/**
 * Add to the documentation of every route what it may answer before it is reached: its own answers
 * are what it lists, and the rest comes from what kind of route it is.
 */
export function documentRefusals(app: FastifyInstance): void {
  app.addHook('onRoute', ({ schema, url, method }) => {
    if (schema === undefined || schema.hide === true) return
    const reading = method !== 'GET' && method !== 'HEAD' ? READING : []
    const addressed = url.includes(':') ? ADDRESSED : []
    // The type of a schema's answers is unknown to Fastify; they are by status.
    const own = (schema.response ?? {}) as Record<number, object>
    schema.response = { ...refusals(...reading, ...addressed, 503), ...own }
  })
}

/** The OpenAPI answers of a route that may refuse with these statuses. */
export function refusals(...statuses: readonly number[]): Record<number, object> {
  return Object.fromEntries(
    [...statuses, ...GUARDED].map((status) => [
      status,
      {
        description: DESCRIPTIONS[status] ?? 'Refused.',
        content: { 'application/problem+json': { schema: Type.Ref('Problem') } },
      },
    ]),
  )
}
