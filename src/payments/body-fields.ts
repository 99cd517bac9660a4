import type { PaymentType } from '../domain/payment.ts'
import type { Where } from './api.ts'

/**
 * How the body of a request for one payment spells its fields, for both ways in. Its type is in the
 * path and its key in a header.
 */
interface Form {
  readonly amount: 'deposit' | 'amount'
  readonly where: Where
}

export const FORMS: Readonly<Record<PaymentType, Form>> = {
  deposit: form('deposit'),
  withdraw: form('amount'),
}

function form(amount: Form['amount']): Form {
  // Of a reused key it is said that the type differs, although the body has no such field.
  // What is said about a payment stands beside its amount.
  const named = { type: 'type', userId: 'user_id', amount, given: '' }
  const places = { ...named, idempotencyKey: null, asked: 'currency', gateway: 'gateway' }
  return { amount, where: (field) => places[field] }
}
