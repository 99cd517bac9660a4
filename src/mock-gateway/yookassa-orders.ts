import { exponentOf } from '../domain/currency.ts'
import { parseMoney } from '../domain/money.ts'
import {
  cancel,
  failure,
  settle,
  succeed,
  type Answer,
  type Books,
  type Draft,
  type Made,
  type Money,
} from './yookassa-objects.ts'

export type Fields = Readonly<Record<string, unknown>>

/** The JSON object of a body; null: it is none. */
export function fieldsOf(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : null
  } catch {
    return null
  }
}

function invalid(parameter: string, why: string): Answer {
  return failure(400, 'invalid_request', why, parameter)
}

/** The fields that a request for each kind of object may have. */
const KNOWN: Readonly<Record<Draft['kind'], string>> = {
  payment:
    'amount capture client_ip confirmation description merchant_customer_id metadata ' +
    'payment_method_data payment_method_id payment_token receipt recipient save_payment_method ' +
    'statements transfers',
  refund: 'amount description metadata payment_id receipt sources',
  payout: 'amount description metadata payment_method_id payout_destination_data payout_token',
}

/** What is wrong with the fields of any kind. */
function unknownField(kind: Draft['kind'], fields: Fields): Answer | null {
  const known = KNOWN[kind].split(' ')
  const stray = Object.keys(fields).find((name) => !known.includes(name))
  return stray === undefined ? null : invalid(stray, 'There is no such parameter')
}

function moneyIn({ amount }: Fields): Money | Answer {
  const { value, currency } = (amount ?? {}) as Fields // Whatever it is, its members are checked.
  const exponent = typeof currency === 'string' ? exponentOf(currency) : undefined
  if (exponent === undefined) return invalid('amount.currency', 'There is no such currency')
  const money = parseMoney(typeof value === 'string' ? value : '', 1n, exponent)
  if (!money.ok) return invalid('amount.value', 'The amount is malformed')
  return { minor: money.minor, currency: String(currency), exponent }
}

/** At most 16 members, of 32 and 512 characters. */
function metadataIn({ metadata = {} }: Fields): Readonly<Record<string, string>> | null {
  const members = Object.entries(Object(metadata) as Fields)
  const right = members.every(
    ([name, value]) => name.length <= 32 && typeof value === 'string' && value.length <= 512,
  )
  return right && members.length <= 16 ? (Object.fromEntries(members) as never) : null
}

/** What all kinds have; or what is wrong with it. */
function common(kind: Draft['kind'], fields: Fields): Draft | Answer {
  const stray = unknownField(kind, fields)
  if (stray !== null) return stray
  const money = moneyIn(fields)
  if ('status' in money) return money
  const metadata = metadataIn(fields)
  if (metadata === null) return invalid('metadata', 'The metadata are malformed')
  const { description = null } = fields
  const isText = typeof description === 'string' && description.length <= 128
  if (description !== null && !isText) return invalid('description', 'It is too long')
  const text = isText ? description : null
  const rest = { parent: null, returnUrl: null, capture: true }
  return { kind, money, metadata, description: text, ...rest }
}

type Maker = (books: Books, fields: Fields) => Draft | Answer

/** How a request is read, by what it makes. */
export const MAKERS: Readonly<Record<Draft['kind'], Maker>> = {
  payment(_books, fields) {
    const draft = common('payment', fields)
    if ('status' in draft) return draft
    const saved = fields['payment_method_id']
    const { type, return_url: url } = (fields['confirmation'] ?? {}) as Fields
    const capture = fields['capture'] === true
    // A saved method needs no payer.
    if (typeof saved === 'string') return { ...draft, capture }
    if (type !== 'redirect') return invalid('confirmation', 'It has to be confirmed')
    if (typeof url !== 'string') return invalid('confirmation.return_url', 'It is missing')
    return { ...draft, capture, returnUrl: url }
  },
  refund(books, fields) {
    const draft = common('refund', fields)
    if ('status' in draft) return draft
    const parent = books.all.get(String(fields['payment_id']))
    if (parent?.kind !== 'payment') return invalid('payment_id', 'There is no such payment')
    settle(books, parent)
    const left = parent.status === 'succeeded' ? parent.money.minor - parent.refunded : 0n
    if (draft.money.minor > left) return invalid('amount.value', 'Not so much is left to refund')
    return { ...draft, parent }
  },
  payout(_books, fields) {
    const draft = common('payout', fields)
    if ('status' in draft) return draft
    const names = ['payout_token', 'payment_method_id', 'payout_destination_data']
    const given = names.filter((name) => fields[name] !== undefined)
    return given.length === 1 ? draft : invalid('payout_token', 'One destination is needed')
  },
}

type Act = (books: Books, made: Made, fields: Fields) => Answer | null

/** What can be done with a payment; `answer` is what its payer does, and no part of the API. */
export const ACTS: Readonly<Record<string, Act>> = {
  capture(books, made) {
    settle(books, made)
    if (made.status !== 'waiting_for_capture') return NOT_NOW
    made.status = 'succeeded'
    return null
  },
  cancel(books, made) {
    settle(books, made)
    if (made.status !== 'waiting_for_capture') return NOT_NOW
    cancel(made, 'canceled_by_merchant')
    return null
  },
  answer(books, made, { says, reason = 'general_decline' }) {
    settle(books, made)
    if (made.status !== 'pending') return NOT_NOW
    if (says === 'yes') succeed(made)
    else cancel(made, String(reason))
    return null
  },
}

const NOT_NOW = failure(400, 'invalid_request', 'The payment is in another status', 'payment_id')
