import type { Scope } from '../domain/api-key.ts'
import type { Global, Unsharded } from '../ports.ts'

/** An API key as it is stored: never its secret. */
export interface StoredKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdAt: Date
  readonly revokedAt: Date | null
}

const INSERT: Unsharded<StoredKey> = {
  name: 'keys_insert',
  sharded: false,
  text: `
  insert into api_keys (id, secret_hash, name, scopes)
  values ($1, $2, $3, $4::text[])
  returning id, name, scopes, created_at as "createdAt", revoked_at as "revokedAt"`,
}

const LIST: Unsharded<StoredKey> = {
  name: 'keys_list',
  sharded: false,
  text: `
  select id, name, scopes, created_at as "createdAt", revoked_at as "revokedAt"
  from api_keys
  order by created_at desc`,
}

/** Revoke a key for good; a key that is revoked already keeps its first time. */
const REVOKE: Unsharded<StoredKey> = {
  name: 'keys_revoke',
  sharded: false,
  text: `
  update api_keys
  set revoked_at = coalesce(revoked_at, now())
  where id = $1
  returning id, name, scopes, created_at as "createdAt", revoked_at as "revokedAt"`,
}

/** What a request is checked against. */
interface KeyInForce {
  readonly id: string
  readonly secretHash: Buffer
  readonly scopes: Scope[]
}

/** Many at once, by the primary key; revoked keys are as good as none. */
const FIND: Unsharded<KeyInForce> = {
  name: 'keys_find',
  sharded: false,
  text: `
  select id, secret_hash as "secretHash", scopes
  from api_keys
  where id = any ($1::text[]) and revoked_at is null`,
}

/** Store a new key by the hash of its secret. */
export async function insertKey(
  db: Global,
  key: { readonly id: string; readonly hash: Buffer },
  name: string,
  scopes: readonly Scope[],
): Promise<StoredKey | null> {
  const [row] = await db.run(INSERT, [key.id, key.hash, name, `{${scopes.join(',')}}`])
  return row ?? null
}

/** Every key ever made, newest first. */
export function listKeys(db: Global): Promise<StoredKey[]> {
  return db.run(LIST, [])
}

/** Revoke a key; null: there is none with this id. */
export async function revokeKey(db: Global, id: string): Promise<StoredKey | null> {
  const [row] = await db.run(REVOKE, [id])
  return row ?? null
}

/** The hashes and scopes of those of the keys that are in force, in no order. */
export function findKeys(db: Global, ids: readonly string[]): Promise<KeyInForce[]> {
  return db.run(FIND, [ids])
}
