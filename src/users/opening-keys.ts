import {
  decideKey,
  userKeyOf,
  type Opening,
  type OpeningAnswer,
  type UserKey,
} from '../domain/opening.ts'
import { shardOfText } from '../domain/shard.ts'
import type { Db, Tx } from '../ports.ts'
import { reserveKeys } from './opening-keys-store.ts'

/** A draft on its way to a user. */
export interface Placed extends Opening {
  /** Where it stands among the drafts. */
  readonly place: number
  /** Its key is in another shard and reserved for this id; by it, or else by an earlier request. */
  readonly reserved?: boolean
}

/** A draft with the id that its key stands for, or its refusal. */
interface Held {
  readonly draft: Placed
  readonly refused: (OpeningAnswer & { readonly kind: 'refused' }) | null
  /** Nobody had the key before. */
  readonly fresh: boolean
}

/** The shard that a key is in. */
export function keyShard(db: Db, key: UserKey): number {
  return shardOfText(userKeyOf(key), db.shards.length)
}

/** The row of a draft's key, if it has one. */
export function keyed({ key, id, sent = {} }: Placed) {
  return key === undefined || key === null ? [] : [{ ...key, userId: id, sent }]
}

/** Reserve the keys of drafts; the first of a batch has its key before the others. */
export async function holdKeys(tx: Tx, drafts: readonly Placed[]): Promise<Held[]> {
  const first = new Map<string, Placed>()
  for (const draft of drafts) {
    if (draft.key === undefined || draft.key === null) continue
    const text = userKeyOf(draft.key)
    if (!first.has(text)) first.set(text, draft)
  }
  const holders = await reserveKeys(tx, [...first.values()].flatMap(keyed))
  const byKey = new Map(holders.map((holder) => [userKeyOf(holder), holder]))
  return drafts.map((draft): Held => {
    const { key } = draft
    const holder = key === undefined || key === null ? undefined : byKey.get(userKeyOf(key))
    if (holder === undefined) return { draft, refused: null, fresh: true }
    const verdict = decideKey(draft, holder)
    if (verdict.kind === 'refused') return { draft, refused: verdict, fresh: false }
    const { id, sent, fresh } = verdict
    return { draft: { ...draft, id, sent }, refused: null, fresh }
  })
}
