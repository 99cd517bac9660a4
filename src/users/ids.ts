import type { Db } from '../ports.ts'

/** Ids that are drawn at a time, and how often, before somebody gives up. */
const DRAWN_MAX = 1_000
const TURNS_MAX = 1_000

/**
 * Take an unused user id in each of these shards, in order; null: in any. Ids come from one
 * sequence over all shards, so those that fall elsewhere are left out: a gap is no harm.
 */
export async function takeIdsIn(db: Db, homes: readonly (number | null)[]): Promise<bigint[]> {
  const ids: bigint[] = []
  const places = new Map<number | null, number[]>()
  homes.forEach((home, place) => {
    const atHome = places.get(home)
    if (atHome === undefined) places.set(home, [place])
    else atHome.push(place)
  })
  const anywhere = [...places.keys()].every((home) => home === null) || db.shards.length === 1
  let left = homes.length
  for (let turn = 0; left > 0 && turn < TURNS_MAX; turn += 1) {
    const count = anywhere ? left : Math.min(left * db.shards.length, DRAWN_MAX)
    for (const id of await db.userIds(count)) {
      const place = places.get(db.of(id).number)?.shift() ?? places.get(null)?.shift()
      if (place === undefined) continue
      ids[place] = id
      left -= 1
    }
  }
  if (left > 0) throw new Error('no ids in the shards that were asked for')
  return ids
}
