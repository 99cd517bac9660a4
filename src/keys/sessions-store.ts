import type { NewKey, Scope } from '../domain/api-key.ts'
import { SESSION_HOURS_MAX, SESSION_IDLE_MINUTES_MAX } from '../domain/session.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** A session of the console: somebody has signed in with a key. Never its secret. */
export interface Session {
  readonly id: string
  readonly keyId: string
  readonly keyName: string
  readonly scopes: readonly Scope[]
  readonly createdAt: Date
  /** When it was last used; up to a minute late. */
  readonly usedAt: Date
  readonly expiresAt: Date
}

/** Sessions of a key; beyond them the oldest end. */
const OF_KEY_MAX = 100
/** Sessions that a list shows. */
const LISTED_MAX = 1_000

const COLUMNS = `
    session.id, session.key_id as "keyId", key.name as "keyName", key.scopes,
    session.created_at as "createdAt", session.used_at as "usedAt",
    session.expires_at as "expiresAt"`

/** A session is in force until it is over, or idle for too long, or its key is revoked. */
const IN_FORCE = `
  from console_sessions session
  join api_keys key on key.id = session.key_id and key.revoked_at is null`

const IDLE = `interval '${SESSION_IDLE_MINUTES_MAX} minutes'`

/** Begin a session, and forget those that are over, and the oldest of a key that has too many. */
const INSERT: Unsharded<never> = {
  name: 'sessions_insert',
  ...timedUnsharded`
  with ${CLOCK}, gone as (
    delete from console_sessions
    where expires_at <= (select time from clock)
      or id in (
        select id
        from console_sessions
        where key_id = $4
        order by created_at desc
        offset ${String(OF_KEY_MAX - 1)}
      )
  )
  insert into console_sessions (id, secret_hash, key_id, created_at, used_at, expires_at)
  select $2, $3, $4, time, time, time + interval '${String(SESSION_HOURS_MAX)} hours'
  from clock`,
}

/** What a cookie is checked against. */
interface SessionInForce {
  readonly id: string
  readonly secretHash: Buffer
  readonly scopes: Scope[]
  readonly keyId: string
  readonly resting: boolean
}

/** Many at once, by the primary key; sessions that are not in force are as good as none. */
const FIND: Unsharded<SessionInForce> = {
  name: 'sessions_find',
  ...timedUnsharded`
  with ${CLOCK}
  select
    session.id, session.secret_hash as "secretHash", key.scopes, session.key_id as "keyId",
    session.used_at < clock.time - interval '1 minute' as resting${IN_FORCE}
  cross join clock
  where session.id = any ($2::text[]) and session.expires_at > clock.time
    and session.used_at > clock.time - ${IDLE}`,
}

/** Sessions in force, those that began last first. */
const LIST: Unsharded<Session> = {
  name: 'sessions_list',
  ...timedUnsharded`
  with ${CLOCK}
  select ${COLUMNS}${IN_FORCE}
  cross join clock
  where session.expires_at > clock.time and session.used_at > clock.time - ${IDLE}
  order by session.created_at desc
  limit ${String(LISTED_MAX)}`,
}

/** One session in force. */
const READ: Unsharded<Session> = {
  name: 'sessions_read',
  ...timedUnsharded`
  with ${CLOCK}
  select ${COLUMNS}${IN_FORCE}
  cross join clock
  where session.id = $2 and session.expires_at > clock.time
    and session.used_at > clock.time - ${IDLE}`,
}

/** Note that a session is used. Once a minute is often enough, whoever asks. */
const USE: Unsharded<never> = {
  name: 'sessions_use',
  ...timedUnsharded`
  update console_sessions
  set used_at = ${NOW}
  where id = $2 and used_at < ${NOW} - interval '1 minute'`,
}

const END: Unsharded<{ id: string }> = {
  name: 'sessions_end',
  sharded: false,
  text: `
  delete from console_sessions
  where id = $1
  returning id`,
}

/** Begin a session of a key. */
export async function beginSession(
  db: Global,
  session: Pick<NewKey, 'id' | 'hash'>,
  keyId: string,
): Promise<void> {
  await db.run(INSERT, [session.id, session.hash, keyId])
}

/** Those of the sessions that are in force, with the scopes of their keys. */
export function findSessions(db: Global, ids: readonly string[]): Promise<SessionInForce[]> {
  return db.run(FIND, [ids])
}

/** Note that a session is used. */
export async function useSession(db: Global, id: string): Promise<void> {
  await db.run(USE, [id])
}

/** Every session in force, the newest first. */
export function listSessions(db: Global): Promise<Session[]> {
  return db.run(LIST, [])
}

/** One session; null: it is not in force. */
export async function readSession(db: Global, id: string): Promise<Session | null> {
  const [session] = await db.run(READ, [id])
  return session ?? null
}

/** End a session for good; false: there is none with this id. */
export async function endSession(db: Global, id: string): Promise<boolean> {
  return (await db.run(END, [id])).length > 0
}
