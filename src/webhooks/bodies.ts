import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { messageId, WANTABLE, WANTED_MAX } from '../domain/event.ts'
import { Id, MADE_HEADERS, nullable, oneOf, Reason, Time } from '../http/schemas.ts'
import type { AttemptView, DeliveryView } from './views-store.ts'
import type { EndpointAct } from './endpoint-acts-store.ts'
import { pauseIn, type Pauses } from './pauses.ts'
import { ReplayPlanBody } from './replay-plan-bodies.ts'
import type { Endpoint } from './store.ts'

const Types = Type.Array(oneOf(WANTABLE), {
  minItems: 1,
  maxItems: WANTED_MAX,
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

const Payload = oneOf(['full', 'thin'], {
  description: '`full`: the payment as it was; `thin`: only which payment it is.',
})

const Ordered = Type.Boolean({
  description:
    'True: an event of a payment is sent when the one before has arrived or was given up. ' +
    'Between payments there is no order.',
})

const Rate = Type.Union([Type.Integer({ minimum: 1, maximum: 1_000 }), Type.Null()], {
  description:
    'Calls a second at most, on average, over all processes; null: as many as there are. Further ' +
    'events wait and lose nothing.',
  examples: [10],
})

export const EndpointDraft = Type.Object(
  {
    url: Type.Optional(
      Type.Union([Type.String({ minLength: 1, maxLength: 2_048 }), Type.Null()], {
        description:
          'Where events are sent: https, without credentials, and no private address. In ' +
          'development also http to this machine. Null or left out: nobody is called; read ' +
          '`GET /events`.',
        examples: ['https://shop.example/hooks/payments'],
      }),
    ),
    types: Types,
    description: Type.Optional(Description),
    payload: Type.Optional(Payload),
    ordered: Type.Optional(Ordered),
    rate_per_second: Type.Optional(Rate),
  },
  { title: 'WebhookEndpointRequest', additionalProperties: false },
)

export const EndpointEdit = Type.Object(
  {
    types: Type.Optional(Types),
    description: Type.Optional(Description),
    payload: Type.Optional(Payload),
    ordered: Type.Optional(Ordered),
    rate_per_second: Type.Optional(Rate),
    url: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2_048,
        description:
          'Another URL, for an endpoint that has one. Every call that begins after the answer ' +
          'goes there, of deliveries that are under way as well; the secret stays. Never null: ' +
          'disable an endpoint that is not to be called.',
        examples: ['https://shop.example/hooks/v2'],
      }),
    ),
    state: Type.Optional(
      oneOf(['enabled', 'disabled'], {
        description: 'A disabled endpoint is not called. Its events are kept.',
      }),
    ),
  },
  { title: 'WebhookEndpointChange', additionalProperties: false, minProperties: 1 },
)

export const RotateBody = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 604_800,
        description:
          'For how long the secret before signs as well; 86400 if left out. 0: from now on the ' +
          'new one alone signs, and none of those before.',
      }),
    ),
  },
  // The default of a body says that it may be left out.
  { title: 'RotateSecretRequest', additionalProperties: false, default: {} },
)

export const RetryBody = Type.Object(
  { reason: Type.Optional(Reason) },
  { title: 'RetryWebhookDeliveryRequest', additionalProperties: false, default: {} },
)

/** A request without a body asks for nothing in particular. */
export async function bodyOrNone(request: FastifyRequest): Promise<void> {
  if (request.body === undefined) request.body = {}
}

const EndpointFields = {
  id: Id,
  url: nullable('string', { description: 'Null: nobody is called. Read `GET /events`.' }),
  types: Type.Array(Type.String()),
  description: nullable('string'),
  state: oneOf(['enabled', 'disabled']),
  disabled_reason: nullable('string', {
    description: '`gone`: it answered 410. `silent`: nothing arrived for a day. `operator`.',
  }),
  disabled_at: nullable('string', { format: 'date-time' }),
  payload: Payload,
  ordered: Ordered,
  rate_per_second: nullable('integer', { description: 'Null: as many as there are.' }),
  created_at: Time,
  created_by: Type.String(),
  paused_until: nullable('string', {
    format: 'date-time',
    description:
      'Until when it is not called, as it asked by 429, 502, 503 or 504. Any change ends the ' +
      'pause. Null: it is called.',
  }),
}

export const EndpointBody = Type.Object(EndpointFields, { title: 'WebhookEndpoint' })

export const EndpointChanged = Type.Object(
  {
    ...EndpointFields,
    missed: Type.Optional(ReplayPlanBody),
  },
  {
    title: 'WebhookEndpointChanged',
    description:
      '`missed`: only where `state` was to be `enabled`, of an endpoint that was disabled: what ' +
      'it has missed, as a dry run of `POST …/replays` finds it, without what a waiting replay ' +
      'will send. Start the snapshot to have it sent. The same request finds it again for a day.',
  },
)

const Secret = nullable('string', {
  description: 'What deliveries are signed with. Shown this once; null where nobody is called.',
})

export const EndpointRotated = Type.Object(
  { ...EndpointFields, secret: Secret },
  { title: 'WebhookEndpointWithSecret' },
)

export const EndpointMade = Type.Object(EndpointRotated.properties, {
  title: 'WebhookEndpointWithSecret',
  headers: MADE_HEADERS,
})

export const TestBody = Type.Object(
  {
    status: nullable('integer', { description: 'What the endpoint answered; null: nothing.' }),
    reason: nullable('string', {
      description:
        'Why it did not. `secret_unreadable`: its secret was sealed with another ' +
        '`WEBHOOK_SECRETS_KEY`; give it a new one.',
    }),
    took_ms: Type.Integer(),
    reply: nullable('string', { description: 'The beginning of its answer.' }),
  },
  { title: 'WebhookTest' },
)

/** An endpoint as the API shows it, with the pause it asked for, if it is among these. */
export function endpointBody(endpoint: Endpoint, pauses: Pauses) {
  const { id, url, types, description, state, payload, ordered } = endpoint
  return {
    id: Number(id),
    url,
    types: [...types],
    description,
    state: state === 'enabled' ? ('enabled' as const) : ('disabled' as const),
    disabled_reason: endpoint.disabledWhy,
    disabled_at: endpoint.disabledAt?.toISOString() ?? null,
    payload,
    ordered,
    rate_per_second: endpoint.ratePerSecond,
    created_at: endpoint.createdAt.toISOString(),
    created_by: endpoint.createdBy,
    paused_until: pauseIn(pauses, endpoint)?.toISOString() ?? null,
  }
}

/** One call of an endpoint. */
export const AttemptBody = Type.Object(
  {
    at: Time,
    status: nullable('integer', { description: 'What was answered; null: nothing.' }),
    reason: nullable('string', { description: 'Why nothing was.' }),
    took_ms: Type.Integer(),
    reply: nullable('string', { description: 'The beginning of the answer.' }),
  },
  { title: 'WebhookAttempt', description: 'A call of the endpoint.' },
)

/** A call as the API shows it. */
export function attemptBody({
  calledAt,
  status,
  reason,
  tookMs,
  reply,
}: Omit<AttemptView, 'fence'>) {
  return { at: calledAt.toISOString(), status, reason, took_ms: tookMs, reply }
}

export const DeliveryBody = Type.Object(
  {
    event_id: Type.String(),
    type: Type.String(),
    payment_id: nullable('integer'),
    state: oneOf(['pending', 'delivered', 'failed']),
    attempts: Type.Integer(),
    created_at: Time,
    next_attempt_at: nullable('string', {
      format: 'date-time',
      description: 'At the earliest; not before a pause of the endpoint ends.',
    }),
    ended_at: nullable('string', { format: 'date-time' }),
    last_attempt: Type.Union([AttemptBody, Type.Null()]),
  },
  { title: 'WebhookDelivery' },
)

export const PaymentDeliveryBody = Type.Object(
  { endpoint_id: Id, url: nullable('string'), ...DeliveryBody.properties },
  { title: 'PaymentDelivery' },
)

/** A delivery as the API shows it. */
export function deliveryBody(one: DeliveryView) {
  const { calledAt, tookMs, status, reason, reply } = one
  return {
    event_id: messageId(one.eventId),
    type: one.type,
    payment_id: one.paymentId === null ? null : Number(one.paymentId),
    state: one.state,
    attempts: one.attempts,
    created_at: one.createdAt.toISOString(),
    next_attempt_at: one.nextAt?.toISOString() ?? null,
    ended_at: one.endedAt?.toISOString() ?? null,
    last_attempt:
      calledAt === null
        ? null
        : attemptBody({ calledAt, status, reason, tookMs: tookMs ?? 0, reply }),
  }
}

const Kept = Type.Unsafe<Readonly<Record<string, unknown>> | null>({
  type: ['object', 'null'],
  additionalProperties: true,
  description:
    'The fields of the endpoint, without its secret; of a retry and a replay, what was sent again.',
})

export const EndpointActBody = Type.Object(
  {
    act: oneOf([
      'create',
      'change',
      'rotate',
      'disable',
      'remove',
      'retry',
      'replay',
      'cancel_replay',
    ]),
    actor: nullable('string', { description: 'Null: the service itself.' }),
    request_id: nullable('string', { description: 'Or why the service did it.' }),
    at: Time,
    before: Kept,
    after: Kept,
  },
  { title: 'WebhookEndpointAct' },
)

/** What was done to an endpoint as the API shows it. */
export function endpointActBody({ act, actor, requestId, before, after, createdAt }: EndpointAct) {
  return { act, actor, request_id: requestId, at: createdAt.toISOString(), before, after }
}
