import type { Db } from '../ports.ts'
import { eachInTurn, eachShard, partly, shardWith, type Partly } from '../each-shard.ts'
import {
  groupsOfLetters,
  pageOfLetters,
  type LetterFilter,
  type LetterGroup,
} from './list-store.ts'
import { readLetters, type DeadLetter } from './store.ts'

/**
 * A page over all shards, newest first. A shard can hold the whole page, so each is asked for it.
 * Letters of one that cannot be asked are left out; it throws when none can be asked.
 */
export async function listLetters(
  db: Db,
  filter: LetterFilter,
  limit: number,
  offset: number,
): Promise<Partly<DeadLetter>> {
  const [only] = db.shards
  if (db.shards.length === 1 && only) {
    return { known: await pageOfLetters(only, filter, limit, offset), missing: [] }
  }
  const { known: pages, missing } = partly(
    await eachShard(db.shards, (shard) => pageOfLetters(shard, filter, limit + offset, 0)),
  )
  const newest = pages.flat().sort((one, other) => Number(other.createdAt) - Number(one.createdAt))
  return { known: newest.slice(offset, offset + limit), missing }
}

/** Read one letter; null when there is none. */
export async function readLetter(db: Db, id: bigint): Promise<DeadLetter | null> {
  const [letter] = await readLetters(await shardWith(db, 'letter', id), [id])
  return letter ?? null
}

/** Open letters by cause, and the shards that could not be asked. */
export type LetterGroups = Partly<LetterGroup>

/**
 * Open letters of all shards that can be asked by cause, the largest groups first. It throws when
 * none can be asked.
 */
export async function groupLetters(db: Db): Promise<LetterGroups> {
  const groups = new Map<string, LetterGroup>()
  const { known, missing } = partly(await eachInTurn(db.shards, groupsOfLetters))
  for (const group of known.flat()) {
    const currency = group.currency ?? db.currency
    const name = [group.class, group.type, currency, group.error].join(' ')
    const before = groups.get(name)
    groups.set(name, before === undefined ? { ...group, currency } : together(before, group))
  }
  const largest = [...groups.values()].sort((one, other) => other.count - one.count)
  return { known: largest, missing }
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
