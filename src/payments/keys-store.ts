import { columns } from '../domain/array-parameters.ts'
import type { Runner, Statement } from '../ports.ts'

/** A key of a user's requests. */
export interface Keyed {
  readonly userId: bigint
  readonly key: string
}

const KEYED = columns<Keyed>({ userId: 'bigint', key: 'text' })

/**
 * The payments first made under keys, of `KEYED` from `$2` on. The limit keeps the planner from
 * turning it into a join, for which it may read every payment there is while it takes the table for
 * empty: a plan lives for seconds, and that is long enough.
 */
export const UNDER_KEYS = `${KEYED.unnest('request', 2)}
  cross join lateral (
    select *
    from payments
    where shard = $1 and user_id = request.user_id and idempotency_key = request.key
    limit 1
  ) payment`

/** The ids of payments under these keys that are in ranges behind the first. */
const LATER: Statement<{ id: bigint }> = {
  name: 'payment_keys_read',
  text: `
  select kept.payment_id as id
  from ${KEYED.unnest('request', 2)}
  cross join lateral (
    select payment_id
    from payment_keys
    where shard = $1 and user_id = request.user_id and key = request.key
    limit 1
  ) kept`,
}

/**
 * What was first made under keys, wherever it is. Where payments are in ranges, `under` is asked of
 * the first one, beside the ids of what is in later ones, which `read` then reads: only repeated
 * keys have any.
 */
export async function underKeys<Row>(
  tx: Runner,
  keys: readonly Keyed[],
  under: Statement<Row>,
  read: (ids: readonly bigint[]) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  if (keys.length === 0) return []
  const values = KEYED.of(keys)
  const first = tx.ofFirstRange?.(under) ?? null
  if (first === null) return tx.run(under, values)
  const [found, later] = await Promise.all([tx.run(first, values), laterUnder(tx, keys)])
  return later.length === 0 ? found : [...found, ...(await read(later))]
}

/** The ids of payments under these keys that are in ranges behind the first. */
export async function laterUnder(runner: Runner, keys: readonly Keyed[]): Promise<bigint[]> {
  const rows = await runner.run(LATER, KEYED.of(keys))
  return rows.map(({ id }) => id)
}
