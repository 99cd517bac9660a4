import { writeJson } from '../domain/exact-json.ts'
import { formatMoney } from '../domain/money.ts'
import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { Operation } from '../domain/payment.ts'
import { OUR_YOOKASSA_NAMES } from './yookassa-reply.ts'

/** Who is asked at YooKassa: a shop for payments and refunds, a gateway for payouts. */
export interface Shop {
  readonly id: string
  /** Never logged. */
  readonly secretKey: string
}

/** Where the objects of an operation are. */
export const PATHS: Readonly<Record<Operation, string>> = {
  charge: '/payments',
  payout: '/payouts',
  refund: '/refunds',
}

/** A request as it is sent, or why it cannot be made. */
type YookassaRequest =
  | { readonly ok: true; readonly path: string; readonly body: string }
  | { readonly ok: false; readonly reason: string }

/** An id of a saved method. Whatever else it is, it is a token that is used once. */
const SAVED_METHOD = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * The request that makes the object of an operation. A repeated key must come with the very same
 * request, so nothing is in it that can be edited: no description, and of metadata only what names
 * the payment. A payment without a saved method sends the payer to a page and back to `returnUrl`.
 */
export function createRequest(
  operation: GatewayOperation,
  returnUrl: string | null,
): YookassaRequest {
  const { kind, amount, exponent, currency, paymentId, key } = operation
  const more = PARTS[kind](operation, returnUrl)
  if (typeof more === 'string') return { ok: false, reason: more }
  const body = writeJson({
    amount: { value: formatMoney(amount, exponent), currency },
    ...more,
    metadata: { [OUR_YOOKASSA_NAMES.payment]: `${paymentId}`, [OUR_YOOKASSA_NAMES.key]: key },
  })
  return { ok: true, path: PATHS[kind], body }
}

type Part = (
  operation: GatewayOperation,
  returnUrl: string | null,
) => Readonly<Record<string, unknown>> | string

const PARTS: Readonly<Record<Operation, Part>> = { charge: ofPayment, payout: ofPayout, refund }

function ofPayment({ details }: GatewayOperation, fallback: string | null) {
  const method = details?.paymentMethod ?? null
  if (method !== null && SAVED_METHOD.test(method)) {
    return { capture: true, payment_method_id: method }
  }
  const url = details?.returnUrl ?? fallback
  if (url === null) return 'return_url_missing'
  const confirmation = { type: 'redirect', return_url: url }
  return { capture: true, confirmation, ...(method === null ? {} : { payment_token: method }) }
}

function ofPayout({ details }: GatewayOperation) {
  const method = details?.paymentMethod ?? null
  if (method === null) return 'payment_method_missing'
  return SAVED_METHOD.test(method) ? { payment_method_id: method } : { payout_token: method }
}

function refund({ parent }: GatewayOperation) {
  const ref = parent?.gatewayRef ?? null
  return ref === null ? 'parent_ref_missing' : { payment_id: ref }
}

/** The headers of every call, names and values in turn. */
export function headersOf({ id, secretKey }: Shop): string[] {
  const credentials = Buffer.from(`${id}:${secretKey}`).toString('base64')
  return ['authorization', `Basic ${credentials}`, 'content-type', 'application/json']
}
