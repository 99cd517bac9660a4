import { Type } from 'typebox'
import { Id, Money, oneOf, PaymentTypes, Time } from '../http/schemas.ts'
import { DIALS, isWhole, type Faults } from './faults.ts'

/** The header of a charge. */
export const Key = Type.String({
  pattern: '^[\\x21-\\x7e]{1,255}$',
  description: 'The same key charges once. Without it every request is a new charge.',
})

/** What is to be charged. */
export const Pay = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    amount: Type.Number(),
    commission: Type.Number(),
    type: PaymentTypes,
  },
  {
    title: 'MockOrder',
    additionalProperties: false,
    examples: [{ payment_id: 1, user_id: 1, amount: 200, commission: 4, type: 'deposit' }],
  },
)

/** What the gateway says of a charge. */
export const Answer = Type.Object(
  {
    status: oneOf(['success', 'failed', 'pending', 'rejected', 'error']),
    code: Type.Optional(Type.String()),
    gateway_ref: Type.Optional(Type.String()),
    payment_id: Type.Optional(Type.Integer()),
    amount: Type.Optional(Money('What was asked for, or charged.')),
    idempotency_key: Type.Optional(Type.String()),
  },
  { title: 'MockAnswer' },
)

/** Every dial and its bounds. */
export const Dials = Type.Unsafe<Faults>({
  title: 'MockFaults',
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(DIALS).map(([name, { initial, max, description }]) => {
      const type = isWhole(name) ? 'integer' : 'number'
      return [
        name,
        { type, minimum: 0, maximum: max, description: `${description} At ${initial}.` },
      ]
    }),
  ),
  additionalProperties: false,
})

/** The last requests. */
export const Journal = Type.Object(
  {
    data: Type.Array(
      Type.Object({
        at: Time,
        idempotency_key: Type.Union([Type.String(), Type.Null()]),
        payment_id: Type.Integer(),
        amount: Money('What was asked for.'),
        act: Type.String({ description: 'What was done about the request.' }),
        fault: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
  },
  { title: 'MockJournal' },
)

/** The audit. */
export const Verdict = Type.Object(
  {
    charges: Type.Integer({ description: 'Orders settled: executed and declined.' }),
    executed: Type.Integer(),
    declined: Type.Integer(),
    executed_amount: Type.String({ description: 'The sum of everything executed.' }),
    distinct_payments: Type.Integer(),
    duplicates_refused: Type.Integer({ description: 'Requests that were not charged again.' }),
    conflicts: Type.Integer({ description: 'Requests under a known key with another body.' }),
    charged_twice_count: Type.Integer({ description: '0 is what everybody wants to see.' }),
    charged_twice: Type.Array(
      Type.Object({
        payment_id: Type.Integer(),
        charges: Type.Array(
          Type.Object({
            gateway_ref: Type.String(),
            idempotency_key: Type.Union([Type.String(), Type.Null()]),
            amount: Money('What was charged.'),
            at: Time,
          }),
        ),
      }),
    ),
  },
  { title: 'MockAudit' },
)

/** A page of executed charges. */
export const Charges = Type.Object(
  {
    data: Type.Array(
      Type.Object({
        gateway_ref: Type.String(),
        idempotency_key: Type.Union([Type.String(), Type.Null()]),
        payment_id: Type.Integer(),
        user_id: Type.Integer(),
        amount: Money('What was charged.'),
        type: PaymentTypes,
        at: Time,
      }),
    ),
    next_after: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The `after` of the next page; null: there was no more when it was asked.',
    }),
  },
  { title: 'MockCharges' },
)
