import { openingEntry } from '../domain/ledger.ts'
import { shardOf } from '../domain/shard.ts'
import { post } from '../ledger/post.ts'
import type { Clock, Db } from '../ports.ts'
import { insertUsers, takeUserIds, type User } from './store.ts'

/**
 * Open a user for each opening balance (minor units, 0 or more), in order. An id tells its shard, so
 * a batch is one transaction per shard that it falls into.
 */
export async function openUsers(
  world: { readonly db: Db; readonly clock: Clock; readonly shards: number },
  balances: readonly bigint[],
): Promise<User[]> {
  const ids = await takeUserIds(world.db, balances.length)
  const users = balances.map((balance, index): User => {
    const id = ids[index]
    if (id === undefined) throw new Error('fewer ids than users')
    return { id, available: balance, held: 0n }
  })
  for (let shard = 0; shard < world.shards; shard += 1) {
    const own = users.filter((user) => shardOf(user.id, world.shards) === shard)
    if (own.length > 0) await openInShard(world, shard, own)
  }
  return users
}

async function openInShard(
  world: { readonly db: Db; readonly clock: Clock },
  shard: number,
  users: readonly User[],
): Promise<void> {
  const at = world.clock.database()
  await world.db.transaction(async (tx) => {
    insertUsers(
      tx,
      shard,
      users.map((user) => user.id),
      at,
    )
    const entries = users.map((user) => openingEntry(user.id, user.available))
    post(tx, shard, entries, at)
  })
}
