import { columns } from '../domain/array-parameters.ts'
import type { UserTexts } from '../domain/details.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { Runner, Server, Shard, Statement, Tx, Unsharded } from '../ports.ts'

interface SaidRow {
  readonly id: bigint
  readonly externalId: string | null
  readonly metadata: string | null
}

const SAID = columns<SaidRow>({ id: 'bigint', externalId: 'text', metadata: 'text' })

/**
 * Write what is said about users, in order of their external ids. One that another transaction is
 * taking is waited for; whoever has one keeps it.
 */
const SAY: Statement<never> = {
  name: 'user_details_say',
  text: `
  insert into user_details (shard, user_id, external_id, metadata)
  select $1::int, id, external_id, metadata::jsonb
  from ${SAID.unnest('said', 2)}
  order by external_id, id
  on conflict do nothing`,
}

const WANTED = columns<{ readonly externalId: string }>({ externalId: 'text' })

/** Who has these external ids. */
const NAMED: Statement<{ externalId: string; userId: bigint }> = {
  name: 'user_details_named',
  text: `
  select named.external_id as "externalId", named.user_id as "userId"
  from ${WANTED.unnest('wanted', 2)}
  cross join lateral (
    select external_id, user_id
    from user_details
    where shard = $1 and external_id = wanted.external_id
    limit 1
  ) named`,
}

/**
 * Who has these external ids, `$3`, in shards of a server from `$1` to `$2`. Who had one before
 * there were more shards is not in the shard that the text tells.
 */
const NAMED_ANYWHERE: Unsharded<{ externalId: string; userId: bigint }> = {
  name: 'looks_external_ids',
  sharded: false,
  text: `
  select named.external_id as "externalId", named.user_id as "userId"
  from unnest($3::text[]) as wanted (external_id)
  cross join generate_series($1::int, $2::int) as asked (number)
  cross join lateral (
    select external_id, user_id
    from user_details
    where shard = asked.number and external_id = wanted.external_id
    limit 1
  ) named`,
}

/** The metadata of a user. Behind its lock, so that it is what the last one left. */
const METADATA: Statement<Pick<UserTexts, 'metadata'>> = {
  name: 'user_details_metadata',
  text: `
  select metadata
  from user_details
  where shard = $1 and user_id = $2`,
}

/** Change the metadata of a user; its external id stays. */
const WRITE_METADATA: Statement<never> = {
  name: 'user_details_write_metadata',
  text: `
  insert into user_details (shard, user_id, metadata)
  values ($1::int, $2::bigint, $3::jsonb)
  on conflict (shard, user_id) do update
  set metadata = excluded.metadata`,
}

/** Take away what is said about a user, and tell what there was. */
const ERASE: Statement<{ externalId: boolean; metadata: boolean }> = {
  name: 'user_details_erase',
  text: `
  delete from user_details
  where shard = $1 and user_id = $2
  returning external_id is not null as "externalId", metadata is not null as metadata`,
}

/** Say something about users that are being opened, and read who has their external ids. */
export async function sayOf(
  tx: Tx,
  said: readonly (UserTexts & { readonly id: bigint })[],
): Promise<ReadonlyMap<string, bigint>> {
  if (said.length === 0) return new Map()
  const rows = said.map(({ id, externalId, metadata }) => {
    return { id, externalId, metadata: metadata === null ? null : writeJson(metadata) }
  })
  const wanted = said.flatMap(({ externalId }) => (externalId === null ? [] : [{ externalId }]))
  const [, holders] = await Promise.all([
    tx.run(SAY, SAID.of(rows)),
    wanted.length === 0 ? [] : tx.run(NAMED, WANTED.of(wanted)),
  ])
  return new Map(holders.map(({ externalId, userId }) => [externalId, userId]))
}

/** Who has an external id; null: nobody. */
export async function userNamed(shard: Runner, externalId: string): Promise<bigint | null> {
  const [named] = await shard.run(NAMED, WANTED.of([{ externalId }]))
  return named?.userId ?? null
}

/** Who has external ids in the shards of a server. */
export async function namedOn(
  session: Shard,
  { first, last }: Server,
  externalIds: readonly string[],
): Promise<{ externalId: string; userId: bigint }[]> {
  return session.run(NAMED_ANYWHERE, [first, last, externalIds])
}

/** The metadata of a user that is locked. */
export async function metadataOf(tx: Tx, userId: bigint): Promise<UserTexts['metadata']> {
  const [said] = await tx.run(METADATA, [userId])
  return said?.metadata ?? null
}

/** Change the metadata of a user that is locked. */
export function writeMetadata(tx: Tx, userId: bigint, metadata: UserTexts['metadata']): void {
  tx.write(WRITE_METADATA, [userId, metadata === null ? null : writeJson(metadata)])
}

/** Take away what is said about a user that is locked, and tell what there was. */
export async function eraseTexts(
  tx: Tx,
  userId: bigint,
): Promise<{ readonly externalId: boolean; readonly metadata: boolean }> {
  const [was] = await tx.run(ERASE, [userId])
  return was ?? { externalId: false, metadata: false }
}
