import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import { exponentOf } from '../domain/currency.ts'
import { parseMoney, toWire } from '../domain/money.ts'
import { refusals, refuse } from '../http/problem.ts'
import { IntegerText, parseInteger } from '../http/schemas.ts'
import { ANSWERS, BY_KEY, CameBack, ComesBack, GiveBack, Key, Returns } from './bodies.ts'
import { decimalsOf, returnRef, type Returned } from './given-back.ts'
import type { Order } from './orders.ts'
import { malformed, type Reply } from './replies.ts'
import type { MockGateway } from './server.ts'

const tags = ['Mock gateway']

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** What goes back: refunds, which are carried out like charges, and returns, which happen. */
export function backRoutes(
  app: App,
  gateway: MockGateway,
  play: (reply: FastifyReply, how: Reply) => void,
): void {
  app.post('/refund', { schema: REFUND }, (request, reply) => {
    const order = toOrder(request.body, request.headers['idempotency-key'])
    play(reply, 'kind' in order ? order : gateway.pay(order))
  })
  app.get('/refunds/:key', { schema: LOOKUP }, (request, reply) => {
    play(reply, gateway.lookup(request.params.key))
  })
  app.post('/returns', { schema: COME_BACK }, (request, reply) => {
    const { payment_id: paymentId, kind, amount: asked } = request.body
    const decimals = gateway.decimalsOf(paymentId)
    // Of a payment that was never charged here, nobody knows what its amount may look like.
    if (decimals === null) return void refuse(reply, { code: 'not_returnable' })
    const money = asked === undefined ? null : parseMoney(asked, 1n, decimals)
    if (money !== null && !money.ok) {
      const code = money.problem
      return void refuse(reply, { code, errors: [{ field: 'amount', code }] })
    }
    const made = gateway.comeBack(kind, paymentId, money?.minor ?? null)
    if (made === null) return void refuse(reply, { code: 'busy' })
    if (!made.ok) return void refuse(reply, { code: 'not_returnable' })
    void reply.send(toRow(made.returned))
  })
  app.get('/returns', { schema: LIST }, (request, reply) => {
    const after = parseInteger('after', request.query.after, AFTERS)
    const limit = parseInteger('limit', request.query.limit, LIMITS)
    if (!after.ok) return void refuse(reply, after.refusal)
    if (!limit.ok) return void refuse(reply, limit.refusal)
    // One more than asked for tells whether there is another page.
    const rows = gateway.returned(after.value, limit.value + 1)
    const next = rows.length > limit.value ? after.value + limit.value : null
    void reply.send({ data: rows.slice(0, limit.value).map(toRow), next_after: next })
  })
}

const LIMITS = { min: 1, max: 1_000, fallback: 100 }
const AFTERS = { min: 0, max: 999_999_999, fallback: 0 }

const REFUND = {
  tags,
  operationId: 'mockRefund',
  summary: 'Refund a charge',
  description:
    'Gives back a part of a deposit once per `Idempotency-Key`, and fails as its faults say. ' +
    'More than is left is declined; what was never charged is refused as `unknown_charge`.',
  headers: Type.Object({ 'idempotency-key': Type.Optional(Key) }),
  body: GiveBack,
  response: { ...ANSWERS, ...refusals(400, 415) },
}

const LOOKUP = {
  tags,
  operationId: 'mockLookupRefund',
  summary: 'Look a refund up by its key',
  description: 'What became of it; 404: it was never seen. Fails as its faults say.',
  ...BY_KEY,
}

const COME_BACK = {
  tags,
  operationId: 'mockComeBack',
  summary: 'Make a payment come back',
  description:
    'A payout comes back, a deposit is charged back or refunded at the gateway itself, a dispute ' +
    'is won. Lookups of the payment tell of it from then on.',
  body: ComesBack,
  response: { 200: CameBack, ...refusals(400, 409, 415, 422, 503) },
}

const LIST = {
  tags,
  operationId: 'mockReturns',
  summary: 'Everything that came back',
  description: 'Oldest first, each page behind the one before.',
  querystring: Type.Object(
    {
      after: IntegerText('How many returns lie before the page.', AFTERS),
      limit: IntegerText('How many to list.', LIMITS),
    },
    { additionalProperties: false },
  ),
  response: { 200: Returns, ...refusals(400) },
}

function toOrder(body: Static<typeof GiveBack>, key: string | undefined): Order | Reply {
  const { currency, type } = body
  const exponent = currency === undefined ? 2 : exponentOf(currency)
  if (exponent === undefined) return malformed('currency_unknown')
  const amount = parseMoney(body.amount, 1n, exponent)
  if (!amount.ok) return malformed(amount.problem)
  return {
    key: key ?? null,
    paymentId: body.payment_id,
    userId: body.user_id,
    amount: amount.minor,
    commission: 0n,
    type,
    parentId: body.parent_id,
    ...(currency === undefined ? {} : { currency }),
  }
}

function toRow(returned: Returned) {
  return {
    payment_id: returned.paymentId,
    gateway_ref: returnRef(returned),
    kind: returned.kind,
    amount: toWire(returned.amount, decimalsOf(returned)),
    at: returned.at,
  }
}
