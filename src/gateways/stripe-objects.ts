import type { GatewayOperation } from '../domain/gateway-profile.ts'
import type { CameBack, ChargeOutcome, LookupOutcome, UnreadReturn } from '../domain/outcome.ts'
import { payerPage } from './driver.ts'
import { fieldsIn, isFields, type ReplyFields } from './http-reply.ts'
import { fromStripe } from './stripe-amount.ts'
import { OUR_STRIPE_NAMES } from './stripe-call.ts'

type Success = Extract<LookupOutcome, { kind: 'success' }>
type Action = NonNullable<Extract<ChargeOutcome, { kind: 'pending' }>['action']>

/** What one of Stripe's objects says of our payment. */
export type StripeWord =
  | (Pick<Success, 'kind' | 'returns' | 'unread' | 'refunded'> & {
      readonly gatewayRef: string
      /** More came back than Stripe tells with the object. */
      readonly more?: true
    })
  | {
      readonly kind: 'pending'
      readonly gatewayRef: string
      readonly reason: string
      readonly action: Action | null
    }
  | {
      readonly kind: 'declined'
      readonly gatewayRef: string | null
      /** Stripe's codes for it, the most telling one first. */
      readonly codes: readonly (string | null)[]
    }

const KINDS = { charge: 'payment_intent', payout: 'transfer', refund: 'refund' } as const

/**
 * Read one of Stripe's objects. Null: it is none that an operation of this kind has, or in a state
 * that Stripe has not documented. `another`: it is about somebody else's payment.
 */
export function readObject(
  fields: ReplyFields,
  operation: GatewayOperation,
): StripeWord | 'another' | null {
  if (fields['object'] !== KINDS[operation.kind]) return null
  const { id } = fields
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(id)) return null
  if (!isOurs(fields, id, operation)) return 'another'
  if (operation.kind === 'charge') return readIntent(fields, id, operation)
  return operation.kind === 'payout' ? readTransfer(fields, id, operation) : readRefund(fields, id)
}

/**
 * It names our key, or has the id that we know; and is about our amount, all of which was taken if
 * it is done.
 */
function isOurs(fields: ReplyFields, id: string, operation: GatewayOperation): boolean {
  const { metadata, amount, currency, status, amount_received: received = amount } = fields
  const key = fieldsIn(metadata)[OUR_STRIPE_NAMES.key]
  const named = key === undefined ? id === operation.gatewayRef : key === operation.key
  return (
    named &&
    currency === operation.currency.toLowerCase() &&
    fromStripe(amount, operation) === operation.amount &&
    (status !== 'succeeded' || received === amount)
  )
}

function readIntent(
  fields: ReplyFields,
  id: string,
  operation: GatewayOperation,
): StripeWord | null {
  const { status, last_payment_error: error } = fields
  if (status === 'succeeded')
    return { kind: 'success', gatewayRef: id, ...givenBack(fields, operation) }
  if (status === 'canceled') return declined(id, [fields['cancellation_reason'], 'abandoned'])
  if (status === 'requires_payment_method' && isFields(error)) {
    return declined(id, [error['decline_code'], error['code']])
  }
  const goesOn = /^(processing|requires_(action|capture|confirmation|payment_method))$/
  if (typeof status !== 'string' || !goesOn.test(status)) return null
  return { kind: 'pending', gatewayRef: id, reason: status, action: pageOf(fields['next_action']) }
}

/** Where Stripe has a page for the payer, by the means of payment; the first one counts. */
const PAGES = ['url', 'hosted_instructions_url', 'hosted_voucher_url', 'hosted_verification_url']

/** The page that the payer has to open. What only Stripe's own script can do has none. */
function pageOf(nextAction: unknown): Action | null {
  const { use_stripe_sdk: _, ...ways } = fieldsIn(nextAction)
  const urls = Object.values(ways).flatMap((way) => PAGES.map((name) => fieldsIn(way)[name]))
  return urls.map(payerPage).find((page) => page !== null) ?? null
}

/** What was refunded of a charge, where Stripe was asked to tell it with the payment intent. */
function givenBack({ latest_charge: charge }: ReplyFields, operation: GatewayOperation) {
  const refunded = isFields(charge) ? fromStripe(charge['amount_refunded'], operation) : null
  return refunded === null ? {} : { refunded }
}

function readTransfer(fields: ReplyFields, id: string, operation: GatewayOperation): StripeWord {
  const { data, has_more: more } = fieldsIn(fields['reversals'])
  const told = reversalsIn(Array.isArray(data) ? data : [], operation)
  return { kind: 'success', gatewayRef: id, ...told, ...(more === true ? { more } : {}) }
}

/** What came back of a payout, by its reversals. */
export function reversalsIn(
  data: readonly unknown[],
  operation: GatewayOperation,
): Pick<Success, 'returns' | 'unread'> {
  const told = data.map((made) => returnOf(made, operation))
  const returns = told.flatMap((one) => ('code' in one ? [] : [one]))
  const unread = told.flatMap((one) => ('code' in one ? [one] : []))
  return {
    ...(returns.length === 0 ? {} : { returns }),
    ...(unread.length === 0 ? {} : { unread }),
  }
}

function returnOf(made: unknown, operation: GatewayOperation): CameBack | UnreadReturn {
  const { id, amount: units, currency, created } = fieldsIn(made)
  const amount = fromStripe(units, operation)
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,100}$/.test(id)) {
    return { ref: null, code: 'ref_unreadable' }
  }
  const same = currency === undefined || currency === operation.currency.toLowerCase()
  if (!same) return { ref: id, code: 'currency_differs' }
  if (amount === null || amount <= 0n) return { ref: id, code: 'amount_unreadable' }
  const at = typeof created === 'number' ? new Date(created * 1_000) : null
  return { ref: id, amount, kind: 'payout_returned', at }
}

function readRefund(fields: ReplyFields, id: string): StripeWord | null {
  const { status, failure_reason: why } = fields
  if (status === 'succeeded') return { kind: 'success', gatewayRef: id }
  if (status === 'failed') return declined(id, [why])
  if (status === 'canceled') return declined(id, ['abandoned'])
  if (status !== 'pending' && status !== 'requires_action') return null
  return { kind: 'pending', gatewayRef: id, reason: status, action: null }
}

function declined(gatewayRef: string, codes: readonly unknown[]): StripeWord {
  const known = codes.filter((code): code is string => typeof code === 'string')
  return { kind: 'declined', gatewayRef, codes: known }
}
