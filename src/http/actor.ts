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
 * Who sends a request, for the record of what operators did; null when the header cannot be a name.
 * The API key comes first where keys are asked for: the header is only the caller's word.
 */
export function actorOf(request: FastifyRequest): string | null {
  const value = request.headers['x-actor']
  if (value === undefined) return request.keyId === null ? ANONYMOUS : `key:${request.keyId}`
  if (typeof value !== 'string' || !VISIBLE_ASCII.test(value)) return null
  return request.keyId === null ? value : `key:${request.keyId} ${value}`
}
