import type { Db } from '../ports.ts'
import { eachPart, eachShard, partly } from '../each-shard.ts'
import { userNamed } from './details-store.ts'
import { holdersFromBefore } from './named.ts'
import { externalIdShard } from './open.ts'
import { lookAtUsers, readViews, type UserFilter, type UserView } from './view-store.ts'

/** The shard of a user could not be asked, and nobody else's suffers. */
interface Unread {
  readonly error: unknown
}

/** A user as it is shown: its currency is named. */
export type ShownUser = UserView & { readonly currency: string }

function shown(db: Db, user: UserView): ShownUser {
  return { ...user, currency: user.currency ?? db.currency }
}

/** Read users by id, in order; null where there is none. One statement per shard, whatever N. */
export async function viewUsers(
  db: Db,
  ids: readonly bigint[],
): Promise<(ShownUser | Unread | null)[]> {
  const byId = new Map<bigint, ShownUser | Unread>()
  await eachPart(
    db,
    ids,
    (id) => id,
    async (shard, part) => {
      try {
        for (const user of await readViews(shard, part)) byId.set(user.id, shown(db, user))
      } catch (error) {
        for (const id of part) byId.set(id, { error })
      }
    },
  )
  return ids.map((id) => byId.get(id) ?? null)
}

/** A page of users, and below which id the next one begins; null: there is no more. */
export interface PageOfUsers {
  readonly users: readonly ShownUser[]
  readonly next: bigint | null
  /** The shards that could not be asked: their users are not on the page. */
  readonly missing: readonly number[]
}

/**
 * A page of users over all shards, newest first, with ids below `before`. A shard that cannot be
 * asked hides only its own users, and the page says so; it throws when none can be asked.
 *
 * With times it may hold fewer than `limit`, or none, although there is a next one: a page looks at
 * so many users only.
 */
export async function pageOfUsers(
  db: Db,
  filter: UserFilter,
  before: bigint,
  limit: number,
): Promise<PageOfUsers> {
  const { externalId } = filter
  if (externalId !== null) return userWithName(db, { ...filter, externalId }, before)
  const { known: looks, missing } = partly(
    await eachShard(db.shards, (shard) => lookAtUsers(shard, filter, before, limit + 1)),
  )
  // Below that, a shard that was not looked through might have one that belongs in between.
  const downTo = looks.reduce((highest, look) => {
    return look.downTo !== null && look.downTo > highest ? look.downTo : highest
  }, 0n)
  const newest = looks
    .flatMap((look) => look.users)
    .filter(({ id }) => id >= downTo)
    .toSorted((one, other) => (one.id < other.id ? 1 : -1))
  const users = newest.slice(0, limit).map((user) => shown(db, user))
  const beyond = newest.length > limit ? (users.at(-1)?.id ?? null) : downTo
  return { users, next: beyond === 0n ? null : beyond, missing }
}

/**
 * The user with an external id, which is in one shard only: in that which the text tells, if it is
 * not one of before there were more.
 */
async function userWithName(
  db: Db,
  { externalId, from, to }: UserFilter & { readonly externalId: string },
  before: bigint,
): Promise<PageOfUsers> {
  const told = db.of(BigInt(externalIdShard(db, externalId)))
  const id = (await userNamed(told, externalId)) ?? (await namedAnywhere(db, externalId))
  const found = id === null || id >= before ? [] : await readViews(db.of(id), [id])
  const users = found.filter(
    ({ createdAt }) => (from === null || createdAt >= from) && (to === null || createdAt < to),
  )
  return { users: users.map((user) => shown(db, user)), next: null, missing: [] }
}

async function namedAnywhere(db: Db, externalId: string): Promise<bigint | null> {
  const { holders, failed } = await holdersFromBefore(db, [externalId])
  const id = holders.get(externalId) ?? null
  if (id === null && failed !== null) throw failed.error
  return id
}
