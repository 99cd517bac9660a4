import { Type } from 'typebox'
import type { JsonNumber } from '../domain/exact-json.ts'
import type { Refusal } from '../domain/refusal.ts'
import { ID_MAX } from '../domain/shard.ts'
import { REASON_LENGTH_MAX, REASON_PATTERN } from '../domain/words.ts'

/**
 * The member of a schema that the documentation shows in its place, where what is checked as a text
 * is meant as something else, or what is checked later has bounds that a reader should know.
 */
export const SHOWN = 'x-shown'

/**
 * Digits that an amount may have in a text, as `parseMoney` reads it: up to four decimals, as the
 * currency has, where zeros at the end do not count.
 */
const TINY_TEXT = '0\\.(000[1-9]|00[1-9][0-9]?|0[1-9][0-9]{0,2}|[1-9][0-9]{0,3})0*'
const AMOUNT_TEXT = `^([1-9][0-9]{0,9}(\\.[0-9]{1,4}0*)?|${TINY_TEXT})$`
const BALANCE_TEXT = '^(0|[1-9][0-9]{0,9})(\\.[0-9]{1,4}0*)?$'
/** What the description of every amount ends with. */
const DECIMALS = 'It has at most the decimals of its currency: 2 in USD, none in JPY, 3 in KWD.'

/**
 * An amount on the wire: a JSON number, or a decimal string for clients that have no exact numbers.
 * Its bounds are only shown: what breaks them is a refusal of its own, made by `parseMoney`.
 */
export function Amount(description: string, examples: readonly (number | string)[]) {
  return wireMoney(description, { minimum: 0.0001, pattern: AMOUNT_TEXT, examples })
}

/** The same for an opening balance, which may be 0. */
export function Balance(description: string, examples: readonly (number | string)[]) {
  return wireMoney(description, { minimum: 0, pattern: BALANCE_TEXT, examples })
}

function wireMoney(
  description: string,
  bounds: { minimum: number; pattern: string; examples: readonly (number | string)[] },
) {
  const type = ['number', 'string']
  const shown = { type, maximum: 9_999_999_999.9999, maxLength: 40, ...bounds }
  const said = `${description} ${DECIMALS}`
  return Type.Unsafe<number | string>({ type, description: said, [SHOWN]: shown })
}

/** An amount in an answer: a JSON number with all its digits. */
export function Money(description: string) {
  return Type.Unsafe<JsonNumber>({ type: 'number', description })
}

/** A currency that a request may name. */
export const Currency = Type.String({
  pattern: '^[A-Z]{3}$',
  description: 'The currency that the account must be in (ISO 4217); when left out, any.',
  examples: ['USD'],
})

/** Which gateway a payment is to go to. */
export const GatewayName = Type.String({
  pattern: '^[a-z][a-z0-9]{0,19}$',
  description: 'Where it is to be carried out; when left out, wherever such payments are.',
  examples: ['http'],
})

/** The currency of what an answer shows. */
export const OfCurrency = Type.String({ description: 'Of these amounts (ISO 4217).' })

/** An id: a number of at most 15 digits, which every JSON reader holds exactly. */
export const Id = Type.Integer({ minimum: 1, maximum: 999_999_999_999_999, format: 'int64' })

/** The id in a path, as its only parameter; `parseId` reads it. */
export function IdParams(description: string) {
  return Type.Object({ id: Type.String({ description, examples: [1], [SHOWN]: { ...Id } }) })
}

/** An id as a filter in a query. */
export function IdFilter(description: string) {
  const pattern = '^[1-9][0-9]{0,14}$'
  return Type.Optional(Type.String({ pattern, description, [SHOWN]: { ...Id } }))
}

/**
 * An Idempotency-Key, as `readKey` reads it: visible ASCII without quotes, or all of it in quotes.
 */
const KEY_SHOWN = {
  type: 'string',
  pattern: '^("[!#-~]{1,255}"|[!#-~]{1,255})$',
  maxLength: 257,
}

export const Time = Type.String({ format: 'date-time' })

/** A header of an answer, as the documentation shows it. */
export const LOCATION = { Location: { type: 'string', description: 'Where to read it.' } }

/** A string or null, as one JSON Schema type. */
export function nullable(type: 'string' | 'number' | 'integer', options: object = {}) {
  return Type.Unsafe<string | number | null>({ type: [type, 'null'], ...options })
}

/** A string out of a list; as an enum, so that the docs offer a choice. */
export function oneOf<const Value extends string>(values: readonly Value[], options: object = {}) {
  return Type.Unsafe<Value>({ type: 'string', enum: values, ...options })
}

/** Which way a payment goes. */
export const PaymentTypes = oneOf(['deposit', 'withdraw'], { title: 'PaymentType' })

/** What a gateway carries out. */
export const CarriedTypes = oneOf(['deposit', 'withdraw', 'refund'], { title: 'CarriedType' })
/** Ways in which money comes back by itself. */
export const ReturnKinds = oneOf(
  ['payout_returned', 'charged_back', 'refunded_there', 'dispute_won'],
  {
    title: 'ReturnKind',
    description:
      '`payout_returned`: a payout came back. `charged_back`: a deposit was taken back. ' +
      '`refunded_there`: it was refunded at the gateway itself. `dispute_won`: money of these ' +
      'two came back.',
  },
)

/** Everything in the books. */
export const BookedTypes = oneOf(['deposit', 'withdraw', 'refund', 'return'], {
  title: 'BookedType',
})

/** Text that people write and read. */
export const Reason = Type.String({
  minLength: 1,
  maxLength: REASON_LENGTH_MAX,
  pattern: REASON_PATTERN,
  description: 'Why; kept in the record for good.',
  examples: ['The gateway is back, ticket 4711'],
})

/** The header that names a request, of what can be asked for twice. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        '1 to 255 visible ASCII characters, bare or quoted. The same request of the same user ' +
        'under the same key is carried out once, and answered the same with ' +
        '`Idempotent-Replayed: true`. Use a new one, such as a UUID, for every payment.',
      // Read by hand, so that a refusal has a code of its own.
      [SHOWN]: KEY_SHOWN,
    }),
  ),
})

/** The header of an answer that was given before, as the documentation shows it. */
export const REPLAYED_HEADER = {
  'Idempotent-Replayed': {
    type: 'string',
    enum: ['true'],
    description: 'The answer is the one of an earlier request with this key.',
  },
}

/** The headers of an answer about what was made under a key. */
export const MADE_HEADERS = { ...LOCATION, ...REPLAYED_HEADER }

/** What a list leaves out; it is not there where it leaves out nothing. */
export const MissingShards = Type.Optional(
  Type.Array(Type.Integer(), {
    description:
      'The shards of the database that cannot be read: what is in them is left out. Not there: ' +
      'nothing is left out.',
  }),
)

/** The part of an answer that says what it leaves out. */
export function missingBody(missing: readonly number[]): { missing_shards?: number[] } {
  return missing.length === 0 ? {} : { missing_shards: [...missing] }
}

/**
 * An id as it stands in a path, or null: whatever cannot be an id is the id of nothing, and gets
 * the same 404 as one that does not exist.
 */
export function parseId(text: string): bigint | null {
  if (!/^[1-9]\d{0,18}$/.test(text) || text.endsWith('\n')) return null
  const id = BigInt(text)
  return id <= ID_MAX ? id : null
}

/**
 * A moment that people can mean: what is shaped like a time need not be one. Null: it is left out;
 * undefined: it is none.
 */
export function parseMoment(text: string | undefined): Date | null | undefined {
  if (text === undefined) return null
  const at = new Date(text)
  const year = at.getUTCFullYear()
  return year >= 1970 && year <= 9999 ? at : undefined
}

/** What an integer of a query may be, and what it is where none is said. */
interface Bounds {
  readonly min: number
  readonly max: number
  readonly fallback: number
}

/** An integer in a query string: digits only, checked against its bounds here. */
export function IntegerText(description: string, { min, max, fallback }: Bounds) {
  return Type.Optional(
    Type.String({
      pattern: '^(0|[1-9][0-9]{0,8})$',
      description: `${description} ${min} to ${max}; ${fallback} if left out.`,
      examples: [fallback],
      [SHOWN]: { type: 'integer', minimum: min, maximum: max, default: fallback },
    }),
  )
}

type Parsed<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly refusal: Refusal }

/** Read an integer of a query string within bounds. */
export function parseInteger(
  name: string,
  text: string | undefined,
  bounds: Bounds,
): Parsed<number> {
  if (text === undefined) return { ok: true, value: bounds.fallback }
  const value = Number(text)
  if (value >= bounds.min && value <= bounds.max) return { ok: true, value }
  const errors = [{ field: name, code: 'out_of_range' }]
  return { ok: false, refusal: { code: 'query_invalid', errors } }
}

/** The times of a list: from when on, and until when; null: it is left out. */
interface Span {
  readonly from: Date | null
  readonly to: Date | null
}

/**
 * Read the times of a list. What has the shape of one need not be one that a clock here can show,
 * such as a leap second, which RFC 3339 allows.
 */
export function parseSpan(query: { readonly from?: string; readonly to?: string }): Parsed<Span> {
  const [from, to] = (['from', 'to'] as const).map((name) => {
    const text = query[name]
    return text === undefined ? null : new Date(text)
  }) as [Date | null, Date | null]
  const wrong = [
    { name: 'from', at: from },
    { name: 'to', at: to },
  ].filter(({ at }) => at !== null && Number.isNaN(at.getTime()))
  if (wrong.length === 0) return { ok: true, value: { from, to } }
  const errors = wrong.map(({ name: field }) => ({ field, code: 'out_of_range' }))
  return { ok: false, refusal: { code: 'query_invalid', errors } }
}
