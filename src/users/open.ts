import { openingEntry } from '../domain/ledger.ts'
import { post } from '../ledger/post.ts'
import type { Db } from '../ports.ts'
import { eachPart, whole } from '../each-shard.ts'
import { insertUsers, takeUserIds, type User } from './store.ts'

/**
 * Open a user for each opening balance (minor units, 0 or more), in order. An id tells its shard,
 * so a batch is one transaction per shard that it falls into.
 */
export async function openUsers(db: Db, balances: readonly bigint[]): Promise<User[]> {
  const ids = await takeUserIds(db.global, balances.length)
  const users = balances.map((balance, index): User => {
    const id = ids[index]
    if (id === undefined) throw new Error('fewer ids than users')
    return { id, available: balance, held: 0n, currency: null }
  })
  const opened = await eachPart(
    db,
    users,
    ({ id }) => id,
    (shard, part) =>
      shard.transaction(async (tx) => {
        insertUsers(
          tx,
          part.map(({ id }) => id),
        )
        post(
          tx,
          part.map(({ id, available }) => openingEntry(id, available)),
        )
      }),
  )
  whole(opened)
  return users
}
