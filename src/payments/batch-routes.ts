import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from 'typebox'
import type { Answer, PaymentDraft, DraftField } from '../domain/acceptance.ts'
import type { Exponent } from '../domain/currency.ts'
import type { ProblemBody } from '../http/answer.ts'
import { refusalOfFault } from '../http/failures.ts'
import { readKey, type Key } from '../http/idempotency.ts'
import { refusals, refuse } from '../http/problem.ts'
import { ItemDetailProperties } from './bodies.ts'
import type { Span } from '../ports.ts'
import { Currency, GatewayName, Id, Money, oneOf, PaymentTypes } from '../http/schemas.ts'
import {
  isRefusal,
  readDraft,
  saysMore,
  respondToItem,
  undecided,
  type RequestFields,
  type ItemResult,
} from './api.ts'
import type { TraceRequest } from '../http/traced.ts'

interface BatchRoutes {
  /** The exponent of the books' currency. */
  readonly books: Exponent
  /** Not there: nothing is traced. */
  readonly trace?: TraceRequest
  /** Accept payments: an answer for each in order, or what kept it from being decided. */
  readonly accept: (drafts: readonly PaymentDraft[]) => Promise<readonly (Answer | Error)[]>
}

/** Payments per request: what one transaction takes in its stride. */
const ITEMS_MAX = 1_000
/** A thousand items of generous size, in bytes. */
const BODY_BYTES_MAX = 512 * 1_024

const Item = Type.Object(
  {
    type: PaymentTypes,
    user_id: Id,
    // Their bounds are not the request's: what breaks them is the refusal of this item alone.
    amount: Type.Unsafe<number | string>({
      type: ['number', 'string'],
      description: 'What the gateway charges or pays out, as for a single payment.',
      examples: [200, '200.00'],
    }),
    idempotency_key: Type.Optional(Type.String({ description: 'Like the header, for this item.' })),
    currency: Type.Optional(Currency),
    gateway: Type.Optional(GatewayName),
    ...ItemDetailProperties,
  },
  { title: 'BatchItem', additionalProperties: false },
)

const Accepted = Type.Object(
  {
    payment_id: Id,
    user_id: Id,
    type: PaymentTypes,
    status: oneOf(['processing'], { description: 'Ask for the payment to see more.' }),
    amount: Money('The amount.'),
  },
  { title: 'AcceptedPayment' },
)

const Result = Type.Object(
  {
    status: Type.Integer({ description: 'The HTTP status this payment would have had by itself.' }),
    replayed: Type.Boolean({ description: 'Decided by an earlier request with the same key.' }),
    payment: Type.Optional(Accepted),
    problem: Type.Optional(Type.Unsafe<ProblemBody>(Type.Ref('Problem'))),
  },
  { title: 'BatchResult' },
)

/** What the documentation shows of a batch. */
const EXAMPLE = {
  payments: [
    { type: 'deposit', user_id: 1, amount: 200, idempotency_key: 'order-1' },
    { type: 'withdraw', user_id: 1, amount: '50.00' },
  ],
}

const BatchBody = Type.Object(
  { payments: Type.Array(Item, { minItems: 1, maxItems: ITEMS_MAX }) },
  { title: 'BatchRequest', additionalProperties: false, examples: [EXAMPLE] },
)

type ItemBody = Static<typeof Item>

/** `POST /payments/batch`: up to a thousand independent payments, an answer for each, in order. */
export function batchRoutes(options: BatchRoutes): FastifyPluginAsyncTypebox {
  const schema = {
    tags: ['Payments'],
    operationId: 'createPayments',
    summary: 'Accept up to 1,000 payments in one request',
    description:
      'The payments are independent: one that is refused harms no other. Each item may carry an ' +
      '`idempotency_key`; a repeated batch replays the items that have one. The header of that ' +
      'name is refused here.',
    body: BatchBody,
    response: {
      202: Type.Object({ results: Type.Array(Result) }, { title: 'BatchResults' }),
      ...refusals(400, 413, 415, 503),
    },
  }
  return async (app) => {
    app.post('/payments/batch', { schema, bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      if (request.headers['idempotency-key'] !== undefined) {
        const errors = [{ field: 'payments/0/idempotency_key', code: 'key_per_item' }]
        return refuse(reply, { code: 'idempotency_key_invalid', errors })
      }
      const span = options.trace?.('POST', '/payments/batch', request.headers.traceparent) ?? null
      const within = span === null ? options : { ...options, accept: acceptWithin(span, options) }
      const results = await acceptItems(within, request.body.payments, request.id)
      return reply.code(202).send({ results })
    })
  }
}

/** All payments of a request have its place in its trace. */
function acceptWithin(span: Span, { accept }: BatchRoutes): BatchRoutes['accept'] {
  const { traceparent } = span
  return async (drafts) => {
    try {
      return await accept(drafts.map((draft) => ({ ...draft, traceparent })))
    } finally {
      span.end()
    }
  }
}

/** Whatever happens to one item is its own result, so that its neighbours keep theirs. */
async function acceptItems(
  options: BatchRoutes,
  items: readonly ItemBody[],
  requestId: string,
): Promise<ItemResult[]> {
  const read = items.map((item) => readDraft(fieldsOf(item), keyOf(item), options.books))
  const drafts = read.flatMap((one) => (isRefusal(one) ? [] : [one]))
  const answers = (await options.accept(drafts)).values()
  return read.map((one, index) => {
    const answer = isRefusal(one) ? undecided(one) : answers.next().value
    return respondToItem(decided(answer), requestId, (field) => {
      const place = `payments/${index}`
      return NAMES[field] === '' ? place : `${place}/${NAMES[field]}`
    })
  })
}

function fieldsOf(item: ItemBody): RequestFields {
  const { type, user_id: userId, amount, currency, gateway } = item
  const fields = { type, userId, amount, currency, gateway }
  return saysMore(item) ? { ...fields, given: item } : fields
}

function keyOf({ idempotency_key: key }: ItemBody): Key {
  return key === undefined ? { ok: true, key: null } : readKey(key)
}

/** A fault of the world is the item's result; a bug is everybody's. */
function decided(answer: Answer | Error | undefined): Answer {
  if (answer !== undefined && !(answer instanceof Error)) return answer
  const refusal = refusalOfFault(answer)
  if (refusal === null) throw answer ?? new Error('fewer answers than drafts')
  return undecided(refusal)
}

const NAMES: Readonly<Record<DraftField, '' | keyof ItemBody>> = {
  type: 'type',
  userId: 'user_id',
  amount: 'amount',
  idempotencyKey: 'idempotency_key',
  given: '',
  asked: 'currency',
  gateway: 'gateway',
}
