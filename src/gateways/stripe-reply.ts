import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { chargeKind, lookupKind, type Shape } from '../domain/reply-outcome.ts'
import { fieldsIn, isFields, objectOf, type ReplyFields } from './http-reply.ts'
import { isDecline } from './stripe-declines.ts'
import { readObject, type StripeWord } from './stripe-objects.ts'

/** What the body of Stripe's answer is, whatever its status. */
export type StripeShape =
  | Shape
  /** The key was used for another request, or its first request goes on. */
  | 'key_in_use'
  /** Something is wrong at Stripe: it says nothing of the request. */
  | 'trouble'
  /** The key of the API, or the account behind it, may not do this for anybody. */
  | 'credential'
  /** A whole list in which there is nothing of ours. */
  | 'absent'

/** The body of an answer, as far as it is understood. */
export interface StripeBody {
  readonly shape: StripeShape
  /** Stripe's own code, if it is one that can be stored, shown and counted. */
  readonly code: string | null
  /** What it says of our payment; null: nothing. */
  readonly word: StripeWord | null
  /** It names us. */
  readonly echoed: boolean
  /** The object is of Stripe's test mode, which moves no money. */
  readonly test: boolean
}

/** Of these nobody's requests are carried out until somebody changes the account or its keys. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  'account_invalid',
  'api_key_expired',
  'livemode_mismatch',
  'platform_api_key_expired',
  'secret_key_required',
  'testmode_charges_only',
  'tls_version_unsupported',
])

/** Codes of an `invalid_request_error` that are about the key, or about nobody. */
const OTHERS: ReadonlyMap<string, StripeShape> = new Map([
  ['idempotency_key_in_use', 'key_in_use'],
  ['lock_timeout', 'trouble'],
])

const NOTHING = { code: null, word: null, echoed: false, test: false } as const

/**
 * Read an answer to what was sent for `operation`. `echo` is the key that its head names, as all
 * answers of Stripe to keyed requests do.
 */
export function readStripe(
  body: Buffer,
  operation: GatewayOperation,
  echo: string | null,
): StripeBody {
  if (echo !== null && echo !== operation.key) return { shape: 'another', ...NOTHING }
  const echoed = echo !== null
  if (body.length === 0) return { shape: 'empty', ...NOTHING, echoed }
  const fields = objectOf(body)
  if (fields === null) return { shape: 'page', ...NOTHING, echoed }
  if (isFields(fields['error'])) return readError(fields['error'], operation, echoed)
  if (fields['object'] === 'list' || fields['object'] === 'search_result') {
    return readList(fields, operation)
  }
  return readOne(fields, operation, echoed)
}

function readOne(fields: ReplyFields, operation: GatewayOperation, echoed: boolean): StripeBody {
  const word = readObject(fields, operation)
  if (word === 'another') return { shape: 'another', ...NOTHING }
  return word === null
    ? { shape: 'json', ...NOTHING, echoed }
    : { shape: word.kind, code: null, word, echoed: true, test: isTest(fields) }
}

/** Whether an object says that it is of the test mode; those of some kinds do not say. */
export function isTest({ livemode }: ReplyFields): boolean {
  return livemode === false
}

/** What is done counts more than what goes on, and that more than what was declined. */
const ORDER = ['success', 'pending', 'declined'] as const

/** Of a list what is ours. One that goes on may have it on another page. */
function readList(fields: ReplyFields, operation: GatewayOperation): StripeBody {
  const { data, has_more: more } = fields
  if (!Array.isArray(data)) return { shape: 'json', ...NOTHING }
  const found = data.map(fieldsIn).flatMap((one) => {
    const word = readObject(one, operation)
    return word === null || word === 'another' ? [] : [{ word, test: isTest(one) }]
  })
  const [first] = ORDER.flatMap((kind) => found.find(({ word }) => word.kind === kind) ?? [])
  if (first !== undefined) return { shape: first.word.kind, code: null, echoed: true, ...first }
  return { shape: more === false ? 'absent' : 'json', ...NOTHING }
}

/** Stripe's own error. A decline has to name us, by its payment intent or by our key. */
function readError(error: ReplyFields, operation: GatewayOperation, keyed: boolean): StripeBody {
  const code = codeOf(error['code'])
  const intent = isFields(error['payment_intent']) ? error['payment_intent'] : null
  const state = intent === null ? null : readObject(intent, operation)
  if (state === 'another') return { shape: 'another', ...NOTHING }
  const echoed = keyed || state !== null
  const said = errorShape(error, code)
  // A decline whose payment intent is done, or goes on, is none: that intent has to be asked.
  const shape = said === 'declined' && !isOver(state) ? 'trouble' : said
  const test = intent !== null && isTest(intent)
  if (shape === 'declined') {
    return echoed
      ? { shape, code, word: declineOf(error, intent), echoed, test }
      : { shape: 'trouble', code, word: null, echoed, test }
  }
  // What a payment intent is that could not be changed: its word is that of its state.
  const word = code === 'payment_intent_unexpected_state' ? state : null
  return { shape, code, word, echoed, test }
}

/** Whether a payment intent may be declined: it waits for another means of payment, or is over. */
function isOver(state: StripeWord | null): boolean {
  if (state === null || state.kind === 'declined') return true
  return state.kind === 'pending' && state.reason === 'requires_payment_method'
}

/** What an error is by its type and its code. */
function errorShape({ type, param }: ReplyFields, code: string | null): StripeShape {
  if (type === 'card_error') return 'declined'
  if (type === 'idempotency_error') return 'key_in_use'
  if (type !== 'invalid_request_error') return 'trouble'
  // It names neither a code nor a field, so it is about every request: a wrong address, an account
  // that may not do this.
  if (code === null) return typeof param === 'string' ? 'rejected' : 'credential'
  if (CREDENTIALS.has(code)) return 'credential'
  return isDecline(code) ? 'declined' : (OTHERS.get(code) ?? 'rejected')
}

function declineOf(error: ReplyFields, intent: ReplyFields | null): StripeWord {
  const declineCode = codeOf(error['decline_code'])
  const id = intent?.['id']
  return {
    kind: 'declined',
    gatewayRef: typeof id === 'string' ? id : null,
    codes: [declineCode, codeOf(error['code'])],
  }
}

/** A code that can be stored, shown and counted. */
function codeOf(code: unknown): string | null {
  return typeof code === 'string' && /^[a-z0-9_]{1,60}$/.test(code) ? code : null
}

/**
 * What Stripe's answer to a charge, a payout or a refund says: one total function of its status and
 * the shape of its body, as for our own contract where Stripe says nothing else.
 */
export function stripeChargeKind(
  status: number | null,
  shape: StripeShape,
  sent = true,
): ChargeOutcome['kind'] {
  const known = sharedShape(shape)
  const isStripes = sent && status !== null && status >= 400 && status < 500 && !SETTLED.has(status)
  if (!isStripes) return chargeKind(status, known, sent)
  // 424: something that Stripe depends on failed, perhaps after it did what it was asked for.
  if (UNDECIDED.has(shape) || status === 424) return 'in_doubt'
  const credential = shape === 'credential' && status !== 408 && status !== 409 && status !== 425
  // 403: the key of the API lacks a permission.
  if (credential || (shape === 'rejected' && status === 403)) return 'misconfigured'
  return chargeKind(status, known)
}

/** What these mean does not depend on the body. */
const SETTLED: ReadonlySet<number> = new Set([401, 407, 429])

/** Errors that say nothing of the request. */
const UNDECIDED: ReadonlySet<StripeShape> = new Set(['key_in_use', 'trouble'])

/** The same of an answer to a lookup. */
export function stripeLookupKind(status: number | null, shape: StripeShape): LookupOutcome['kind'] {
  if (shape === 'absent' && status === 200) return 'not_found'
  if (shape === 'credential' && status !== null && status >= 400 && status < 500) {
    return 'misconfigured'
  }
  return lookupKind(status, sharedShape(shape))
}

/** A shape in the words of our own contract. */
function sharedShape(shape: StripeShape): Shape {
  if (shape === 'credential') return 'rejected'
  return shape === 'key_in_use' || shape === 'trouble' || shape === 'absent' ? 'json' : shape
}
