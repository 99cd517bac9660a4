import { Type, type TSchema } from 'typebox'
import { EVENT_NAMES, EVENT_TYPES, type EventTypeName } from '../domain/event.ts'
import { Time } from '../http/schemas.ts'
import { BooksData, EndpointData, LetterData, PaymentData, THIN } from './bodies.ts'

const DATA = {
  payment: PaymentData,
  letter: LetterData,
  endpoint: EndpointData,
  books: BooksData,
} as const

/** The headers of a message, as Standard Webhooks has them. */
const HEADERS = [
  ['webhook-id', 'The id of the event: the same at every attempt.', 'msg_1'],
  ['webhook-timestamp', 'When this attempt was made, in seconds since 1970.', '1900000000'],
  ['webhook-signature', '`v1,` and a signature; up to ten while secrets are rotated.', 'v1,c2ln'],
].map(([name, description, example]) => ({
  name,
  in: 'header',
  required: true,
  description,
  schema: { type: 'string', examples: [example] },
}))

const ANSWERS = {
  '2XX': { description: 'Taken. Everything else is tried again, over three days.' },
  '410': { description: 'The endpoint is gone: it is disabled.' },
  '429': { description: 'Too many: the endpoint is left alone for `Retry-After` seconds.' },
}

/** What an endpoint is sent to test it. It is no event: it stands in no list, and is not wanted. */
const TEST = 'webhook_endpoint.test'

/**
 * What endpoints are sent, for the document: an item for each type of event, so that receivers can
 * generate types. An endpoint that asked for `thin` events gets ids alone in `data`, by a schema of
 * their own.
 */
export const WEBHOOKS: Readonly<Record<string, object>> = Object.fromEntries([
  ...EVENT_NAMES.map((name) => [name, { post: eventOf(name) }]),
  [TEST, { post: operationOf(TEST, 'Sent when somebody tests the endpoint.', THIN.endpoint) }],
])

function eventOf(name: EventTypeName): object {
  const { about, tells } = EVENT_TYPES[name]
  return operationOf(name, tells, Type.Union([DATA[about], THIN[about]]))
}

function operationOf(name: string, tells: string, data: TSchema): object {
  const title = capitals(name)
  const schema = Type.Object({ type: Type.Literal(name), timestamp: Time, data }, { title })
  return {
    tags: ['Events'],
    operationId: `on${title}`,
    summary: name,
    description: tells,
    security: [],
    parameters: HEADERS,
    requestBody: { required: true, content: { 'application/json': { schema } } },
    responses: ANSWERS,
  }
}

/** `payment.succeeded` as `PaymentSucceededEvent`. */
function capitals(name: string): string {
  const words = name.split(/[._]/).map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
  return `${words.join('')}Event`
}
