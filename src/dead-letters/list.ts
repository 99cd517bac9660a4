import type { Db } from '../ports.ts'
import { eachInTurn, eachShard, whole } from '../each-shard.ts'
import {
  groupsOfLetters,
  pageOfLetters,
  type LetterFilter,
  type LetterGroup,
} from './list-store.ts'
import { readLetters, type DeadLetter } from './store.ts'

/**
 * A page over all shards, newest first. A shard can hold the whole page, so each is asked for it.
 */
export async function listLetters(
  db: Db,
  filter: LetterFilter,
  limit: number,
  offset: number,
): Promise<DeadLetter[]> {
  const [only] = db.shards
  if (db.shards.length === 1 && only) return pageOfLetters(only, filter, limit, offset)
  const pages = whole(
    await eachShard(db.shards, (shard) => pageOfLetters(shard, filter, limit + offset, 0)),
  )
  const newest = pages.flat().sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
  return newest.slice(offset, offset + limit)
}

/** Read one letter; null when there is none. */
export async function readLetter(db: Db, id: bigint): Promise<DeadLetter | null> {
  const [letter] = await readLetters(db.of(id), [id])
  return letter ?? null
}

/** Open letters of all shards by cause, the largest groups first. */
export async function groupLetters(db: Db): Promise<LetterGroup[]> {
  const groups = new Map<string, LetterGroup>()
  for (const own of whole(await eachInTurn(db.shards, groupsOfLetters)).flat()) {
    const currency = own.currency ?? db.currency
    const name = [own.class, own.type, currency, own.error].join(' ')
    const known = groups.get(name)
    groups.set(name, known === undefined ? { ...own, currency } : together(known, own))
  }
  return [...groups.values()].sort((one, other) => other.count - one.count)
}

function together(one: LetterGroup, other: LetterGroup): LetterGroup {
  return {
    ...one,
    count: one.count + other.count,
    amount: one.amount + other.amount,
    oldestAt: one.oldestAt < other.oldestAt ? one.oldestAt : other.oldestAt,
    newestAt: one.newestAt > other.newestAt ? one.newestAt : other.newestAt,
  }
}
