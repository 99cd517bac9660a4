import { Type } from 'typebox'
import { SCOPES, type Scope } from '../domain/api-key.ts'
import { nullable, oneOf, SHOWN, Time } from '../http/schemas.ts'
import type { Session } from './sessions-store.ts'
import type { StoredKey } from './store.ts'

const Scopes = Type.Unsafe<readonly Scope[]>(
  Type.Array(oneOf(SCOPES, { title: 'Scope' }), { description: 'What may be done.' }),
)

/** Who asks, and what the console needs to know before anything else. */
export const WhoBody = Type.Object(
  {
    authenticated: Type.Boolean({ description: 'False: sign in first.' }),
    keys_required: Type.Boolean({
      description: 'False: only this machine can ask, and no key is needed.',
    }),
    session_id: nullable('string', { description: 'Null without a session.' }),
    key_id: nullable('string', { description: 'Null where no key is needed, or none was sent.' }),
    key_name: nullable('string', { description: 'Of the key of the session.' }),
    scopes: Scopes,
    expires_at: nullable('string', {
      format: 'date-time',
      description: 'When the session is over at the latest. It ends earlier when it is not used.',
    }),
    service: Type.Object(
      {
        title: Type.String(),
        version: Type.String(),
        environment: nullable('string', { description: 'Null to strangers.' }),
        currency: nullable('string', { description: 'That of the books; null to strangers.' }),
        mock_gateway: Type.Boolean({ description: 'Whether the mock gateway is here.' }),
      },
      { title: 'ServiceFacts' },
    ),
  },
  { title: 'Who' },
)

/** What this service is, as anybody who asks is told. */
export interface ServiceFacts {
  readonly title: string
  readonly version: string
  readonly environment: string
  readonly currency: string
  readonly mockGateway: boolean
}

/** Somebody as they are told of themselves; null scopes: a stranger. */
export function whoBody(
  service: ServiceFacts,
  keysRequired: boolean,
  who: {
    readonly keyId: string | null
    readonly scopes: readonly Scope[] | null
    readonly session: Session | null
  },
) {
  const { title, version, environment, currency, mockGateway } = service
  const { keyId, scopes, session } = who
  const known = scopes !== null
  return {
    authenticated: known,
    keys_required: keysRequired,
    session_id: session?.id ?? null,
    key_id: keyId,
    key_name: session?.keyName ?? null,
    scopes: scopes ?? [],
    expires_at: session?.expiresAt.toISOString() ?? null,
    service: {
      title,
      version,
      environment: known ? environment : null,
      currency: known ? currency : null,
      mock_gateway: mockGateway,
    },
  }
}

/** The id of a key or a session in a path, which is no number. */
export const ShortId = Type.String({
  description: 'Its id: 12 characters.',
  examples: ['0k2yv7x9q1ab'],
  [SHOWN]: { type: 'string', pattern: '^[a-z0-9]{12}$', examples: ['0k2yv7x9q1ab'] },
})

/** The id in a path, or null: what cannot be one is the id of nothing. */
export function shortId(text: string): string | null {
  return /^[a-z0-9]{12}$/.test(text) && text.length === 12 ? text : null
}

export const SignInBody = Type.Object(
  { key: Type.String({ minLength: 1, maxLength: 200, description: 'An API key: `pay_…`.' }) },
  { title: 'SignInRequest', additionalProperties: false },
)

export const SessionBody = Type.Object(
  {
    id: Type.String(),
    key_id: Type.String(),
    key_name: Type.String(),
    scopes: Scopes,
    created_at: Time,
    used_at: Type.String({ format: 'date-time', description: 'Up to a minute late.' }),
    expires_at: Time,
    current: Type.Boolean({ description: 'It is the one that asks.' }),
  },
  { title: 'Session' },
)

/** A session as it is listed; `asking` is the one that asks. */
export function sessionBody(session: Session, asking: string | null) {
  return {
    id: session.id,
    key_id: session.keyId,
    key_name: session.keyName,
    scopes: session.scopes,
    created_at: session.createdAt.toISOString(),
    used_at: session.usedAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
    current: session.id === asking,
  }
}

export const KeyBody = Type.Object(
  {
    id: Type.String({ description: 'The 12 characters between `pay_` and the next `_`.' }),
    name: Type.String(),
    scopes: Scopes,
    created_at: Time,
    revoked_at: nullable('string', { format: 'date-time' }),
  },
  { title: 'ApiKey' },
)

/** A key as it is listed: never its secret. */
export function keyBody(key: StoredKey) {
  return {
    id: key.id,
    name: key.name,
    scopes: key.scopes,
    created_at: key.createdAt.toISOString(),
    revoked_at: key.revokedAt?.toISOString() ?? null,
  }
}
