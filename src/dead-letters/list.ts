import { shardOf } from '../domain/shard.ts'
import type { Runner } from '../ports.ts'
import { pageOfLetters, type LetterFilter } from './list-store.ts'
import { readLetters, type DeadLetter } from './store.ts'

export interface ListWorld {
  readonly db: Runner
  readonly shards: number
}

/** A page over all shards, newest first. A shard can hold the whole page, so each is asked for it. */
export async function listLetters(
  { db, shards }: ListWorld,
  filter: LetterFilter,
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  if (shards === 1) return pageOfLetters(db, 0, filter, limit, offset)
  const all = Array.from({ length: shards }, (_, shard) => shard)
  const pages = await Promise.all(
    all.map((shard) => pageOfLetters(db, shard, filter, limit + offset, 0)),
  )
  const newest = pages.flat().sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
  return newest.slice(offset, offset + limit)
}

/** Read one letter; null when there is none. */
export async function readLetter(world: ListWorld, id: bigint): Promise<DeadLetter | null> {
  const [letter] = await readLetters(world.db, shardOf(id, world.shards), [id])
  return letter ?? null
}
