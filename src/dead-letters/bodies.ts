import { Type } from 'typebox'
import { exponentIn } from '../domain/currency.ts'
import { toWire } from '../domain/money.ts'
import { CarriedTypes, Id, Money, nullable, OfCurrency, oneOf, Time } from '../http/schemas.ts'
import type { DeadLetter } from './store.ts'

export const LetterClass = oneOf(['failed', 'unknown'], {
  title: 'DeadLetterClass',
  description: '`failed`: no money moved. `unknown`: it may have; the hold is kept.',
})

export const LetterState = oneOf(['open', 'redriven', 'resolved'], { title: 'DeadLetterState' })

const EXAMPLE = {
  id: 1,
  payment_id: 4,
  user_id: 1,
  amount: 20,
  commission: 0.4,
  payment_type: 'withdraw',
  class: 'unknown',
  error: 'reset',
  attempts: 3,
  state: 'open',
  created_at: '2030-01-01T00:00:00.000Z',
  closed_at: null,
  closed_by: null,
  closed_reason: null,
  currency: 'USD',
}

export const DeadLetterBody = Type.Object(
  {
    id: Id,
    payment_id: Id,
    user_id: Id,
    amount: Money('The amount of the payment.'),
    commission: Money('Its commission.'),
    payment_type: CarriedTypes,
    class: LetterClass,
    error: Type.String(),
    attempts: Type.Integer(),
    state: LetterState,
    created_at: Time,
    closed_at: nullable('string', { format: 'date-time' }),
    closed_by: nullable('string'),
    closed_reason: nullable('string'),
    currency: OfCurrency,
  },
  { title: 'DeadLetter', examples: [EXAMPLE] },
)

/** A letter as the API shows it; `books` is the currency of the books. */
export function letterBody(letter: DeadLetter, books: string) {
  const exponent = exponentIn(letter.currency, books)
  return {
    id: Number(letter.id),
    payment_id: Number(letter.paymentId),
    user_id: Number(letter.userId),
    amount: toWire(letter.amount, exponent),
    commission: toWire(letter.commission, exponent),
    payment_type: letter.type,
    class: letter.class,
    error: letter.error,
    attempts: letter.attempts,
    state: letter.state,
    created_at: letter.createdAt.toISOString(),
    closed_at: letter.closedAt?.toISOString() ?? null,
    closed_by: letter.closedBy,
    closed_reason: letter.closedReason,
    currency: letter.currency ?? books,
  }
}
