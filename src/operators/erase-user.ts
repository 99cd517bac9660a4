import type { Erased } from '../domain/details.ts'
import type { Operator } from '../domain/operator.ts'
import type { Refusal } from '../domain/refusal.ts'
import { ID_MAX } from '../domain/shard.ts'
import { eraseReplies } from '../events/replies-store.ts'
import { eraseEvents } from '../events/store.ts'
import { erasePayments } from '../payments/details-store.ts'
import { isOpenAmong, paymentsNewer, paymentsToErase } from '../payments/of-user-store.ts'
import type { Db, Shard, Tx } from '../ports.ts'
import { eachShard, onceStored, whole } from '../each-shard.ts'
import { lockUsers, readUsers } from '../users/store.ts'
import { eraseTexts } from '../users/details-store.ts'
import { eraseSent } from '../users/opening-keys-store.ts'
import { insertTextAct, takeActId } from './acts-store.ts'
import { aboutUser, underKey } from './under-key.ts'

type EraseAnswer =
  | { readonly kind: 'erased'; readonly erased: Erased }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** Who erases, and why. */
type Eraser = Omit<Operator, 'redriveId'>

const OPEN: EraseAnswer = { kind: 'refused', refusal: { code: 'payments_open' } }

/**
 * Erase what was said about a user and its payments: texts, the hashes of them, references. The
 * books are not touched, and who erased is kept.
 *
 * While a payment is not final nothing is erased, because it would be sent to the gateway as
 * another one. A user may have any number of payments, so they are erased in pages, newest first,
 * each a transaction under the lock of the user, behind which it is asked whether what repeats them
 * is final too. Whoever is cut short begins again: what is erased stays so.
 */
export async function eraseUser(db: Db, userId: bigint, by: Eraser): Promise<EraseAnswer> {
  const shard = db.of(userId)
  const [user] = await readUsers(shard, [userId])
  if (user === undefined) return { kind: 'refused', refusal: { code: 'user_not_found' } }
  const newest = await look(shard, userId)
  const payments = newest === null ? null : await eraseEach(shard, userId, newest)
  if (newest === null || payments === null) return OPEN
  const erased = await onceStored(async () => {
    // The key under which it was opened may be in any shard.
    whole(await eachShard(db.shards, (each) => eraseSent(each, userId)))
    return shard.transaction((tx) => end(tx, { userId, newest, payments }, by))
  })
  return erased === null ? OPEN : { kind: 'erased', erased }
}

/** The same once for the key of a request; null: it has none. */
export function eraseUnderKey(
  db: Db,
  { id, key }: { readonly id: bigint; readonly key: string | null },
  by: Omit<Eraser, 'key'>,
) {
  const { reason } = by
  const request = {
    key,
    about: aboutUser(id),
    act: 'erase',
    fields: { reason },
  } as const
  return underKey<EraseAnswer & { readonly kind: 'erased' }>(
    db,
    request,
    (stored) => eraseUser(db, id, { ...by, key: stored }),
    ({ before }) => {
      const externalId = (before['external_id'] ?? null) !== null
      const metadata = (before['metadata'] ?? null) !== null
      const payments = Number(before['payments'] ?? 0)
      return { kind: 'erased', erased: { externalId, metadata, payments } }
    },
  )
}

/** The id of the newest payment of a user, 0 without any; null: one is not final. */
async function look(shard: Shard, userId: bigint): Promise<bigint | null> {
  let newest = 0n
  let before = ID_MAX
  // Ends: each page is below the one before.
  for (;;) {
    const page = await paymentsToErase(shard, userId, before)
    const last = page.at(-1)
    if (page.some(({ open }) => open)) return null
    if (last === undefined) return newest
    if (newest === 0n) newest = page[0]?.id ?? 0n
    before = last.id
  }
}

/**
 * Erase what was said about payments up to `newest`: about how many something was. Null: one is not
 * final.
 */
async function eraseEach(shard: Shard, userId: bigint, newest: bigint): Promise<number | null> {
  let payments = 0
  let before = newest + 1n
  // Ends: each page is below the one before.
  for (;;) {
    const from = before
    const erase = () =>
      shard.transaction(async (tx) => {
        if (!(await lockFinal(tx, userId, newest))) return null
        const seen = await paymentsToErase(tx, userId, from)
        const ids = seen.map(({ id }) => id)
        if (await isOpenAmong(tx, ids)) return null
        eraseEvents(tx, ids)
        eraseReplies(tx, ids)
        return { erased: await erasePayments(tx, ids), last: ids.at(-1) }
      })
    const page = await (payments === 0 ? erase() : onceStored(erase))
    if (page === null) return null
    payments += page.erased
    if (page.last === undefined) return payments
    before = page.last
  }
}

/**
 * Lock a user. False: a payment that is newer than those that were looked at is not final. One that
 * has a smaller id all the same is seen with its own page.
 */
async function lockFinal(tx: Tx, userId: bigint, newest: bigint): Promise<boolean> {
  const [, newer] = await Promise.all([lockUsers(tx, [userId]), paymentsNewer(tx, userId, newest)])
  return !newer.some(({ open }) => open)
}

async function end(
  tx: Tx,
  done: { readonly userId: bigint; readonly newest: bigint; readonly payments: number },
  by: Eraser,
): Promise<Erased | null> {
  const { userId, newest, payments } = done
  const actId = await takeActId(tx)
  if (!(await lockFinal(tx, userId, newest))) return null
  const { externalId, metadata } = await eraseTexts(tx, userId)
  const shown = (was: boolean) => (was ? 'set' : null)
  insertTextAct(tx, actId, {
    act: 'erase',
    paymentId: null,
    userId,
    ...by,
    before: {
      external_id: shown(externalId),
      metadata: shown(metadata),
      payments: String(payments),
    },
    after: { external_id: null, metadata: null, payments: '0' },
  })
  return { externalId, metadata, payments }
}
