import type { GatewayOperation } from '../domain/gateway-profile.ts'
import { toStripe } from './stripe-amount.ts'
import type { HttpCall } from './http-exchange.ts'

/** The version of Stripe's API that this driver was written for: others are never asked for. */
const API_VERSION = '2026-10-28.endive'

/** What our own things are called in the metadata of Stripe's objects. */
export const OUR_STRIPE_NAMES = { payment: 'payments_payment_id', key: 'payments_key' } as const

/** Where requests go, and with which credentials. */
export interface StripeAccess {
  /** The path in front of `/v1`; mostly empty. */
  readonly root: string
  readonly secretKey: string
}

type Fields = readonly (readonly [name: string, value: string])[]

/** A call, or why there is nothing that could be asked. */
export type StripeCall =
  { readonly ok: true; readonly call: HttpCall } | { readonly ok: false; readonly reason: string }

/** The call that carries an operation out. Its fields are the same at every repeat. */
export function executeCall(access: StripeAccess, operation: GatewayOperation): StripeCall {
  const amount = toStripe(operation, operation.kind === 'payout')
  if (amount === null) return no('amount_unsupported')
  if (operation.kind === 'charge') return chargeCall(access, operation, amount)
  if (operation.kind === 'refund') return refundCall(access, operation, amount)
  const destination = operation.details?.paymentMethod ?? null
  if (destination === null) return no('no_payment_method')
  return post(access, '/v1/transfers', operation.key, [
    ['amount', `${amount}`],
    ['currency', operation.currency.toLowerCase()],
    ['destination', destination],
    ['transfer_group', operation.key],
    ...metadataOf(operation),
  ])
}

/**
 * A payer who can be sent to a page is asked there, if the bank wants that; one who cannot is
 * charged without. What may be changed later, as a description, is never sent: Stripe refuses a
 * repeated key with other fields.
 */
function chargeCall(access: StripeAccess, operation: GatewayOperation, amount: bigint): StripeCall {
  const { paymentMethod = null, returnUrl = null } = operation.details ?? {}
  if (paymentMethod === null) return no('no_payment_method')
  const [customer, method] = methodOf(paymentMethod)
  return post(access, '/v1/payment_intents', operation.key, [
    ['amount', `${amount}`],
    ['currency', operation.currency.toLowerCase()],
    ['confirm', 'true'],
    ['payment_method', method],
    ...(customer === null ? [] : ([['customer', customer]] as const)),
    ['automatic_payment_methods[enabled]', 'true'],
    ...(returnUrl === null
      ? ([
          ['automatic_payment_methods[allow_redirects]', 'never'],
          ['off_session', 'true'],
        ] as const)
      : ([['return_url', returnUrl]] as const)),
    ...metadataOf(operation),
  ])
}

/** `cus_1/pm_2`: a method that belongs to a customer is charged together with it. */
function methodOf(paymentMethod: string): readonly [customer: string | null, method: string] {
  const [first = '', second] = paymentMethod.split('/', 2)
  return second === undefined ? [null, first] : [first, second]
}

function refundCall(access: StripeAccess, operation: GatewayOperation, amount: bigint): StripeCall {
  const intent = operation.parent?.gatewayRef ?? null
  if (intent === null) return no('unknown_charge')
  return post(access, '/v1/refunds', operation.key, [
    ['amount', `${amount}`],
    ['payment_intent', intent],
    ...metadataOf(operation),
  ])
}

function metadataOf({ paymentId, key }: GatewayOperation): Fields {
  return [
    [`metadata[${OUR_STRIPE_NAMES.payment}]`, `${paymentId}`],
    [`metadata[${OUR_STRIPE_NAMES.key}]`, key],
  ]
}

/**
 * The call that tells what became of an operation: by Stripe's id where it is known. Otherwise
 * charges are searched by their metadata, which takes Stripe up to a minute to find; refunds are
 * listed by their charge, and transfers by their group, which is our key.
 */
export function lookupCall(access: StripeAccess, operation: GatewayOperation): StripeCall {
  const { kind, key, gatewayRef = null } = operation
  if (kind === 'charge') {
    if (gatewayRef !== null) {
      return get(access, `/v1/payment_intents/${idIn(gatewayRef)}`, [
        ['expand[0]', 'latest_charge'],
      ])
    }
    const query = `metadata['${OUR_STRIPE_NAMES.key}']:'${key.replace(/['\\]/g, '\\$&')}'`
    return get(access, '/v1/payment_intents/search', [
      ['query', query],
      ['limit', '10'],
    ])
  }
  if (kind === 'payout') {
    if (gatewayRef !== null) return get(access, `/v1/transfers/${idIn(gatewayRef)}`)
    return get(access, '/v1/transfers', [
      ['transfer_group', key],
      ['limit', '10'],
    ])
  }
  if (gatewayRef !== null) return get(access, `/v1/refunds/${idIn(gatewayRef)}`)
  const intent = operation.parent?.gatewayRef ?? null
  if (intent === null) return no('unknown_charge')
  return get(access, '/v1/refunds', [
    ['payment_intent', intent],
    ['limit', '100'],
  ])
}

/** The call that ends a payment intent. It has no key: repeated, it says how things are. */
export function cancelCall(access: StripeAccess, ref: string): HttpCall {
  const path = `/v1/payment_intents/${idIn(ref)}/cancel`
  return postCall(access, path, null, [['cancellation_reason', 'abandoned']])
}

/**
 * The call for a page of everything of a kind, newest first. Refunds come with the moves of the
 * balance that they made, which say when.
 */
export function listCall(access: StripeAccess, what: string, after: string | null): HttpCall {
  const more = after === null ? [] : ([['starting_after', after]] as const)
  const moves = what === 'refunds' ? MOVES_OF_REFUNDS : []
  const limit = what === 'disputes' ? DISPUTES_MAX : '100'
  return getCall(access, `/v1/${what}`, [['limit', limit], ...moves, ...more])
}

/** Each comes with its evidence, of up to 150,000 characters. */
const DISPUTES_MAX = '20'

const MOVES_OF_REFUNDS: Fields = [
  ['expand[0]', 'data.balance_transaction'],
  ['expand[1]', 'data.failure_balance_transaction'],
]

/** The call for what came back of a transfer, newest first. */
export function reversalsCall(access: StripeAccess, transfer: string): HttpCall {
  return getCall(access, `/v1/transfers/${idIn(transfer)}/reversals`, [['limit', '100']])
}

/** The call for what was refunded or disputed of a payment intent, newest first. */
export function backCall(
  access: StripeAccess,
  what: 'refunds' | 'disputes',
  intent: string,
): HttpCall {
  return getCall(access, `/v1/${what}`, [
    ['payment_intent', intent],
    ['limit', what === 'disputes' ? DISPUTES_MAX : '100'],
  ])
}

function idIn(ref: string): string {
  return encodeURIComponent(ref)
}

function no(reason: string): StripeCall {
  return { ok: false, reason }
}

function post(access: StripeAccess, path: string, key: string, fields: Fields): StripeCall {
  return { ok: true, call: postCall(access, path, key, fields) }
}

function postCall(
  access: StripeAccess,
  path: string,
  key: string | null,
  fields: Fields,
): HttpCall {
  const form = 'application/x-www-form-urlencoded'
  const keyed = key === null ? [] : ['idempotency-key', key]
  const headers = ['content-type', form, ...keyed, ...headersOf(access)]
  const body = formOf(fields)
  return { method: 'POST', path: access.root + path, headers, body }
}

function get(access: StripeAccess, path: string, fields: Fields = []): StripeCall {
  return { ok: true, call: getCall(access, path, fields) }
}

function getCall(access: StripeAccess, path: string, fields: Fields): HttpCall {
  const query = fields.length === 0 ? '' : `?${formOf(fields)}`
  return { method: 'GET', path: access.root + path + query, headers: headersOf(access), body: null }
}

function headersOf({ secretKey }: StripeAccess): string[] {
  return [
    'accept',
    'application/json',
    'authorization',
    `Bearer ${secretKey}`,
    'stripe-version',
    API_VERSION,
  ]
}

function formOf(fields: Fields): string {
  return fields
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')
}
