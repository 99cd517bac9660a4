import { couldBeCardNumber, holdsCardNumber } from './card.ts'
import type { Refusal } from './refusal.ts'
import { sentFields, type SentFields } from './sent-fields.ts'
import { MISLEADING } from './words.ts'

/**
 * What belongs to a payment beside its money, as it is kept; null is a field that was not given.
 */
export interface Details {
  /** What the caller calls it: unique among the user's payments that did not fail. */
  readonly reference: string | null
  readonly description: string | null
  /** For the caller alone: nothing here reads it. */
  readonly metadata: Readonly<Record<string, string>> | null
  /** A gateway's token for a card or an account; never the number of a card. */
  readonly paymentMethod: string | null
  /** Where the gateway sends the payer back to. */
  readonly returnUrl: string | null
}

/** What belongs to a user beside its money; null is a field that was not given. */
export interface UserTexts {
  /** What the caller calls the user: unique among all users, and never changed. */
  readonly externalId: string | null
  readonly metadata: Readonly<Record<string, string>> | null
}

/** What of a user was erased. */
export interface Erased {
  readonly externalId: boolean
  readonly metadata: boolean
  /** Payments about which something was said. */
  readonly payments: number
}

/** What may be changed later; a field that is not there stays as it is, and null takes it away. */
export type Edit = Partial<Pick<Details, 'description' | 'metadata'>>

/** The fields as they are on the wire; a field that is not there was not given. */
export interface DetailFields {
  readonly reference?: unknown
  readonly description?: unknown
  readonly metadata?: unknown
  readonly payment_method?: unknown
  readonly return_url?: unknown
}

/** Bounds of the fields, in characters; of metadata, its members. */
export const DETAILS_MAX = {
  reference: 100,
  description: 500,
  paymentMethod: 255,
  returnUrl: 2_048,
  metadataKeys: 20,
  metadataKey: 40,
  metadataValue: 500,
} as const

/** No text holds these: halves of characters, and what misleads whoever reads it. */
const REFUSED = `\\p{Cs}${MISLEADING}`

/** Patterns of the fields, for the API's schemas as well. They count characters, not units. */
export const DETAIL_PATTERNS = {
  /** Visible characters: no spaces, no marks that nobody sees. */
  reference: `^[^\\s\\p{C}\\p{Z}]{1,${DETAILS_MAX.reference}}$`,
  description: `^[^${REFUSED}]{1,${DETAILS_MAX.description}}$`,
  paymentMethod: `^[\\x21-\\x7e]{1,${DETAILS_MAX.paymentMethod}}$`,
  returnUrl: `^https://[\\x21-\\x7e]{1,${DETAILS_MAX.returnUrl - 'https://'.length}}$`,
  metadataKey: `^[A-Za-z0-9_.-]{1,${DETAILS_MAX.metadataKey}}$`,
  metadataValue: `^[^${REFUSED}]{0,${DETAILS_MAX.metadataValue}}$`,
} as const

const IS = {
  reference: new RegExp(DETAIL_PATTERNS.reference, 'u'),
  external_id: new RegExp(DETAIL_PATTERNS.reference, 'u'),
  description: new RegExp(DETAIL_PATTERNS.description, 'u'),
  payment_method: new RegExp(DETAIL_PATTERNS.paymentMethod, 'u'),
  return_url: new RegExp(DETAIL_PATTERNS.returnUrl, 'u'),
  metadataKey: new RegExp(DETAIL_PATTERNS.metadataKey, 'u'),
  metadataValue: new RegExp(DETAIL_PATTERNS.metadataValue, 'u'),
} as const

type Texts = 'reference' | 'description' | 'payment_method' | 'return_url' | 'external_id'

/** What is wrong with a field, or with a member of one, such as `metadata/order`. */
interface Problem {
  readonly field: string
  readonly code: string
}

interface Unread {
  readonly ok: false
  readonly refusal: Pick<Refusal, 'code'> & { errors: readonly Problem[] }
}

type DetailsRead =
  /** `details`: null when no field was given, which is then written nowhere. */
  { readonly ok: true; readonly details: Details | null; readonly sent: SentFields } | Unread

type UserTextsRead =
  /** `texts`: null when no field was given. */
  { readonly ok: true; readonly texts: UserTexts | null } | Unread

/**
 * Read what belongs to a payment. Every field that is wrong is named. A card number is refused
 * wherever it stands, because a text that holds one makes the whole database a store of cards; the
 * refusal names the field and never repeats it.
 */
export function readDetails(fields: DetailFields): DetailsRead {
  const malformed: Problem[] = []
  const cards: Problem[] = []
  const text = (name: Exclude<Texts, 'external_id'>) => textOf(name, fields[name], malformed, cards)
  const details: Details = {
    reference: text('reference'),
    description: text('description'),
    metadata: metadataOf(fields.metadata, malformed, cards),
    paymentMethod: text('payment_method'),
    returnUrl: text('return_url'),
  }
  if (malformed.length > 0) return no('body_invalid', malformed)
  if (cards.length > 0) return no('card_number', cards)
  const { reference, description, metadata, paymentMethod, returnUrl } = details
  const given = { reference, description, metadata }
  const sent = sentFields({ ...given, payment_method: paymentMethod, return_url: returnUrl })
  return { ok: true, details: Object.keys(sent).length === 0 ? null : details, sent }
}

/** The same of a user. */
export function readUserTexts(fields: {
  readonly external_id?: unknown
  readonly metadata?: unknown
}): UserTextsRead {
  const malformed: Problem[] = []
  const cards: Problem[] = []
  const externalId = textOf('external_id', fields.external_id, malformed, cards)
  const metadata = metadataOf(fields.metadata, malformed, cards)
  if (malformed.length > 0) return no('body_invalid', malformed)
  if (cards.length > 0) return no('card_number', cards)
  return { ok: true, texts: (externalId ?? metadata) === null ? null : { externalId, metadata } }
}

function no(code: 'body_invalid' | 'card_number', errors: readonly Problem[]): Unread {
  return { ok: false, refusal: { code, errors } }
}

/** A field that is a text; null: it was not given, or its problem is noted. */
function textOf(
  name: Texts,
  value: unknown,
  malformed: Problem[],
  cards: Problem[],
): string | null {
  if (value === undefined) return null
  if (typeof value !== 'string') malformed.push({ field: name, code: 'wrong_type' })
  else if (!IS[name].test(value) || (name === 'return_url' && !isReturnUrl(value))) {
    malformed.push({ field: name, code: 'malformed' })
  } else {
    const isCard = name === 'payment_method' ? couldBeCardNumber : holdsCardNumber
    if (isCard(value)) cards.push({ field: name, code: 'card_number' })
    return value
  }
  return null
}

/**
 * An address of a page: without a user name and password, which would be handed on to the payer,
 * and without a backslash, behind which others read another host.
 */
function isReturnUrl(value: string): boolean {
  if (value.includes('\\') || !URL.canParse(value)) return false
  const { protocol, username, password } = new URL(value)
  return protocol === 'https:' && username === '' && password === ''
}

/** Metadata as a flat object of texts; null: it was not given or is empty, or is noted. */
function metadataOf(
  value: unknown,
  malformed: Problem[],
  cards: Problem[],
): Readonly<Record<string, string>> | null {
  if (value === undefined) return null
  const field = 'metadata'
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    malformed.push({ field, code: 'wrong_type' })
    return null
  }
  const members = Object.entries(value)
  if (members.length > DETAILS_MAX.metadataKeys) malformed.push({ field, code: 'too_many' })
  for (const [key, text] of members.slice(0, DETAILS_MAX.metadataKeys)) {
    if (!IS.metadataKey.test(key)) malformed.push({ field, code: 'malformed_key' })
    else if (holdsCardNumber(key)) cards.push({ field, code: 'card_number' })
    else if (typeof text !== 'string') malformed.push({ field: member(key), code: 'wrong_type' })
    else if (!IS.metadataValue.test(text)) {
      malformed.push({ field: member(key), code: 'malformed' })
    } else if (holdsCardNumber(text)) cards.push({ field: member(key), code: 'card_number' })
  }
  return members.length === 0 ? null : (Object.fromEntries(members) as Record<string, string>)
}

/** Where a member is; its key holds nothing that a JSON Pointer escapes. */
function member(key: string): string {
  return `metadata/${key}`
}
