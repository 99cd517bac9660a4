import type { UserTexts } from './details.ts'
import type { Refusal } from './refusal.ts'
import { differing, type SentFields } from './sent-fields.ts'

/**
 * Under which key a user is opened. A key belongs to the API key that it came with; where none are
 * asked for, `apiKey` is empty.
 */
export interface UserKey {
  readonly apiKey: string
  readonly key: string
}

/** A user as it was asked for; what is not there was not given. */
export interface UserDraft {
  /** The opening balance in minor units, 0 or more. */
  readonly balance: bigint
  /** Of the account; null, or not given: that of the books. */
  readonly currency?: string | null
  readonly key?: UserKey | null
  readonly texts?: UserTexts | null
  /** Its fields as they were sent; needed with a key. */
  readonly sent?: SentFields
  /** The same said in another way: with the currency of the books named, or left out. */
  readonly alike?: SentFields
}

/** A draft with an id for its user, which may turn out to be another's. */
export interface Opening extends UserDraft {
  readonly id: bigint
}

/** What a caller is told. `replayed`: an earlier request opened the user. */
export type OpeningAnswer =
  | {
      readonly kind: 'opened'
      readonly userId: bigint
      readonly replayed: boolean
      /** What was sent first under its key, or now; not there: nothing was to be compared. */
      readonly sent?: SentFields
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** Who has a key, and what was first sent under it. */
export interface KeyHolder extends UserKey {
  readonly userId: bigint
  readonly sent: SentFields
}

/** A key with its scope, as one text. */
export function userKeyOf({ apiKey, key }: UserKey): string {
  return `${apiKey} ${key}`
}

/** A no to an opening, or the id that its key stands for. */
type KeyVerdict =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | {
      readonly kind: 'held'
      readonly id: bigint
      /** As it was first sent. */
      readonly sent: SentFields
      /** The key was free until now. */
      readonly fresh: boolean
    }

/**
 * Decide what the key of an opening stands for: `holder` is who has it, be it this opening. The
 * same key with other fields is refused, and the answer names them.
 */
export function decideKey({ id, sent = {}, alike }: Opening, holder: KeyHolder): KeyVerdict {
  const [errors = []] = [sent, alike ?? sent]
    .map((said) => differing(said, holder.sent))
    .toSorted((one, other) => one.length - other.length)
  if (errors.length === 0) {
    return { kind: 'held', id: holder.userId, sent: holder.sent, fresh: holder.userId === id }
  }
  const refusal = { code: 'idempotency_key_reuse', errors, userId: holder.userId } as const
  return { kind: 'refused', refusal }
}

/** What openings of one shard are decided on. */
interface OpeningBooks {
  /** Who has an external id, once these openings have taken theirs where they were free. */
  readonly holders: ReadonlyMap<string, bigint>
  /** Which of their ids are users already. */
  readonly existing: ReadonlySet<bigint>
}

/** What openings come to: the answers in order, and which of them are to be written. */
interface OpeningVerdict {
  readonly answers: readonly OpeningAnswer[]
  readonly opened: readonly Opening[]
}

/**
 * Decide openings in order: whoever has an external id keeps it, and an id that is a user already
 * is opened once.
 */
export function decideOpenings(openings: readonly Opening[], books: OpeningBooks): OpeningVerdict {
  const existing = new Set(books.existing)
  const opened: Opening[] = []
  const answers = openings.map((opening): OpeningAnswer => {
    const { id: userId, sent } = opening
    const known = { kind: 'opened', userId, ...(sent === undefined ? {} : { sent }) } as const
    if (existing.has(userId)) return { ...known, replayed: true }
    const externalId = opening.texts?.externalId ?? null
    const holder = externalId === null ? undefined : books.holders.get(externalId)
    if (holder !== undefined && holder !== userId) return taken(holder)
    existing.add(userId)
    opened.push(opening)
    return { ...known, replayed: false }
  })
  return { answers, opened }
}

function taken(userId: bigint): OpeningAnswer {
  const errors = [{ field: 'external_id', code: 'taken' }]
  return { kind: 'refused', refusal: { code: 'external_id_taken', errors, userId } }
}
