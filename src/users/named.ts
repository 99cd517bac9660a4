import { eachServer } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { namedOn } from './details-store.ts'

/** Who had external ids before the database got more shards. */
interface HoldersFromBefore {
  readonly holders: ReadonlyMap<string, bigint>
  /** Why a server could not be asked: who is not among the holders may be there. */
  readonly failed: { readonly error: unknown } | null
}

const NOBODY: HoldersFromBefore = { holders: new Map(), failed: null }

/**
 * Who has these external ids, in any shard: an external id tells the shard of a user, but for users
 * of before there were more shards. One statement for each server, and none where the database has
 * had its shards from the start. Who has one keeps it, and nobody gets one in another shard than it
 * tells: so what is found here needs no lock.
 */
export async function holdersFromBefore(
  db: Db,
  externalIds: readonly string[],
): Promise<HoldersFromBefore> {
  if (externalIds.length === 0 || (await db.growth()) === null) return NOBODY
  const wanted = [...new Set(externalIds)]
  const { done, failed } = await eachServer(db, (session, server) =>
    namedOn(session, server, wanted),
  )
  const found = done.flatMap(({ value }) => value)
  return {
    holders: new Map(found.map(({ externalId, userId }) => [externalId, userId])),
    failed: failed[0] ?? null,
  }
}
