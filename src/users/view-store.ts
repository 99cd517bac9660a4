import { numbers } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'
import type { User } from './store.ts'

/** A user as it is shown. */
export interface UserView extends User {
  readonly createdAt: Date
  readonly externalId: string | null
  readonly metadata: Readonly<Record<string, string>> | null
}

/** What is said about a user; null where nothing is. The limit keeps the planner from a join. */
const SAID = `
  left join lateral (
    select external_id, metadata
    from user_details
    where user_details.shard = $1 and user_details.user_id = users.id
    limit 1
  ) said on true`

const COLUMNS = `
    id, available, held, currency, created_at as "createdAt", said.external_id as "externalId",
    said.metadata`

/** Read users with what is said about them: apart from reading them for payments. */
const READ: Statement<UserView> = {
  name: 'users_view',
  text: `
  select ${COLUMNS}
  from users${SAID}
  where users.shard = $1 and users.id = any ($2::bigint[])`,
}

/**
 * Users that one page of a filtered list looks at, in a shard: no index has the times at which they
 * were opened, so a page looks at so many and says where the next one is to go on.
 */
const LOOKED_AT_MAX = 10_000

/** The last of the users below `$2` that a page looks at; none when there are fewer. */
const FLOOR: Statement<{ floor: bigint }> = {
  name: 'users_page_floor',
  text: `
  select id as floor
  from users
  where shard = $1 and id < $2
  order by id desc
  offset ${LOOKED_AT_MAX - 1} limit 1`,
}

/** A page of users, newest first, from below the id `$2` down to `$3`. */
const PAGE: Statement<UserView> = {
  name: 'users_page',
  text: `
  select ${COLUMNS}
  from users${SAID}
  where users.shard = $1 and users.id < $2 and users.id >= $3
    and ($5::timestamptz is null or created_at >= $5)
    and ($6::timestamptz is null or created_at < $6)
  order by users.id desc
  limit $4`,
}

/** Read users of a shard as they are shown; users that do not exist are left out. */
export async function readViews(shard: Runner, ids: readonly bigint[]): Promise<UserView[]> {
  return ids.length === 0 ? [] : shard.run(READ, [numbers(ids)])
}

/** What a list of users is filtered by; null: not. */
export interface UserFilter {
  readonly externalId: string | null
  /** Opened at this time or later. */
  readonly from: Date | null
  /** Opened before this time. */
  readonly to: Date | null
}

/** What one look at a shard's users gave. */
interface Look {
  /** Those that match, newest first. */
  readonly users: readonly UserView[]
  /** The lowest id of which it is known whether it matches; null: of all of them. */
  readonly downTo: bigint | null
}

/** Up to `limit` users of one shard that match times, newest first, with ids below `before`. */
export async function lookAtUsers(
  shard: Runner,
  { from, to }: UserFilter,
  before: bigint,
  limit: number,
): Promise<Look> {
  // Every user matches: the limit is enough.
  const [row] = (from ?? to) === null ? [] : await shard.run(FLOOR, [before])
  const floor = row?.floor ?? null
  const users = await shard.run(PAGE, [before, floor ?? 0n, limit, from, to])
  const full = users.length === limit
  return { users, downTo: full ? (users.at(-1)?.id ?? null) : floor }
}
