import { parseToken, sameHash, type Checked, type Scope } from '../domain/api-key.ts'
import { Overloaded, Unavailable, type Clock, type Global } from '../ports.ts'
import { findSessions, useSession } from './sessions-store.ts'
import { findKeys } from './store.ts'

/** What a token is compared with, as its store finds it. */
interface Found {
  readonly id: string
  readonly secretHash: Buffer
  readonly scopes: readonly Scope[]
  /** The key that a session speaks for; left out: it is a key. */
  readonly keyId?: string
  /** It is a session that was not noted as used for a while. */
  readonly resting?: boolean
}

interface Known extends Found {
  /** When the question was asked that this is the answer to. */
  readonly askedMs: number
}

/** How long a key that was found is believed: a revoked one is refused everywhere after it. */
const BELIEVED_MS = 3_000
/** From this age on a key that is used is looked up again beside, so that nobody waits for it. */
const RENEW_MS = 1_500
/** How long after a look-up that failed nobody who is known waits for the next, in milliseconds. */
const AWAY_MS = 3_000
/** Keys that are remembered. Only keys that exist are, so nobody can fill it by guessing. */
const KNOWN_MAX = 10_000
/** How long look-ups for callers who guessed too often are collected, to be made as one. */
const PATIENCE_MS = 50
/** Ids of one look-up. */
const LOOKUP_MAX = 500
/** Ids that may wait for a look-up: more than connections can bring. */
const WAITING_MAX = 50_000
const NOBODY: Known = { id: '', secretHash: Buffer.alloc(32), scopes: [], askedMs: 0 }

interface KeyChecker {
  /**
   * Asks the database where it has to. Throws `Unavailable` when it cannot: nobody is let in
   * unchecked. `patient`: a moment later, together with others, because the caller has guessed too
   * often. `unused`: a page asks by itself, and nobody uses the session by that.
   */
  check(token: string, patient?: boolean, unused?: boolean): Promise<Checked>
  /** The same from what is known already, without asking anybody; null: nothing is. */
  peek(token: string, unused?: boolean): Checked | null
}

interface CheckWorld {
  readonly db: Global
  readonly clock: Clock
  readonly knownMax?: number
  /**
   * How long one that was found is believed while nobody can be asked, in milliseconds; not there:
   * no longer than otherwise. Whoever is the first to ask in three seconds waits for the look-up,
   * so one that was revoked is refused as soon as the database is back.
   */
  readonly outageMs?: number
}

/**
 * Make the check of API keys. A key in use is looked up every one and a half seconds per process,
 * and one that is not known once, however many requests wait for it. One look-up runs at a time and
 * takes along all ids that wait, so guessing keeps no more than one connection busy. The secret is
 * compared by its hash in constant time, for an unknown id as well.
 */
export function keyChecker(world: CheckWorld): KeyChecker {
  return checker(world, 'key', (ids) => findKeys(world.db, ids))
}

interface SessionChecker extends KeyChecker {
  /** Forget a session that has ended here; other processes do within seconds. */
  forget(id: string): void
}

/**
 * The same of sessions, whose key is read by the same look-up: so one whose key was revoked, or
 * that is over, is refused as soon as a key would be. That it is used is noted once a minute.
 */
export function sessionChecker(world: CheckWorld): SessionChecker {
  const { db } = world
  return checker(
    world,
    'session',
    (ids) => findSessions(db, ids),
    // What comes of it is seen by the next look-up.
    (id) => void useSession(db, id).catch(() => undefined),
  )
}

type Find = (ids: readonly string[]) => Promise<readonly Found[]>

function checker(
  { clock, knownMax = KNOWN_MAX, outageMs = 0 }: CheckWorld,
  kind: 'key' | 'session',
  find: Find,
  onUse: (id: string) => void = () => undefined,
): SessionChecker {
  const { cache, believed, learn, isAway, asks } = memory({ clock, knownMax, outageMs }, find)
  const remembered = (id: string): Known | null => {
    // While nobody can be asked, nobody who is known waits for that to be found out again.
    const known = believed(id, isAway() ? Math.max(BELIEVED_MS, outageMs) : BELIEVED_MS)
    if (known === null) return null
    const ageMs = clock.elapsedMs() - known.askedMs
    // What comes of it is seen by whoever asks after the old answer has expired.
    if (ageMs >= RENEW_MS && !asks(id)) learn(id, false).catch(() => undefined)
    return known
  }
  const compared = (hash: Buffer, known: Known, unused: boolean): Checked => {
    if (!sameHash(hash, known.secretHash) || known.scopes.length === 0) return { ok: false }
    const { id, scopes, keyId, resting = false } = known
    if (resting && !unused) {
      cache.set(id, { ...known, resting: false })
      onUse(id)
    }
    return keyId === undefined
      ? { ok: true, id, scopes }
      : { ok: true, id: keyId, scopes, session: id }
  }

  return {
    async check(token, patient = false, unused = false) {
      const parsed = parseToken(token, kind)
      if (parsed === null) return { ok: false }
      const known = remembered(parsed.id) ?? (await learn(parsed.id, patient))
      return compared(parsed.hash, known, unused)
    },
    peek(token, unused = false) {
      const parsed = parseToken(token, kind)
      const known = parsed === null ? null : remembered(parsed.id)
      return parsed === null || known === null ? null : compared(parsed.hash, known, unused)
    },
    forget: (id) => void cache.delete(id),
  }
}

/** What was looked up, and how it is looked up again. */
function memory({ clock, knownMax, outageMs }: Omit<Required<CheckWorld>, 'db'>, find: Find) {
  const cache = new Map<string, Known>()
  /** Since when a look-up is under way; infinity: none is. */
  let sinceMs = Number.POSITIVE_INFINITY
  const lookups = lookupQueue(clock, async (ids) => {
    sinceMs = clock.elapsedMs()
    try {
      return await find(ids)
    } finally {
      sinceMs = Number.POSITIVE_INFINITY
    }
  })
  /** When a look-up failed last, because nobody could be asked, unless one was answered since. */
  let failedMs = Number.NEGATIVE_INFINITY

  /** Nobody could be asked a moment ago, or one who was asked then has not answered yet. */
  const isAway = (): boolean => Math.min(clock.elapsedMs(), sinceMs) - failedMs < AWAY_MS

  const believed = (id: string, ageMsMax: number): Known | null => {
    const known = cache.get(id)
    return known !== undefined && clock.elapsedMs() - known.askedMs < ageMsMax ? known : null
  }
  const ask = async (id: string, isPatient: boolean): Promise<Known | null> => {
    try {
      const found = await lookups.find(id, isPatient)
      failedMs = Number.NEGATIVE_INFINITY
      return found
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error
      failedMs = clock.elapsedMs()
      const before = believed(id, outageMs)
      if (before === null) throw error
      return before
    }
  }
  const learn = async (id: string, isPatient: boolean): Promise<Known> => {
    const found = await ask(id, isPatient)
    // Deleted first, so that the first of the map is the key that was looked up least recently.
    cache.delete(id)
    if (found === null) return NOBODY
    const [oldest] = cache.keys()
    if (cache.size >= knownMax && oldest !== undefined) cache.delete(oldest)
    cache.set(id, found)
    return found
  }
  return { cache, believed, learn, isAway, asks: lookups.asks }
}

interface Asker {
  readonly resolve: (found: Known | null) => void
  readonly reject: (error: unknown) => void
}

/** Look-ups of ids, one at a time; an id that is being asked about already is not asked again. */
function lookupQueue(clock: Clock, find: Find) {
  const pending = new Map<string, Promise<Known | null>>()
  const askers = new Map<string, Asker>()
  let ready: string[] = []
  let patient: string[] = []
  let running = false

  const lookUp = async (ids: readonly string[]): Promise<void> => {
    const askedMs = clock.elapsedMs()
    let end: (id: string, asker: Asker) => void
    try {
      const rows = await find(ids)
      const byId = new Map(rows.map((row) => [row.id, { ...row, askedMs }]))
      end = (id, asker) => asker.resolve(byId.get(id) ?? null)
    } catch (error) {
      end = (_id, asker) => asker.reject(error)
    }
    for (const id of ids) {
      const asker = askers.get(id)
      askers.delete(id)
      pending.delete(id)
      if (asker !== undefined) end(id, asker)
    }
  }
  const run = async (): Promise<void> => {
    if (running) return
    running = true
    while (ready.length > 0) await lookUp(ready.splice(0, LOOKUP_MAX))
    running = false
  }
  const collect = async (): Promise<void> => {
    await clock.sleep(PATIENCE_MS)
    ready = [...ready, ...patient]
    patient = []
    await run()
  }
  const hurry = (id: string): void => {
    const at = patient.indexOf(id)
    if (at === -1) return
    patient.splice(at, 1)
    ready.push(id)
    void run()
  }

  return {
    asks: (id: string) => pending.has(id),
    find(id: string, isPatient: boolean): Promise<Known | null> {
      const known = pending.get(id)
      if (known !== undefined) {
        if (!isPatient) hurry(id)
        return known
      }
      if (pending.size >= WAITING_MAX) return Promise.reject(new Overloaded())
      const asked = new Promise<Known | null>((resolve, reject) => {
        askers.set(id, { resolve, reject })
      })
      pending.set(id, asked)
      if (isPatient) {
        patient.push(id)
        if (patient.length === 1) void collect()
      } else {
        ready.push(id)
        void run()
      }
      return asked
    },
  }
}
