import { parseToken, sameHash, type Scope } from '../domain/key.ts'
import type { Clock, Runner } from '../ports.ts'
import { findKey } from './store.ts'

/** Who a request comes from, or that nobody knows. */
export type Checked =
  | { readonly ok: true; readonly id: string; readonly scopes: readonly Scope[] }
  | { readonly ok: false }

interface Known {
  readonly secretHash: Buffer
  readonly scopes: readonly Scope[]
  readonly untilMs: number
}

/** How long a key that was found is believed: a revoked one is refused everywhere after it. */
const FOUND_MS = 3_000
/** How long an id that does not exist is believed not to, so that guessing does not load the database. */
const MISSING_MS = 1_000
const CACHED_MAX = 10_000
const NOBODY = Buffer.alloc(32)

export interface KeyChecker {
  /** Asks the database where it has to. Throws `Unavailable` when it cannot: nobody is let in unchecked. */
  check(token: string): Promise<Checked>
  /** The same from what is known already, without asking anybody; null: nothing is. */
  peek(token: string): Checked | null
}

/**
 * Make the check of API keys. A key is looked up at most every three seconds per process. The secret
 * is compared by its hash in constant time, for an unknown id as well.
 */
export function keyChecker(world: { readonly db: Runner; readonly clock: Clock }): KeyChecker {
  const cache = new Map<string, Known>()

  const find = async (id: string): Promise<Known> => {
    const nowMs = world.clock.elapsedMs()
    const cached = cache.get(id)
    if (cached !== undefined && cached.untilMs > nowMs) return cached
    const found = await findKey(world.db, id)
    const known =
      found === null
        ? { secretHash: NOBODY, scopes: [], untilMs: nowMs + MISSING_MS }
        : { ...found, untilMs: nowMs + FOUND_MS }
    if (cache.size >= CACHED_MAX) cache.clear()
    cache.set(id, known)
    return known
  }

  return {
    async check(token) {
      const parsed = parseToken(token)
      return parsed === null ? { ok: false } : compare(parsed, await find(parsed.id))
    },
    peek(token) {
      const parsed = parseToken(token)
      const known = parsed === null ? undefined : cache.get(parsed.id)
      if (parsed === null || known === undefined) return null
      return known.untilMs > world.clock.elapsedMs() ? compare(parsed, known) : null
    },
  }
}

function compare(
  { id, hash }: { readonly id: string; readonly hash: Buffer },
  known: Known,
): Checked {
  const same = sameHash(hash, known.secretHash)
  return same && known.scopes.length > 0 ? { ok: true, id, scopes: known.scopes } : { ok: false }
}
