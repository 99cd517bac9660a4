import { isUtf8 } from 'node:buffer'
import type { Shape } from '../domain/reply-outcome.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { PayerAction } from '../domain/outcome.ts'
import type { CarriedType } from '../domain/payment.ts'
import { hasKeyTwice, withClearRows } from './json-keys.ts'

export type ReplyFields = Readonly<Record<string, unknown>>

/** An operation in the words of the HTTP contract. */
export type HttpOrder = Omit<GatewayOperation, 'kind' | 'currency'> & {
  readonly type: CarriedType
  /** What the gateway is told of the currency; null: nothing, it is that of the books. */
  readonly currency: string | null
}

/** The body of a reply, as far as it is understood. */
export interface ReplyBody {
  readonly shape: Shape
  /** It names our payment or our key, so it cannot be meant for another. */
  readonly echoed: boolean
  /** The gateway's own code, if it is one that can be stored, shown and counted. */
  readonly code: string | null
  /** The gateway's own name for the charge. */
  readonly gatewayRef: string | null
  /** The JSON object that it is; null: it is none. */
  readonly fields: ReplyFields | null
  /** What the payer has to do; null: nothing, or nothing that anybody could be sent to. */
  readonly action: PayerAction | null
}

const NOTHING = { echoed: false, code: null, gatewayRef: null, fields: null, action: null } as const

/**
 * Read a reply body: a word is one JSON object, with no key twice, and about the payment we sent.
 * What it says came back is read as far as it has no key twice.
 */
export function readBody(body: Buffer, request: HttpOrder): ReplyBody {
  if (body.length === 0) return { shape: 'empty', ...NOTHING }
  const read = objectOf(body)
  if (read === null) return { shape: 'page', ...NOTHING }
  const fields = withClearRows(body.toString(), read, 'returns')
  const code = codeIn(fields.code)
  const echo = echoOf(fields, request)
  return {
    shape: echo === 'another' ? 'another' : wordOf(fields, code),
    echoed: echo === 'ours',
    code,
    gatewayRef: refIn(fields.gateway_ref ?? fields.id),
    fields,
    action: actionOf(fields),
  }
}

/** The longest address of a page. */
const URL_MAX = 2_048

/** The page that the payer has to open: https, but on this machine. What is not whole is none. */
function actionOf({ action }: ReplyFields): PayerAction | null {
  if (typeof action !== 'object' || action === null) return null
  // An object has string keys.
  const { type, url, expires_at: expires = null } = action as ReplyFields
  if (type !== 'redirect' || typeof url !== 'string' || url.length > URL_MAX) return null
  if (!isPage(url)) return null
  const at = typeof expires === 'string' ? new Date(expires) : null
  return { type, url, expiresAt: at === null || Number.isNaN(at.getTime()) ? null : at }
}

function isPage(url: string): boolean {
  if (!/^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/.test(url) || !URL.canParse(url)) return false
  const { protocol, hostname, username, password } = new URL(url)
  // They would be handed on to the payer.
  if (username !== '' || password !== '') return false
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

/** The one JSON object that a body is, with no key twice; null: it is none. */
export function objectOf(body: Buffer): ReplyFields | null {
  if (!isUtf8(body)) return null
  const text = body.toString()
  const fields = parseObject(text)
  return fields === null || hasKeyTwice(text, fields) ? null : fields
}

/** Whether it is an object that is no array: such have string keys. */
export function isFields(value: unknown): value is ReplyFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The members of an object; none where it is none. */
export function fieldsIn(value: unknown): ReplyFields {
  return isFields(value) ? value : {}
}

function parseObject(text: string): ReplyFields | null {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : null
  } catch {
    return null
  }
}

/** Exact words only: one that is nearly right is other JSON. */
function wordOf({ status }: ReplyFields, code: string | null): Shape {
  // The original gateway says `ok`.
  if (status === 'success' || status === 'ok') return 'success'
  if (status === 'failed' || status === 'declined') return 'declined'
  if (status === 'pending') return 'pending'
  return status === 'rejected' && code !== null ? 'rejected' : 'json'
}

/**
 * Whose reply it is. Ids and amounts are compared by value: `"7"` is 7 and `"10.000"` is 10. A
 * field that is left out, or null, echoes nothing, and an amount alone names nobody.
 */
function echoOf(fields: ReplyFields, request: HttpOrder): 'ours' | 'another' | 'none' {
  const { payment_id: id, amount, currency, idempotency_key: key } = fields
  const hasId = id !== undefined && id !== null
  const hasKey = key !== undefined && key !== null
  if (hasId && numberText(id) !== `${request.paymentId}`) return 'another'
  if (hasKey && key !== request.key) return 'another'
  if (isOtherMoney(amount, currency, request)) return 'another'
  return hasId || hasKey ? 'ours' : 'none'
}

/** Another amount, or, where it was told one, another currency is no word about our payment. */
function isOtherMoney(amount: unknown, currency: unknown, request: HttpOrder): boolean {
  const hasAmount = amount !== undefined && amount !== null
  if (hasAmount && minorUnits(amount, request.exponent) !== request.amount) return true
  const hasCurrency = currency !== undefined && currency !== null
  return hasCurrency && request.currency !== null && currency !== request.currency
}

function numberText(value: unknown): string | null {
  return typeof value === 'number' || typeof value === 'string' ? String(value) : null
}

/**
 * Read through the decimal text, so that no arithmetic is done on floats. Zeros at the end are
 * none. Null: it is no amount of that many decimals.
 */
export function minorUnits(value: unknown, exponent: number): bigint | null {
  const match = /^(\d{1,30})(?:\.(\d{1,34}))?$/.exec(numberText(value) ?? '')
  if (match === null) return null
  const [, whole = '', decimals = ''] = match
  const fraction = decimals.replace(/0+$/, '')
  return fraction.length > exponent ? null : BigInt(whole + fraction.padEnd(exponent, '0'))
}

/** Printable ASCII only: PostgreSQL refuses NUL in a text, and logs are read on terminals. */
export function refIn(ref: unknown): string | null {
  return typeof ref === 'string' && /^[\x20-\x7e]{1,200}$/.test(ref) ? ref : null
}

/** A code that can be stored, shown and counted; null: it is none. */
export function codeIn(code: unknown): string | null {
  return typeof code === 'string' && /^[a-z0-9_]{1,40}$/.test(code) ? code : null
}
