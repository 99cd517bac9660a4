import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Answer, PaymentDraft } from '../domain/acceptance.ts'
import type { Exponent } from '../domain/currency.ts'
import type { JsonNumber } from '../domain/exact-json.ts'
import { toWire } from '../domain/money.ts'
import type { StoredStatus } from '../domain/payment.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { refusals, refuse, send } from '../http/problem.ts'
import { readBelow, writeBelow } from '../http/cursor.ts'
import { Cursor, PAGE_SIZE, pageOf } from '../http/page.ts'
import {
  Amount,
  BookedTypes,
  Currency,
  GatewayName,
  Id,
  IdempotencyHeaders,
  IdFilter,
  IdParams,
  IntegerText,
  MADE_HEADERS,
  missingBody,
  MissingShards,
  Money,
  nullable,
  OfCurrency,
  oneOf,
  parseId,
  parseInteger,
  Time,
} from '../http/schemas.ts'
import {
  DetailsShown,
  DetailProperties,
  detailsBody,
  FILTERS,
  OneQuery,
  readFilters,
  WAIT,
} from './bodies.ts'
import { isRefusal, readDraft, respond, undecided, type RequestFields } from './api.ts'
import type { WholePayment } from './back-store.ts'
import { FORMS } from './body-fields.ts'
import { answeredWithin, type TraceRequest } from '../http/traced.ts'
import type { PageOfViews, PaymentView } from './read.ts'
import type { PaymentFilter } from './filter-store.ts'

interface PaymentRoutes {
  /** The exponent of the books' currency. */
  readonly books: Exponent
  /** Accept one payment; concurrent calls are joined into batches. */
  readonly accept: (draft: PaymentDraft) => Promise<Answer>
  /** Not there: nothing is traced. */
  readonly trace?: TraceRequest
  /** Read one payment; concurrent calls are joined. Null: there is none. */
  readonly read: (id: bigint) => Promise<PaymentView | null>
  /**
   * Ask the gateway about a payment in doubt; does nothing where there is no gateway or no doubt.
   */
  readonly refresh: (id: bigint, traceparent?: string) => Promise<void>
  /** Resolves when a payment is final, or the time is over. */
  readonly final: (id: bigint, waitMs: number) => Promise<void>
  readonly page: (filter: PaymentFilter, before: bigint, limit: number) => Promise<PageOfViews>
}

const STATUSES = ['new', 'processing', 'pending', 'success', 'failed', 'unknown'] as const

const PaymentStatus = oneOf(STATUSES, {
  title: 'PaymentStatus',
  description:
    '`success` and `failed` are final. `pending`: the gateway has taken it and has not finished ' +
    'it; perhaps the payer has to do something first, which is in `action`. `unknown`: the ' +
    'gateway may have executed it; its money stays held and lookups go on.',
})

const PayerAction = Type.Union(
  [
    Type.Object(
      {
        type: oneOf(['redirect']),
        url: Type.String({ format: 'uri', description: 'The page to send the payer to.' }),
        expires_at: nullable('string', { format: 'date-time', description: 'Null: unknown.' }),
      },
      { title: 'PayerAction' },
    ),
    Type.Null(),
  ],
  { description: 'While it is `pending`: what its payer has to do; null: nothing.' },
)

const PaymentFields = {
  payment_id: Id,
  user_id: Id,
  type: BookedTypes,
  amount: Money('What the gateway charges, pays out or gives back.'),
  commission: Money('Taken from a deposit, added to a withdrawal; earned only on success.'),
  status: PaymentStatus,
  attempts: Type.Integer({ description: 'Attempts that count against the limit.' }),
  last_error: nullable('string', { description: 'Why it failed, or why the last attempt did.' }),
  transaction_status: oneOf(['processing', 'success', 'failed']),
  gateway_ref: nullable('string', { description: "The gateway's own reference." }),
  created_at: Time,
  finished_at: nullable('string', { format: 'date-time' }),
  next_attempt_at: nullable('string', {
    format: 'date-time',
    description: 'When it is tried or looked up next; null when final or being processed.',
  }),
  refunded: Money('Of a deposit: what was refunded.'),
  returned: Money('What of it came back without being asked for.'),
  parent_id: nullable('integer', { description: 'Of a refund or a return: what it is of.' }),
  fee_returned: Type.Unsafe<JsonNumber | null>({
    type: ['number', 'null'],
    description: 'Of a refund or a return: what of the commission goes back with it.',
  }),
  return_kind: Type.Unsafe<WholePayment['returnKind']>({
    type: ['string', 'null'],
    enum: ['payout_returned', 'charged_back', 'refunded_there', 'dispute_won', 'was_refund', null],
    description: 'Of a return: how it came back.',
  }),
  ...DetailsShown,
  currency: OfCurrency,
  gateway: Type.String({ description: 'Where it is carried out, for its whole life.' }),
  action: PayerAction,
}

export const PaymentBody = Type.Object(PaymentFields, {
  title: 'Payment',
  examples: [
    {
      payment_id: 1,
      user_id: 1,
      type: 'deposit',
      amount: 200,
      commission: 4,
      status: 'success',
      attempts: 1,
      last_error: null,
      transaction_status: 'success',
      gateway_ref: 'gw_00000001',
      created_at: '2030-01-01T00:00:00.000Z',
      finished_at: '2030-01-01T00:00:00.100Z',
      next_attempt_at: null,
      refunded: 50,
      returned: 0,
      parent_id: null,
      fee_returned: null,
      return_kind: null,
      reference: 'order-4711',
      description: null,
      metadata: { shop: 'berlin' },
      payment_method: null,
      return_url: null,
      currency: 'USD',
      gateway: 'http',
      action: null,
    },
  ],
})

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** `POST /payments/deposit`, `POST /payments/withdraw`, `GET /payments/{id}`, `GET /payments`. */
export function paymentRoutes(options: PaymentRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    depositRoute(app, options)
    withdrawRoute(app, options)
    readRoute(app, options)
    listRoute(app, options)
  }
}

function acceptedBody(field: 'deposit' | 'withdraw', title: string, amount: number) {
  const example = { payment_id: 1, user_id: 1, status: 'processing', [field]: amount }
  const fields = {
    payment_id: Id,
    user_id: Id,
    status: oneOf(['processing'], { description: 'Ask for the payment to see more.' }),
    [field]: Money('The amount.'),
  }
  const options = { title, headers: MADE_HEADERS, examples: [example] }
  return Type.Unsafe<unknown>(Type.Object(fields, options))
}

function depositRoute(app: App, options: PaymentRoutes): void {
  const schema = {
    tags: ['Payments'],
    operationId: 'createDeposit',
    summary: 'Deposit money',
    description: 'The gateway is charged the amount; the user gets it less the commission.',
    headers: IdempotencyHeaders,
    body: Type.Object(
      {
        user_id: Id,
        deposit: Amount('What to charge.', [200, '200.00']),
        currency: Type.Optional(Currency),
        gateway: Type.Optional(GatewayName),
        ...DetailProperties,
      },
      {
        title: 'DepositRequest',
        additionalProperties: false,
        examples: [{ user_id: 1, deposit: 200 }],
      },
    ),
    response: {
      202: acceptedBody('deposit', 'AcceptedDeposit', 200),
      ...refusals(400, 404, 409, 413, 415, 422, 503),
    },
  }
  app.post('/payments/deposit', { schema }, (request, reply) => {
    const { user_id: userId, deposit: amount, currency, gateway, ...given } = request.body
    const fields = { userId, amount, currency, gateway, given }
    return accept(request, reply, options, { ...fields, type: 'deposit' })
  })
}

function withdrawRoute(app: App, options: PaymentRoutes): void {
  const schema = {
    tags: ['Payments'],
    operationId: 'createWithdrawal',
    summary: 'Withdraw money',
    description:
      'The amount and its commission are held at once, or refused with 402; the gateway pays out ' +
      'the amount.',
    headers: IdempotencyHeaders,
    body: Type.Object(
      {
        user_id: Id,
        amount: Amount('What to pay out.', [50, '50.00']),
        currency: Type.Optional(Currency),
        gateway: Type.Optional(GatewayName),
        ...DetailProperties,
      },
      {
        title: 'WithdrawalRequest',
        additionalProperties: false,
        examples: [{ user_id: 1, amount: 50 }],
      },
    ),
    response: {
      202: acceptedBody('withdraw', 'AcceptedWithdrawal', 50),
      ...refusals(400, 402, 404, 409, 413, 415, 422, 503),
    },
  }
  app.post('/payments/withdraw', { schema }, (request, reply) => {
    const { user_id: userId, amount, currency, gateway, ...given } = request.body
    const fields = { userId, amount, currency, gateway, given }
    return accept(request, reply, options, { ...fields, type: 'withdraw' })
  })
}

async function accept(
  request: FastifyRequest,
  reply: FastifyReply,
  options: PaymentRoutes,
  fields: RequestFields,
): Promise<FastifyReply> {
  const draft = readDraft(fields, keyOfHeaders(request.raw), options.books)
  const { where } = FORMS[fields.type]
  if (isRefusal(draft)) return send(reply, respond(undecided(draft), request.id, where))
  const made = async (one: PaymentDraft) => respond(await options.accept(one), request.id, where)
  const { traceparent } = request.headers
  const span = options.trace?.('POST', `/payments/${fields.type}`, traceparent) ?? null
  if (span === null) return send(reply, await made(draft))
  const within = made({ ...draft, traceparent: span.traceparent })
  return send(reply, await answeredWithin(span, within))
}

function readRoute(app: App, { read, refresh, final }: PaymentRoutes): void {
  const schema = {
    tags: ['Payments'],
    operationId: 'getPayment',
    summary: 'See what became of a payment',
    description:
      'With `refresh=true` the gateway is asked first, if the payment is in doubt, nobody is ' +
      'asking already and it was not asked within the last two seconds. With `wait=20` the ' +
      'answer comes when the payment is final, or after so many seconds, whatever it is then.',
    params: IdParams('The payment id.'),
    querystring: OneQuery,
    response: { 200: PaymentBody, ...refusals(400, 403, 404, 503) },
  }
  app.get('/payments/:id', { schema }, async (request, reply) => {
    const wait = parseInteger('wait', request.query.wait, WAIT)
    if (!wait.ok) return refuse(reply, wait.refusal)
    const id = parseId(request.params.id)
    const asks = request.query.refresh === 'true'
    // What the gateway says may end the payment: that is no reading.
    if (asks && request.scopes?.includes('write') === false) {
      return refuse(reply, { code: 'forbidden' })
    }
    if (id !== null && asks) await refresh(id, request.traceparent)
    if (id !== null && wait.value > 0) await final(id, wait.value * 1_000)
    const view = id === null ? null : await read(id)
    if (view === null) return refuse(reply, { code: 'payment_not_found' })
    return reply.send(paymentBody(view))
  })
}

function listRoute(app: App, { page }: PaymentRoutes): void {
  const schema = {
    tags: ['Payments'],
    operationId: 'listPayments',
    summary: 'List payments, newest first',
    description:
      'A page of a filtered list looks at 5,000 payments at most, so it may be short, or empty, ' +
      'although there are more: go on until `next_cursor` is null.',
    querystring: Type.Object(
      {
        user_id: IdFilter('Payments of one user.'),
        status: Type.Optional(PaymentStatus),
        type: Type.Optional(BookedTypes),
        parent_id: IdFilter('Refunds and returns of one payment.'),
        ...FILTERS,
        limit: IntegerText('Payments per page.', PAGE_SIZE),
        cursor: Cursor,
      },
      { additionalProperties: false },
    ),
    response: {
      200: pageOf('PaymentPage', PaymentBody, { missing_shards: MissingShards }),
      ...refusals(400, 503),
    },
  }
  app.get('/payments', { schema }, async (request, reply) => {
    const { user_id: userId, parent_id: parentId, status, type, cursor } = request.query
    const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
    if (!limit.ok) return refuse(reply, limit.refusal)
    const found = readFilters(request.query)
    if (!found.ok) return refuse(reply, found.refusal)
    const list = `payments ${userId ?? ''} ${status ?? ''} ${type ?? ''}${found.text}${
      parentId === undefined ? '' : ` of ${parentId}`
    }`
    const before = readBelow(list, cursor)
    if (before === null) return refuse(reply, { code: 'cursor_invalid' })

    const filter = {
      userId: userId === undefined ? null : BigInt(userId),
      status: storedStatus(status),
      type: type ?? null,
      parentId: parentId === undefined ? null : BigInt(parentId),
      ...found.filter,
    }
    const { views, next, missing } = await page(filter, before, limit.value)
    const shown = views.filter((view) => matches(view, status))
    return reply.send({
      data: shown.map(paymentBody),
      next_cursor: writeBelow(list, next),
      ...missingBody(missing),
    })
  })
}

/** Not stored is what the task of a new payment tells: that it is leased, or pending. */
function storedStatus(status: (typeof STATUSES)[number] | undefined): StoredStatus | null {
  if (status === undefined) return null
  return status === 'processing' || status === 'pending' ? 'new' : status
}

function matches(view: PaymentView, status: string | undefined): boolean {
  return status === undefined || view.status === status
}

/** A payment as it is shown. */
export function paymentBody(view: PaymentView) {
  const { payment, currency, exponent } = view
  return {
    payment_id: Number(payment.id),
    user_id: Number(payment.userId),
    type: payment.type,
    amount: toWire(payment.amount, exponent),
    commission: toWire(payment.commission, exponent),
    status: view.status,
    attempts: view.attempts,
    last_error: view.lastError,
    transaction_status: view.transactionStatus,
    gateway_ref: payment.gatewayRef,
    created_at: payment.createdAt.toISOString(),
    finished_at: payment.finishedAt?.toISOString() ?? null,
    next_attempt_at: view.nextAt?.toISOString() ?? null,
    refunded: toWire(payment.refunded, exponent),
    returned: toWire(payment.returned, exponent),
    parent_id: payment.parentId === null ? null : Number(payment.parentId),
    fee_returned: payment.feeReturned === null ? null : toWire(payment.feeReturned, exponent),
    return_kind: payment.returnKind,
    ...detailsBody(view.details),
    currency,
    gateway: payment.gateway,
    action: view.action,
  }
}
