import { Type } from 'typebox'
import { EVENT_NAMES, EVENT_TYPES, messageId, type EventTypeName } from '../domain/event.ts'
import { BookedTypes, Id, Money, nullable, OfCurrency, oneOf, Time } from '../http/schemas.ts'
import type { StoredEvent } from './store.ts'

const ID_OR_NULL = (description: string) => nullable('integer', { description })

/** What an event of a payment says. */
export const PaymentData = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    type: BookedTypes,
    amount: Money('What was asked for.'),
    commission: Money('What it costs beside that.'),
    currency: OfCurrency,
    status: oneOf(['processing', 'pending', 'success', 'failed', 'unknown']),
    attempts: Type.Integer(),
    last_error: nullable('string'),
    gateway_ref: nullable('string'),
    created_at: Time,
    finished_at: nullable('string', { format: 'date-time' }),
    refunded: Money('What refunds have given back so far.'),
    returned: Money('What has come back by itself so far.'),
    parent_id: ID_OR_NULL('Of a refund or a return: the payment that it is of.'),
    fee_returned: nullable('number'),
    return_kind: nullable('string'),
    reference: nullable('string'),
    description: nullable('string'),
    metadata: Type.Unsafe<Record<string, string> | null>({
      type: ['object', 'null'],
      additionalProperties: { type: 'string' },
    }),
    cut: Type.Boolean({
      description:
        'True: description and metadata are too long for an event and were left out. Read the ' +
        'payment for them.',
    }),
    sequence: Type.Integer({ description: 'As that of the event.' }),
  },
  { title: 'PaymentEventData', description: 'The payment as it was right after the change.' },
)

/** What an event of a dead letter says. */
export const LetterData = Type.Object(
  {
    id: Id,
    payment_id: Id,
    user_id: Id,
    payment_type: BookedTypes,
    amount: Money('Of its payment.'),
    commission: Money('Of its payment.'),
    currency: OfCurrency,
    class: oneOf(['failed', 'unknown']),
    error: Type.String(),
    attempts: Type.Integer(),
    state: oneOf(['open', 'redriven', 'resolved']),
    created_at: Time,
    closed_at: nullable('string', { format: 'date-time' }),
    closed_by: nullable('string'),
    closed_reason: nullable('string'),
  },
  { title: 'DeadLetterEventData', description: 'The letter as it was right after the change.' },
)

/** What an event of an endpoint says. */
export const EndpointData = Type.Object(
  {
    endpoint_id: Id,
    url: nullable('string', { description: 'Its origin: the rest of a URL may be a secret.' }),
    reason: oneOf(['gone', 'silent']),
  },
  { title: 'WebhookEndpointEventData' },
)

/** What an event of the books says. */
export const BooksData = Type.Object(
  {
    scope: oneOf(['recent', 'full'], {
      description: '`recent`: the check of what may have changed. `full`: of everything.',
    }),
    checked_at: Time,
    violations: Type.Integer({ description: 'Rows that violate a rule.' }),
    rules: Type.Array(
      Type.Object(
        { rule: Type.String(), violations: Type.Integer() },
        { title: 'BrokenRule', description: 'A rule that some rows violate.' },
      ),
    ),
  },
  { title: 'BooksEventData' },
)

const OF_PAYMENT = PaymentData.properties

/** What is left of it where an endpoint asked for `thin` events: `thinBody` keeps no more. */
export const THIN = {
  payment: Type.Object(
    { payment_id: OF_PAYMENT.payment_id, sequence: OF_PAYMENT.sequence },
    { title: 'ThinPaymentEventData' },
  ),
  letter: Type.Object({ id: Id, payment_id: Id }, { title: 'ThinDeadLetterEventData' }),
  endpoint: Type.Object({ endpoint_id: Id }, { title: 'ThinWebhookEndpointEventData' }),
  books: Type.Object({}, { title: 'ThinBooksEventData' }),
} as const

/** An event as lists show it. */
export const EventBody = Type.Object(
  {
    id: Type.String({
      description: 'The same wherever the event is seen: `webhook-id` of webhooks.',
    }),
    type: oneOf(EVENT_NAMES, {
      title: 'EventType',
      description: EVENT_NAMES.map((name) => `\`${name}\`: ${EVENT_TYPES[name].tells}`).join(
        '\n\n',
      ),
    }),
    payment_id: ID_OR_NULL('The payment that it is about.'),
    sequence: nullable('integer', {
      description:
        'Counts the changes of the payment. A number that is missing is a change that nobody ' +
        'wanted to know of. Null where the event is about something else.',
    }),
    timestamp: Time,
    data: Type.Unsafe<object>(Type.Union([PaymentData, LetterData, EndpointData, BooksData])),
  },
  { title: 'Event' },
)

/** An event with what receivers get of it. */
export function eventBody({ id, type, paymentId, sequence, body }: StoredEvent) {
  // It was written by this service, as one of the catalogue.
  const { timestamp, data } = JSON.parse(body) as { timestamp: string; data: object }
  return {
    id: messageId(id),
    type: type as EventTypeName, // Nothing else is ever written.
    payment_id: paymentId === null ? null : Number(paymentId),
    sequence,
    timestamp,
    data,
  }
}
