import type { Refusal } from '../domain/refusal.ts'
import type { Edit, UserTexts } from '../domain/details.ts'
import { lockTexts, writeTexts } from '../payments/details-store.ts'
import type { Db } from '../ports.ts'
import { shardWith } from '../each-shard.ts'
import { lockUsers } from '../users/store.ts'
import { metadataOf, writeMetadata } from '../users/details-store.ts'
import { insertTextAct, takeActId } from './acts-store.ts'

/** What the record says where no reason is asked for. */
const REASON = 'edited'

/**
 * Change the description or the metadata of a payment, and keep who changed which of them; of a
 * payment that repeats another, those of the first, because they have the same. Null: done. The
 * texts themselves are not kept in the record, so that erasing them erases them. The description of
 * a refund is its reason, which stays.
 */
export async function editPayment(
  db: Db,
  id: bigint,
  edit: Edit,
  by: { readonly actor: string; readonly requestId: string },
): Promise<Refusal | null> {
  const shard = await shardWith(db, 'payment', id)
  return shard.transaction(async (tx) => {
    const [actId, texts] = await Promise.all([takeActId(tx), lockTexts(tx, id)])
    if (texts === null) return { code: 'payment_not_found' }
    if (texts.type === 'refund' && edit.description !== undefined) return { code: 'reason_stays' }
    const now = { ...texts, ...edit }
    writeTexts(tx, now)
    const names = Object.keys(edit) as (keyof Edit)[]
    const shown = (of: Edit) =>
      Object.fromEntries(names.map((name) => [name, (of[name] ?? null) === null ? null : 'set']))
    insertTextAct(tx, actId, {
      act: 'edit',
      paymentId: id,
      userId: null,
      ...by,
      reason: REASON,
      before: shown(texts),
      after: shown(now),
    })
    return null
  })
}

/**
 * Change the metadata of a user, and keep who did it, without the texts. False: there is no such
 * user.
 */
export function editUser(
  db: Db,
  userId: bigint,
  metadata: UserTexts['metadata'],
  by: { readonly actor: string; readonly requestId: string },
): Promise<boolean> {
  return db.of(userId).transaction(async (tx) => {
    const actId = await takeActId(tx)
    const [[user], was] = await Promise.all([lockUsers(tx, [userId]), metadataOf(tx, userId)])
    if (user === undefined) return false
    writeMetadata(tx, userId, metadata)
    insertTextAct(tx, actId, {
      act: 'edit',
      paymentId: null,
      userId,
      ...by,
      reason: REASON,
      before: { metadata: was === null ? null : 'set' },
      after: { metadata: metadata === null ? null : 'set' },
    })
    return true
  })
}
