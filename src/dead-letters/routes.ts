import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { Id, IntegerText, Money, nullable, oneOf, parseInteger, Time } from '../http/schemas.ts'
import type { Runner } from '../ports.ts'
import { pageOfLetters, type DeadLetter } from './store.ts'

const DeadLetterBody = Type.Object({
  id: Id,
  payment_id: Id,
  user_id: Id,
  amount: Money('The amount of the payment.'),
  commission: Money('Its commission.'),
  payment_type: oneOf(['deposit', 'withdraw']),
  class: oneOf(['failed', 'unknown'], {
    description: '`failed`: no money moved. `unknown`: it may have; the hold is kept.',
  }),
  error: Type.String(),
  attempts: Type.Integer(),
  state: oneOf(['open', 'redriven', 'resolved']),
  created_at: Time,
  closed_at: nullable('string', { format: 'date-time' }),
  closed_by: nullable('string'),
  closed_reason: nullable('string'),
})

const LIMIT = { min: 1, max: 500, fallback: 50 }
const OFFSET = { min: 0, max: 999_999_999, fallback: 0 }

/** `GET /dlq`. */
export function deadLetterRoutes(options: {
  readonly db: Runner
  readonly shards: number
}): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Dead letters'],
    summary: 'List what failed or could not be finished, newest first',
    querystring: Type.Object(
      {
        limit: IntegerText('Letters per page.', LIMIT.min, LIMIT.max, LIMIT.fallback),
        offset: IntegerText('Letters to skip.', OFFSET.min, OFFSET.max, OFFSET.fallback),
      },
      { additionalProperties: false },
    ),
    response: { 200: Type.Array(DeadLetterBody), ...refusals(400, 503) },
  }
  return async (app) => {
    app.get('/dlq', { schema }, async (request, reply) => {
      const limit = parseInteger('limit', request.query.limit, LIMIT)
      if (!limit.ok) return refuse(reply, limit.refusal)
      const offset = parseInteger('offset', request.query.offset, OFFSET)
      if (!offset.ok) return refuse(reply, offset.refusal)
      const letters = await listLetters(options, limit.value, offset.value)
      return reply.send(letters.map(letterBody))
    })
  }
}

/** A page over all shards. A shard can hold the whole page, so each is asked for all of it. */
async function listLetters(
  { db, shards }: { readonly db: Runner; readonly shards: number },
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  if (shards === 1) return pageOfLetters(db, 0, limit, offset)
  const all = Array.from({ length: shards }, (_, shard) => shard)
  const pages = await Promise.all(all.map((shard) => pageOfLetters(db, shard, limit + offset, 0)))
  const newest = pages.flat().sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
  return newest.slice(offset, offset + limit)
}

function letterBody(letter: DeadLetter) {
  return {
    id: Number(letter.id),
    payment_id: Number(letter.paymentId),
    user_id: Number(letter.userId),
    amount: toWire(letter.amount),
    commission: toWire(letter.commission),
    payment_type: letter.type,
    class: letter.class,
    error: letter.error,
    attempts: letter.attempts,
    state: letter.state,
    created_at: letter.createdAt.toISOString(),
    closed_at: letter.closedAt?.toISOString() ?? null,
    closed_by: letter.closedBy,
    closed_reason: letter.closedReason,
  }
}
