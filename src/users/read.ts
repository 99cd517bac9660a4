import type { Db } from '../ports.ts'
import { eachPart, whole } from '../each-shard.ts'
import { readUsers, type User } from './store.ts'

/** Read users by id, in order; null where there is none. One statement per shard, whatever N. */
export async function viewUsers(db: Db, ids: readonly bigint[]): Promise<(User | null)[]> {
  const users = whole(await eachPart(db, ids, (id) => id, readUsers)).flat()
  const byId = new Map(users.map((user) => [user.id, user]))
  return ids.map((id) => byId.get(id) ?? null)
}
