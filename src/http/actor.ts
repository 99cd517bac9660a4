import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'

const VISIBLE_ASCII = /^[\x21-\x7e]{1,100}$/

/** Who acts when nobody says so. */
const ANONYMOUS = 'anonymous'

/** The header as the documentation shows it. */
export const ActorHeaders = Type.Object({
  'x-actor': Type.Optional(
    Type.String({
      description: 'Who acts, as it is kept in the record: 1 to 100 visible ASCII characters.',
      examples: ['jane'],
    }),
  ),
})

/**
 * Who sends a request, for the record of what operators did: the API key it came with, or where none
 * is asked for, the name it gives itself. Null when the header cannot be a name. The one place that
 * decides it.
 */
export function actorOf(request: FastifyRequest): string | null {
  if (request.keyId !== null && request.keyId !== undefined) return `key:${request.keyId}`
  const value = request.headers['x-actor']
  if (value === undefined) return ANONYMOUS
  // The gateway's own word stands in the same column.
  if (typeof value !== 'string' || value === 'gateway') return null
  return VISIBLE_ASCII.test(value) ? value : null
}
