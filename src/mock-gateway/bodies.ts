import { Type } from 'typebox'
import { CarriedTypes, Id, Money, oneOf, PaymentTypes, ReturnKinds, Time } from '../http/schemas.ts'
import { FAULT_SETTINGS, isWhole, type Faults } from './faults.ts'

/** The header of a charge. */
export const Key = Type.String({
  pattern: '^[\\x21-\\x7e]{1,255}$',
  description: 'The same key charges once. Without it every request is a new charge.',
})

/** ISO 4217; amounts have its decimals. */
const Currency = Type.Optional(
  Type.String({
    pattern: '^[A-Z]{3}$',
    description: 'An ISO 4217 code; amounts have its decimals. Without it, two.',
    examples: ['JPY'],
  }),
)

/** What is to be charged. */
export const Pay = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    amount: Type.Number(),
    commission: Type.Number(),
    type: PaymentTypes,
    currency: Currency,
  },
  {
    title: 'MockOrder',
    additionalProperties: false,
    examples: [{ payment_id: 1, user_id: 1, amount: 200, commission: 4, type: 'deposit' }],
  },
)

/** What is to be refunded. */
export const GiveBack = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    amount: Type.Number(),
    type: oneOf(['refund']),
    parent_id: Type.Integer({ minimum: 1, description: 'The deposit that is given back.' }),
    parent_ref: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    currency: Currency,
  },
  {
    title: 'MockRefund',
    additionalProperties: false,
    examples: [
      {
        payment_id: 9,
        user_id: 1,
        amount: 50,
        type: 'refund',
        parent_id: 1,
        parent_ref: 'gw_00000001',
      },
    ],
  },
)

/** What is to come back. */
export const ComesBack = Type.Object(
  {
    payment_id: Type.Integer({ minimum: 1 }),
    kind: ReturnKinds,
    amount: Type.Optional(Type.Number({ description: 'Without it, all that can.' })),
  },
  {
    title: 'MockReturnRequest',
    additionalProperties: false,
    examples: [{ payment_id: 1, kind: 'charged_back', amount: 50 }],
  },
)

const RETURN = {
  gateway_ref: Type.String({ description: "The gateway's own reference of the return." }),
  kind: ReturnKinds,
  amount: Money('What came back.'),
  at: Time,
}

const ReturnsOf = Type.Optional(Type.Array(Type.Object(RETURN, { title: 'MockCameBack' })))

/** What came back. */
export const CameBack = Type.Object(
  { payment_id: Type.Integer(), ...RETURN },
  { title: 'MockReturn' },
)

/** A page of what came back. */
export const Returns = Type.Object(
  { data: Type.Array(CameBack), next_after: Type.Union([Type.Integer(), Type.Null()]) },
  { title: 'MockReturns' },
)

/** What the gateway says of a charge. */
const Answer = Type.Object(
  {
    status: oneOf(['success', 'failed', 'pending', 'rejected', 'error']),
    code: Type.Optional(Type.String()),
    gateway_ref: Type.Optional(Type.String()),
    payment_id: Type.Optional(Type.Integer()),
    amount: Type.Optional(Money('What was asked for, or charged.')),
    idempotency_key: Type.Optional(Type.String()),
    currency: Type.Optional(Type.String()),
    refunded: Type.Optional(Money('Of a deposit: what was refunded.')),
    action: Type.Optional(
      Type.Object({ type: oneOf(['redirect']), url: Type.String() }, { title: 'MockAction' }),
    ),
    returns: ReturnsOf,
  },
  { title: 'MockAnswer' },
)

/** Every setting of the mock gateway and its bounds. */
export const FaultSettings = Type.Unsafe<Faults>({
  title: 'MockFaults',
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(FAULT_SETTINGS).map(([name, { initial, max, description }]) => {
      const type = isWhole(name) ? 'integer' : 'number'
      return [
        name,
        { type, minimum: 0, maximum: max, description: `${description} At ${initial}.` },
      ]
    }),
  ),
  additionalProperties: false,
})

const Request = Type.Object(
  {
    at: Time,
    idempotency_key: Type.Union([Type.String(), Type.Null()]),
    payment_id: Type.Integer(),
    amount: Money('What was asked for.'),
    type: oneOf(['deposit', 'withdraw', 'refund', 'return']),
    act: Type.String({ description: 'What was done about the request.' }),
    fault: Type.Union([Type.String(), Type.Null()]),
  },
  { title: 'MockRequest' },
)

/** The last requests. */
export const Journal = Type.Object({ data: Type.Array(Request) }, { title: 'MockJournal' })

const Twice = Type.Object(
  {
    payment_id: Type.Integer(),
    charges: Type.Array(
      Type.Object(
        {
          gateway_ref: Type.String(),
          idempotency_key: Type.Union([Type.String(), Type.Null()]),
          amount: Money('What was charged.'),
          at: Time,
        },
        { title: 'MockAuditedCharge' },
      ),
    ),
  },
  { title: 'MockChargedTwice' },
)

/** The audit. */
export const Verdict = Type.Object(
  {
    charges: Type.Integer({ description: 'Orders settled: executed and declined.' }),
    executed: Type.Integer(),
    declined: Type.Integer(),
    executed_amount: Type.String({
      description: 'The sum of all charges and payouts executed that named no currency.',
    }),
    executed_amounts: Type.Record(Type.String(), Type.String(), {
      description: 'The sums of those that named one, by currency.',
    }),
    distinct_payments: Type.Integer(),
    duplicates_refused: Type.Integer({ description: 'Requests that were not charged again.' }),
    conflicts: Type.Integer({ description: 'Requests under a known key with another body.' }),
    charged_twice_count: Type.Integer({ description: '0 is what everybody wants to see.' }),
    charged_twice: Type.Array(Twice),
  },
  { title: 'MockAudit' },
)

const Charge = Type.Object(
  {
    gateway_ref: Type.String(),
    idempotency_key: Type.Union([Type.String(), Type.Null()]),
    payment_id: Type.Integer(),
    user_id: Type.Integer(),
    amount: Money('What was charged.'),
    type: CarriedTypes,
    at: Time,
    parent_id: Type.Optional(Type.Integer({ description: 'What a refund gives back.' })),
    currency: Type.Optional(Type.String()),
    returns: ReturnsOf,
  },
  { title: 'MockCharge' },
)

/** A page of executed charges. */
export const Charges = Type.Object(
  {
    data: Type.Array(Charge),
    next_after: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The `after` of the next page; null: there was no more when it was asked.',
    }),
  },
  { title: 'MockCharges' },
)

/** What an order is answered with, by status. */
export const ANSWERS = {
  200: Answer,
  202: Answer,
  402: Answer,
  409: Answer,
  422: Answer,
  429: Answer,
  502: Answer,
  503: Answer,
  504: Answer,
}

/** How an order is looked up by its key, and answered. */
export const BY_KEY = {
  params: Type.Object({ key: Type.String({ minLength: 1 }) }),
  response: { 200: Answer, 404: Answer, 502: Answer, 503: Answer },
}
