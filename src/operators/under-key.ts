import type { ActKey } from '../domain/operator.ts'
import type { Refusal } from '../domain/refusal.ts'
import { differing, sentFields } from '../domain/sent-fields.ts'
import { readParents } from '../payments/back-store.ts'
import type { Db, Runner } from '../ports.ts'
import { onceStored, shardWith } from '../each-shard.ts'
import { keyHeld, type KeptKey } from './act-keys-store.ts'

/** What an act is about; a key belongs to the user of that. */
export interface About {
  readonly kind: 'letter' | 'payment' | 'user'
  readonly id: bigint
  /** The user; null: what it is about is not there, as the act will say. */
  readonly userIn: (shard: Runner) => Promise<bigint | null>
}

export function aboutUser(id: bigint): About {
  return { kind: 'user', id, userIn: () => Promise.resolve(id) }
}

export function aboutPayment(id: bigint): About {
  const userIn = async (shard: Runner) => (await readParents(shard, [id]))[0]?.userId ?? null
  return { kind: 'payment', id, userIn }
}

/** Whose it is; null: it is not there. */
async function userOf(db: Db, { kind, id, userIn }: About): Promise<bigint | null> {
  return userIn(kind === 'user' ? db.of(id) : await shardWith(db, kind, id))
}

/** A request for an act. */
interface KeyedRequest {
  /** Null: it has no key, so each one is carried out. */
  readonly key: string | null
  readonly about: About
  readonly act: string
  readonly fields: Readonly<Record<string, string | null>>
}

interface Refused {
  readonly kind: 'refused'
  readonly refusal: Refusal
}

/** What a request is answered with. `replayed`: an earlier request with its key did it. */
interface KeyedAnswer<Answer> {
  readonly answer: Answer | Refused
  readonly replayed: boolean
}

/**
 * Carry out an act once for its key. The act keeps the key in its own transaction, so a key never
 * hangs in progress. What is refused keeps none, but for a lack of funds. Requests at the same time
 * meet at the locks of the act: whoever comes second is refused by what the first one left, or by
 * its key, and then finds the key. `again` makes the first answer out of what was kept.
 */
export async function underKey<Answer>(
  db: Db,
  request: KeyedRequest,
  act: (key: ActKey | null) => Promise<Answer | Refused>,
  again: (kept: KeptKey, userId: bigint) => Answer | Refused,
): Promise<KeyedAnswer<Answer>> {
  const { key, about, fields } = request
  const userId = key === null ? null : await userOf(db, about)
  if (key === null || userId === null) return { answer: await act(null), replayed: false }
  const sent = sentFields({ path: `${request.act} ${about.kind} ${about.id}`, ...fields })
  /** The act of this request itself: what it keeps is no answer of an earlier one. */
  let ownId: bigint | null = null
  const kept = (actId: bigint): void => {
    ownId = actId
  }
  const find = async (): Promise<KeyedAnswer<Answer> | null> => {
    const held = await keyHeld(db.of(userId), userId, key)
    if (held === null || held.actId === ownId) return null
    const errors = differing(sent, held.sent)
    if (errors.length === 0) return { answer: again(held, userId), replayed: true }
    const of = held.paymentId === null ? { userId } : { paymentId: held.paymentId }
    const refusal = { code: 'idempotency_key_reuse', errors, ...of } as const
    return { answer: { kind: 'refused', refusal }, replayed: false }
  }
  const earlier = await find()
  if (earlier !== null) return earlier
  try {
    const answer = await act({ key, sent, kept })
    return (await onceStored(find)) ?? { answer, replayed: false }
  } catch (error) {
    const first = await find().catch(() => null)
    if (first !== null) return first
    throw error
  }
}
