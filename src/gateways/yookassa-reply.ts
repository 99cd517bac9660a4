import { declineWords } from '../domain/decline.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { ChargeOutcome, LookupOutcome } from '../domain/outcome.ts'
import { payerPage } from './driver.ts'
import { codeIn, fieldsIn, minorUnits, objectOf, type ReplyFields } from './http-reply.ts'

/** What the body of a reply of YooKassa is, whatever its status. */
export type YookassaShape =
  /** The object of our operation, by its status; `pending` is `waiting_for_capture` as well. */
  | 'succeeded'
  | 'canceled'
  | 'pending'
  /** YooKassa's own error about this request. */
  | 'error'
  /** Its error that says who asks may not, and names nothing of the request. */
  | 'forbidden'
  /** Its error that says that our key was used with another request. */
  | 'key_used'
  /** Another JSON object, whoever wrote it. */
  | 'json'
  /** No JSON object, or one with two meanings. */
  | 'page'
  | 'empty'
  /** The object of another operation, or of another amount, than ours. */
  | 'another'

/** A body as far as it is understood. */
export interface YookassaBody {
  readonly shape: YookassaShape
  /** YooKassa's own id of the object; null: the body is none of ours. */
  readonly ref: string | null
  /** Why it was canceled, or the code of an error, if it can be stored, shown and counted. */
  readonly code: string | null
  /** The page that the payer has to open. */
  readonly action: ReturnType<typeof payerPage>
  /** What of a payment was refunded, in minor units; null: nothing is said of it. */
  readonly refunded: bigint | null
  /** What it asks to wait, in milliseconds. */
  readonly waitMs: number | null
  /** The object is of a test shop, which moves no money. */
  readonly test: boolean
}

/** The members of metadata by which an object is known to be ours. */
export const OUR_YOOKASSA_NAMES = { payment: 'payment_id', key: 'payment_key' } as const

const NOTHING = {
  ref: null,
  code: null,
  action: null,
  refunded: null,
  waitMs: null,
  test: false,
} as const

/** Read the body of a reply about an operation. */
export function readYookassa(body: Buffer, operation: GatewayOperation): YookassaBody {
  if (body.length === 0) return { shape: 'empty', ...NOTHING }
  const fields = objectOf(body)
  return fields === null ? { shape: 'page', ...NOTHING } : readFields(fields, operation)
}

/** The same of an object that is read already, such as one of a list. */
export function readFields(fields: ReplyFields, operation: GatewayOperation): YookassaBody {
  if (fields['type'] === 'error') return readError(fields)
  const { id, status, retry_after: wait } = fields
  const waitMs = typeof wait === 'number' && Number.isFinite(wait) ? wait : null
  const shape = typeof status === 'string' ? STATUSES.get(status) : undefined
  const ref = refOf(id)
  const named = whose(fields, operation)
  if (shape === undefined || ref === null || named === 'nobody') {
    return { shape: 'json', ...NOTHING, waitMs }
  }
  if (named === 'another') return { shape: 'another', ...NOTHING }
  return {
    shape,
    ref,
    code: shape === 'canceled' ? codeIn(fieldsIn(fields['cancellation_details'])['reason']) : null,
    action: shape === 'pending' ? actionOf(fieldsIn(fields['confirmation'])) : null,
    refunded: minorUnits(fieldsIn(fields['refunded_amount'])['value'], operation.exponent),
    waitMs: null,
    test: fields['test'] === true,
  }
}

const STATUSES: ReadonlyMap<string, 'succeeded' | 'canceled' | 'pending'> = new Map([
  ['succeeded', 'succeeded'],
  ['canceled', 'canceled'],
  ['pending', 'pending'],
  ['waiting_for_capture', 'pending'],
])

function readError({ code, parameter }: ReplyFields): YookassaBody {
  const known = codeIn(code)
  if (known === null) return { shape: 'json', ...NOTHING }
  const used = parameter === 'Idempotence-Key' && known === 'invalid_request'
  const unnamed = known === 'forbidden' && parameter === undefined
  return { ...NOTHING, shape: used ? 'key_used' : unnamed ? 'forbidden' : 'error', code: known }
}

/** Whose object it is: by our key in its metadata, and then by its money. */
function whose(fields: ReplyFields, operation: GatewayOperation): 'ours' | 'another' | 'nobody' {
  const key = fieldsIn(fields['metadata'])[OUR_YOOKASSA_NAMES.key]
  if (typeof key !== 'string') return 'nobody'
  const { value, currency } = fieldsIn(fields['amount'])
  const same =
    key === operation.key &&
    minorUnits(value, operation.exponent) === operation.amount &&
    currency === operation.currency
  return same ? 'ours' : 'another'
}

/** An id, which becomes a part of paths. */
export function refOf(id: unknown): string | null {
  return typeof id === 'string' && /^[A-Za-z0-9-]{1,64}$/.test(id) ? id : null
}

function actionOf({ type, confirmation_url: url }: ReplyFields) {
  return type === 'redirect' ? payerPage(url) : null
}

/** Another address was meant. None is followed. */
const MOVED: ReadonlySet<number> = new Set([301, 307, 308])
/** Who asks is not believed, whatever the body says of the request. */
const UNKNOWN_CALLER: ReadonlySet<number> = new Set([401, 407])
/** 4xx that say nothing about execution. */
const UNDECIDED: ReadonlySet<number> = new Set([408, 409, 425])

const WORDS = {
  succeeded: 'success',
  canceled: 'declined',
  pending: 'pending',
} as const satisfies Partial<Record<YookassaShape, ChargeOutcome['kind']>>

function wordOf(shape: YookassaShape) {
  return Object.hasOwn(WORDS, shape) ? WORDS[shape as keyof typeof WORDS] : null
}

/**
 * What the reply to a charge, payout or refund says: one total function of its status and the shape
 * of its body. Null: no whole reply was read; then only whether a byte was `sent` counts.
 *
 * Only 200 tells of an object. 202 is still being worked on, and 500 means at YooKassa that nobody
 * knows yet: both are in doubt, and are asked again under the same key. An error that our key was
 * used with another request says that there was one, not what became of it.
 */
export function yookassaCharge(
  status: number | null,
  shape: YookassaShape,
  sent = true,
): ChargeOutcome['kind'] {
  if (!sent) return 'not_executed'
  if (status === null || shape === 'another' || shape === 'key_used') return 'in_doubt'
  const word = wordOf(shape)
  if (word !== null) return status === 200 ? word : 'in_doubt'
  if (MOVED.has(status)) return 'misconfigured'
  if (status < 400 || status >= 500 || UNDECIDED.has(status)) return 'in_doubt'
  if (status === 429) return 'not_executed'
  return shape === 'error' && !UNKNOWN_CALLER.has(status) ? 'rejected' : 'misconfigured'
}

/** What the reply to a question about an object says. */
export function yookassaLookup(status: number | null, shape: YookassaShape): LookupOutcome['kind'] {
  if (status === null || shape === 'another') return 'no_answer'
  const word = wordOf(shape)
  if (word !== null) return status === 200 ? word : 'no_answer'
  if (status === 404 && shape === 'error') return 'not_found'
  return UNKNOWN_CALLER.has(status) || status === 403 ? 'misconfigured' : 'no_answer'
}

/** Why payments, payouts and refunds are canceled, in the words of all gateways. */
export const YOOKASSA_WORDS = declineWords({
  declined: 'general_decline loan_declined',
  insufficient_funds: 'insufficient_funds',
  limit_exceeded:
    'payment_method_limit_exceeded one_time_limit_exceeded periodic_limit_exceeded ' +
    'identification_required self_employed_annual_limit_exceeded',
  card_expired: 'card_expired',
  card_invalid: 'invalid_card_number invalid_csc',
  method_invalid:
    'permission_revoked yoo_money_account_closed recipient_not_found recipient_check_failed',
  method_unsupported: 'country_forbidden unsupported_mobile_operator',
  authentication_failed: '3d_secure_failed',
  suspected_fraud: 'fraud_suspected',
  blocked: 'payment_method_restricted',
  call_issuer: 'call_issuer rejected_by_payee',
  processing_error: 'internal_timeout issuer_unavailable rejected_by_timeout',
  canceled: 'canceled_by_merchant loan_declined_by_payer',
  expired: 'expired_on_confirmation expired_on_capture deal_expired loan_application_expired',
  not_refundable:
    'payment_basket_id_not_found payment_article_number_not_found payment_tru_code_not_found ' +
    'too_many_refunding_articles some_articles_already_refunded',
})

/** A reason of YooKassa's in the words of all gateways. */
export function yookassaDecline(code: string | null): string {
  return YOOKASSA_WORDS.get(code ?? '') ?? 'declined'
}
