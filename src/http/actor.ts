import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Refusal } from '../domain/refusal.ts'
import { keyOfHeaders } from './idempotency.ts'
import { IdempotencyHeaders, SHOWN } from './schemas.ts'

const VISIBLE_ASCII = /^[\x21-\x7e]{1,100}$/

/**
 * Names that nobody can give themselves: what a key, the command line and the gateway did stands in
 * the same column.
 */
const RESERVED = /^(gateway$|(key|cli):)/i

/** Who acts when nobody says so. */
const ANONYMOUS = 'anonymous'

/** The header as the documentation shows it. */
export const ActorHeaders = Type.Object({
  'x-actor': Type.Optional(
    Type.String({
      description:
        'Who acts, as it is kept in the record: 1 to 100 visible ASCII characters. Not ' +
        '`gateway`, and not beginning with `key:` or `cli:`. Not read where a request comes ' +
        'with an API key: then the record names the key, as `key:<id>`.',
      examples: ['jane'],
      // Read by hand, so that a refusal has a code of its own.
      [SHOWN]: { type: 'string', pattern: '^[!-~]{1,100}$', examples: ['jane'] },
    }),
  ),
})

/** The headers of an act that can be asked for twice. */
export const ActHeaders = Type.Object({
  ...ActorHeaders.properties,
  ...IdempotencyHeaders.properties,
})

/**
 * Who sends a request, for the record of what operators did: the API key it came with, or where
 * none is asked for, the name it gives itself. Null when the header cannot be a name. The one place
 * that decides it.
 */
export function actorOf(request: FastifyRequest): string | null {
  if (request.keyId !== null && request.keyId !== undefined) return `key:${request.keyId}`
  const value = request.headers['x-actor']
  if (value === undefined) return ANONYMOUS
  if (typeof value !== 'string' || RESERVED.test(value)) return null
  return VISIBLE_ASCII.test(value) ? value : null
}

type Acting =
  | { readonly ok: true; readonly actor: string; readonly key: string | null }
  | { readonly ok: false; readonly refusal: Pick<Refusal, 'code'> }

/** Who acts, and under which key; what `ActHeaders` describe. */
export function readActing(request: FastifyRequest): Acting {
  const actor = actorOf(request)
  if (actor === null) return { ok: false, refusal: { code: 'actor_invalid' } }
  const key = keyOfHeaders(request.raw)
  if (!key.ok) return { ok: false, refusal: { code: 'idempotency_key_invalid' } }
  return { ok: true, actor, key: key.key }
}
