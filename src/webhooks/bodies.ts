import { Type } from 'typebox'
import { WANTABLE } from '../domain/event.ts'
import { Id, LOCATION, nullable, oneOf, Time } from '../http/schemas.ts'
import type { Endpoint } from './store.ts'

const Types = Type.Array(oneOf(WANTABLE), {
  minItems: 1,
  maxItems: 50,
  description: 'Types of events, or all of a kind, such as `payment.*`.',
  examples: [['payment.succeeded', 'payment.failed']],
})

const Description = Type.Union(
  [
    Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\p{C}]+$', examples: ['The shop'] }),
    Type.Null(),
  ],
  { description: 'For people.' },
)

export const EndpointDraft = Type.Object(
  { types: Types, description: Type.Optional(Description) },
  { title: 'WebhookEndpointRequest', additionalProperties: false },
)

export const EndpointEdit = Type.Object(
  { types: Type.Optional(Types), description: Type.Optional(Description) },
  { title: 'WebhookEndpointChange', additionalProperties: false, minProperties: 1 },
)

export const EndpointBody = Type.Object(
  {
    id: Id,
    url: nullable('string', { description: 'Null: nobody is called. Read `GET /events`.' }),
    types: Type.Array(Type.String()),
    description: nullable('string'),
    state: oneOf(['enabled', 'disabled', 'removed']),
    created_at: Time,
    created_by: Type.String(),
  },
  { title: 'WebhookEndpoint' },
)

export const EndpointMade = Type.Object(EndpointBody.properties, {
  title: 'WebhookEndpoint',
  headers: LOCATION,
})

/** An endpoint as the API shows it. */
export function endpointBody(endpoint: Endpoint) {
  const { id, url, types, description, state, createdAt, createdBy } = endpoint
  return {
    id: Number(id),
    url,
    types: [...types],
    description,
    state,
    created_at: createdAt.toISOString(),
    created_by: createdBy,
  }
}
