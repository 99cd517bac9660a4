import { columns } from '../domain/array-parameters.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { KeyHolder, UserKey } from '../domain/opening.ts'
import { NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

interface KeyRow extends UserKey {
  readonly userId: bigint
  readonly sent: string
}

const RESERVED = columns<KeyRow>({ apiKey: 'text', key: 'text', userId: 'bigint', sent: 'text' })

/**
 * Reserve keys for users, in order of the keys, so that two batches never wait for each other in a
 * circle. A key that another transaction is reserving is waited for; one that is taken stays as it
 * is.
 */
const RESERVE: Statement<never> = {
  name: 'user_keys_reserve',
  ...timed`
  insert into user_keys (shard, api_key, key, user_id, sent, created_at)
  select $1::int, api_key, key, user_id, sent::jsonb, ${NOW}
  from ${RESERVED.unnest('draft', 3)}
  order by api_key, key
  on conflict do nothing`,
}

const KEYS = columns<UserKey>({ apiKey: 'text', key: 'text' })

/** Who has these keys. A statement of its own, so it sees what was waited for. */
const HOLDERS: Statement<KeyHolder> = {
  name: 'user_keys_read',
  text: `
  select held.api_key as "apiKey", held.key, held.user_id as "userId", held.sent
  from ${KEYS.unnest('wanted', 2)}
  cross join lateral (
    select *
    from user_keys
    where shard = $1 and api_key = wanted.api_key and key = wanted.key
    limit 1
  ) held`,
}

const RELEASED = columns<UserKey & { readonly userId: bigint }>({
  apiKey: 'text',
  key: 'text',
  userId: 'bigint',
})

/** Give up keys under which no user was opened after all. */
const RELEASE: Statement<never> = {
  name: 'user_keys_release',
  text: `
  delete from user_keys
  using ${RELEASED.unnest('refused', 2)}
  where user_keys.shard = $1 and user_keys.api_key = refused.api_key
    and user_keys.key = refused.key and user_keys.user_id = refused.user_id`,
}

/** Take away the hashes of what was said when a user was opened; its key stays. */
const ERASE_SENT: Statement<never> = {
  name: 'user_keys_erase_sent',
  text: `
  update user_keys
  set sent = sent - array['external_id', 'metadata']
  where shard = $1 and user_id = $2`,
}

/** Reserve keys where they are free, and read who has them. */
export async function reserveKeys(
  tx: Tx,
  drafts: readonly (UserKey & Pick<KeyHolder, 'userId' | 'sent'>)[],
): Promise<KeyHolder[]> {
  if (drafts.length === 0) return []
  const rows = drafts.map((draft) => ({ ...draft, sent: writeJson(draft.sent) }))
  const [, holders] = await Promise.all([
    tx.run(RESERVE, RESERVED.of(rows)),
    tx.run(HOLDERS, KEYS.of(drafts)),
  ])
  return holders
}

/** Give up keys under which no user was opened after all. */
export function releaseKeys(
  tx: Tx,
  refused: readonly (UserKey & { readonly userId: bigint })[],
): void {
  if (refused.length > 0) tx.write(RELEASE, RELEASED.of(refused))
}

/**
 * Take away the hashes of what was said when a user was opened, in a shard that may have its key.
 */
export async function eraseSent(shard: Runner, userId: bigint): Promise<void> {
  await shard.run(ERASE_SENT, [userId])
}
