import type { IncomingMessage } from 'node:http'
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { REFUSALS, type Refusal, type RefusalCode } from '../domain/refusal.ts'
import { Busy, CommitUnknown, GatewayUnavailable, Overloaded, Unavailable } from '../ports.ts'
import { errorsOfForm } from './forms.ts'
import { refuse } from './problem.ts'
import { putOffLog } from './put-off-log.ts'

/** What the framework itself refuses, by its code. */
const FRAMEWORK: Readonly<Record<string, RefusalCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body_unreadable',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'body_unreadable',
  FST_ERR_CTP_INVALID_JSON_BODY: 'body_unreadable',
  FST_ERR_BAD_URL: 'route_not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
}

/**
 * Answer whatever was thrown: a refusal if it is one, otherwise a 500 that says nothing but its id.
 */
export async function failed(
  error: FastifyError & { refusal?: RefusalCode; why?: string },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  // A client that hangs up in the middle of its body is no bug, and nobody reads the answer.
  const gone = request.raw.readableAborted
  const refusal = gone ? ({ code: 'body_unreadable' } as const) : refusalOf(error, request)
  report(refusal, error, request.log)
  if (refusal.code === 'body_too_large') await drained(request.raw)
  return refuse(reply, refusal)
}

/** What a failure of our own work is answered with; logged where somebody should look at it. */
export function reportFailure(error: unknown, log: FastifyBaseLogger): Refusal {
  const refusal = refusalOfFault(error) ?? { code: 'internal_error' }
  report(refusal, error, log)
  return refusal
}

/** One log for the whole process: it is the process that is overloaded. */
const putOff = putOffLog()

function report({ code }: Refusal, error: unknown, log: FastifyBaseLogger): void {
  if (code === 'internal_error') log.error({ err: error }, 'unexpected failure')
  else if (REFUSALS[code][0] === 503) putOff(code, error, log)
}

/** How long a refused body is read before it is answered, in milliseconds. */
const DRAIN_MS_MAX = 500

/**
 * Read a refused body on for a while and forget it: a client that still writes when the connection
 * closes never sees the answer. One that has stopped writing, or never stops, is answered all the
 * same.
 */
async function drained(raw: IncomingMessage): Promise<void> {
  if (raw.readableEnded || raw.destroyed) return
  let limit: NodeJS.Timeout | undefined
  await new Promise<void>((resolve) => {
    limit = setTimeout(resolve, DRAIN_MS_MAX)
    raw.once('end', resolve).once('close', resolve).once('error', resolve).resume()
  })
  clearTimeout(limit)
}

function refusalOf(
  error: FastifyError & { refusal?: RefusalCode; why?: string },
  request: FastifyRequest,
): Refusal {
  if (error.refusal !== undefined) {
    const errors = error.why === undefined ? {} : { errors: [{ field: null, code: error.why }] }
    return { code: error.refusal, ...errors }
  }
  if (error.validation !== undefined) return invalid(error, request)
  return refusalOfFault(error) ?? { code: FRAMEWORK[error.code] ?? 'internal_error' }
}

/** The refusal that a fault of the world amounts to, or null: then it is a bug. */
export function refusalOfFault(error: unknown): Refusal | null {
  if (error instanceof Unavailable) return { code: 'database_unavailable' }
  if (error instanceof Busy) return { code: 'busy' }
  if (error instanceof CommitUnknown) return { code: 'outcome_unknown' }
  if (error instanceof Overloaded) return { code: 'overloaded' }
  if (error instanceof GatewayUnavailable) return { code: 'gateway_unavailable' }
  return null
}

/** The first thing wrong with a body or query, by field; never the value itself. */
function invalid(
  { validation = [], validationContext }: FastifyError,
  { body, routeOptions }: FastifyRequest,
): Refusal {
  const isBody = validationContext === 'body'
  const [first] = isBody ? errorsOfForm(validation, routeOptions.schema?.body, body) : validation
  const missing = first?.params['missingProperty'] ?? first?.params['additionalProperty']
  const at = (first?.instancePath ?? '') + (missing === undefined ? '' : `/${String(missing)}`)
  const code = isBody ? 'body_invalid' : 'query_invalid'
  return {
    code,
    errors: [
      { field: at === '' ? null : at.slice(1, 200), code: wording(first?.keyword ?? 'invalid') },
    ],
  }
}

function wording(keyword: string): string {
  const words: Readonly<Record<string, string>> = {
    required: 'missing',
    additionalProperties: 'unknown',
    type: 'wrong_type',
    enum: 'not_one_of',
    minimum: 'too_small',
    maximum: 'too_large',
    pattern: 'malformed',
    maxLength: 'too_long',
    minItems: 'too_few',
    maxItems: 'too_many',
  }
  return words[keyword] ?? keyword
}
