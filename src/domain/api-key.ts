import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * What a key may do: look; accept users and payments; give money back and cancel; act on dead
 * letters, returns and the mock gateway's faults.
 */
export type Scope = 'read' | 'write' | 'refund' | 'operate'

export const SCOPES: readonly Scope[] = ['read', 'write', 'refund', 'operate']

/** What a token begins with: that of an API key, and that of a session. */
const PREFIXES = { key: 'pay', session: 'ses' } as const

type TokenKind = keyof typeof PREFIXES

const FORMS: Readonly<Record<TokenKind, RegExp>> = {
  key: /^pay_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/,
  session: /^ses_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/,
}

/** A new key: `token` is shown once, `hash` is stored. */
export interface NewKey {
  readonly id: string
  readonly token: string
  readonly hash: Buffer
}

/** The key that a request came with, as far as others may know it. */
export interface KnownKey {
  readonly ok: true
  readonly id: string
  readonly scopes: readonly Scope[]
  /** The session that speaks for the key; left out: the key itself was sent. */
  readonly session?: string
}

/** Who a request comes from, or that nobody knows. */
export type Checked = KnownKey | { readonly ok: false }

/** Make a key out of random bytes: 8 for the public id, 32 for the secret. */
export function newKey(random: (bytes: number) => Buffer, kind: TokenKind = 'key'): NewKey {
  const id = BigInt(`0x${random(8).toString('hex')}`)
    .toString(36)
    .padStart(13, '0')
    .slice(-12)
  const secret = random(32).toString('base64url')
  return { id, token: `${PREFIXES[kind]}_${id}_${secret}`, hash: hashOf(secret) }
}

/** The parts of a token, or null if it has not the form of one. */
export function parseToken(
  token: string,
  kind: TokenKind = 'key',
): { readonly id: string; readonly hash: Buffer } | null {
  const match = FORMS[kind].exec(token)
  const [, id, secret] = match ?? []
  return id === undefined || secret === undefined ? null : { id, hash: hashOf(secret) }
}

/** Compare hashes in constant time. */
export function sameHash(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

/** A fast hash is right for a secret of 256 random bits: it cannot be guessed at any speed. */
function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
