import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { writeJson } from '../domain/exact-json.ts'
import { REFUSALS, type Refusal, type RefusalCode } from '../domain/refusal.ts'
import { problem, refusalAnswer, type HttpAnswer } from './answer.ts'
import { Money, oneOf } from './schemas.ts'

// Keys of REFUSALS, in its order.
const Code = oneOf(Object.keys(REFUSALS) as RefusalCode[], {
  title: 'ErrorCode',
  description: 'Stable. More may come: treat one that you do not know by its status.',
})

/** The schema of a `ProblemBody`. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'A link to what the code means and what to do about it.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'For people. Programs should read `code`.' }),
    instance: Type.String({ description: 'The request id, as it stands in the logs.' }),
    code: Code,
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.String({ description: 'JSON Pointer (RFC 6901) of the field at fault.' }),
            code: Type.String(),
          },
          { title: 'FieldError' },
        ),
      ),
    ),
    payment_id: Type.Optional(
      Type.Integer({ description: 'The payment first made with the key.' }),
    ),
    user_id: Type.Optional(
      Type.Integer({ description: 'The user opened with the key, or who has the external id.' }),
    ),
    required: Type.Optional(Money('What the payment costs with its commission.')),
    at_most: Type.Optional(Money('What could have been refunded or come back at most.')),
    gateways: Type.Optional(
      Type.Array(Type.String(), { description: 'The gateways that carry out such payments.' }),
    ),
    until: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When the first of what is in the way ends.',
      }),
    ),
    evidence: Type.Optional(
      oneOf(['success', 'declined', 'in_doubt'], {
        description: 'What the gateway said, by the evidence that is kept.',
      }),
    ),
  },
  { $id: 'Problem' },
)

/** Send a refusal as application/problem+json. */
export function refuse(reply: FastifyReply, refusal: Refusal): FastifyReply {
  return send(reply, refusalAnswer(refusal, reply.request.id))
}

/** Send an answer that was made without the framework. */
export function send(reply: FastifyReply, { status, headers, body }: HttpAnswer): FastifyReply {
  for (let index = 0; index < headers.length; index += 2) {
    void reply.header(headers[index] ?? '', headers[index + 1])
  }
  return reply.code(status).send(body)
}

/** The answer to a status: its name as a component, what it says, one to show, its headers. */
type Shared = readonly [
  name: string,
  description: string,
  example: Refusal,
  headers?: Readonly<Record<string, object>>,
]

const UNREADABLE: Refusal = {
  code: 'body_invalid',
  errors: [{ field: 'user_id', code: 'missing' }],
}

const REUSED: Refusal = {
  code: 'idempotency_key_reuse',
  errors: [{ field: 'amount', code: 'differs' }],
  paymentId: 1n,
}

const UNFUNDED: Refusal = {
  code: 'insufficient_funds',
  paymentId: 3n,
  required: 10_199_898n,
  exponent: 2,
}

const REPLAYED = {
  'Idempotent-Replayed': {
    description: 'The refusal is the one of an earlier request with this key.',
    schema: { type: 'string', enum: ['true'] },
  },
}

const AUTHENTICATE = {
  'WWW-Authenticate': {
    description: 'How to send a key.',
    required: true,
    schema: { type: 'string', examples: ['Bearer realm="payments"'] },
  },
}

const RETRY_AFTER = {
  'Retry-After': {
    description: 'Seconds to wait.',
    required: true,
    schema: { type: 'integer', minimum: 1, examples: [1] },
  },
}

const FUNDS = 'The balance does not cover the amount and its commission.'
const SCOPE = 'The API key lacks the scope, or a page of another site asks.'
const RATE = 'Too many requests from this key or address; wait for `Retry-After` seconds.'
const LARGE = 'The headers, or the whole of the address, are larger than is read.'
const AGAIN = 'Try the same request again after `Retry-After` seconds.'

const SHARED: Readonly<Record<number, Shared>> = {
  400: ['BadRequest', 'The request cannot be read.', UNREADABLE],
  401: ['Unauthorized', 'No valid API key.', { code: 'unauthorized' }, AUTHENTICATE],
  402: ['InsufficientFunds', FUNDS, UNFUNDED, REPLAYED],
  403: ['Forbidden', SCOPE, { code: 'forbidden' }],
  404: ['NotFound', 'There is nothing with this id.', { code: 'payment_not_found' }],
  409: ['Conflict', 'The state does not allow it.', { code: 'letter_not_open' }],
  413: ['ContentTooLarge', 'The body is too large.', { code: 'body_too_large' }],
  414: ['UriTooLong', 'A part of the path is longer than any id.', { code: 'uri_too_long' }],
  415: [
    'UnsupportedMediaType',
    'The body is not application/json in UTF-8.',
    { code: 'media_type_unsupported' },
  ],
  422: ['Refused', 'The request is well-formed and refused.', REUSED],
  429: ['TooManyRequests', RATE, { code: 'rate_limited' }, RETRY_AFTER],
  431: ['HeadersTooLarge', LARGE, { code: 'headers_too_large' }],
  503: ['Unavailable', AGAIN, { code: 'overloaded' }, RETRY_AFTER],
}

/** The media type of every refusal. */
const PROBLEM_TYPE = 'application/problem+json'

/** Refusals that operations share, as components of the document, by name. */
export const SHARED_RESPONSES: Readonly<Record<string, object>> = Object.fromEntries(
  Object.values(SHARED).map(([name, description, example, headers]) => [
    name,
    {
      description,
      ...(headers === undefined ? {} : { headers }),
      content: {
        [PROBLEM_TYPE]: {
          schema: { $ref: '#/components/schemas/Problem' },
          example: JSON.parse(writeJson(problem(example, 'd75932803d6f-8'))) as object,
        },
      },
    },
  ]),
)

/** The answers of an operation with references in place of the refusals it shares with others. */
export function sharedRefusals(answers: Readonly<Record<string, object>>): Record<string, object> {
  const entries = Object.entries(answers).map(([status, answer]) => {
    const [name] = SHARED[Number(status)] ?? []
    const { content = {} } = answer as { content?: object }
    if (name === undefined || !(PROBLEM_TYPE in content)) return [status, answer]
    return [status, { $ref: `#/components/responses/${name}` }]
  })
  return Object.fromEntries(entries) as Record<string, object>
}

/** What any route may answer before it is reached. */
const GUARDED = [401, 403, 429, 431]

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
    const answers = (schema.response ?? {}) as Record<number, object>
    schema.response = { ...refusals(...reading, ...addressed, 503), ...answers }
  })
}

/** The OpenAPI answers of a route that may refuse with these statuses. */
export function refusals(...statuses: readonly number[]): Record<number, object> {
  return Object.fromEntries(
    [...statuses, ...GUARDED].map((status) => [
      status,
      {
        description: SHARED[status]?.[1] ?? 'Refused.',
        content: { [PROBLEM_TYPE]: { schema: Type.Ref('Problem') } },
      },
    ]),
  )
}
