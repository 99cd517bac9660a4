import { randomBytes } from 'node:crypto'
import { newKey } from '../domain/api-key.ts'
import type { Global } from '../ports.ts'
import { beginSession } from './sessions-store.ts'

/** Sign somebody in with a key: a new session, and its token, which is told once. */
export async function signIn(
  db: Global,
  keyId: string,
): Promise<{ readonly id: string; readonly token: string }> {
  const session = newKey(randomBytes, 'session')
  await beginSession(db, session, keyId)
  return session
}
