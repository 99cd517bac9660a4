import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn, exponentOf, type Exponent } from '../domain/currency.ts'
import { DETAIL_PATTERNS, readUserTexts } from '../domain/details.ts'
import { parseMoney, toWire } from '../domain/money.ts'
import type { OpeningAnswer, UserDraft } from '../domain/opening.ts'
import type { Refusal } from '../domain/refusal.ts'
import { sentFields, type SentFields } from '../domain/sent-fields.ts'
import { ID_MAX } from '../domain/shard.ts'
import { keyOfHeaders } from '../http/idempotency.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import { readCursor, writeCursor } from '../http/cursor.ts'
import { Cursor, PAGE_SIZE, pageOf } from '../http/page.ts'
import {
  Balance,
  Id,
  IdempotencyHeaders,
  IdParams,
  IntegerText,
  MADE_HEADERS,
  Money,
  nullable,
  OfCurrency,
  parseId,
  parseInteger,
  Time,
} from '../http/schemas.ts'
import { MetadataField, MetadataShown, shownText, textField } from '../http/texts.ts'
import { postingsOfUser, type Posting } from '../ledger/store.ts'
import type { Db } from '../ports.ts'
import type { ShownUser } from './read.ts'

interface UserRoutes {
  /** Open one user; concurrent calls are joined. */
  readonly open: (draft: UserDraft) => Promise<OpeningAnswer>
  /** Read one user; concurrent calls are joined. Null: there is none. */
  readonly read: (id: bigint) => Promise<ShownUser | null>
  readonly db: Db
}

const ExternalIdShown = nullable('string', { description: 'What you call the user.' })

export const UserBody = Type.Object(
  {
    id: Id,
    balance: Money('What can be spent: what is held is already taken off.'),
    held: Money('Reserved for withdrawals and refunds that are not final.'),
    created_at: Time,
    external_id: ExternalIdShown,
    metadata: MetadataShown,
    currency: OfCurrency,
  },
  {
    title: 'User',
    examples: [
      {
        id: 1,
        balance: 949,
        held: 51,
        created_at: '2030-01-01T00:00:00.000Z',
        external_id: 'customer-4711',
        metadata: { shop: 'berlin' },
        currency: 'USD',
      },
    ],
  },
)

/** A user as it is shown. */
export function userBody(user: ShownUser) {
  const exponent = exponentIn(user.currency, user.currency)
  return {
    id: Number(user.id),
    balance: toWire(user.available, exponent),
    held: toWire(user.held, exponent),
    created_at: user.createdAt.toISOString(),
    external_id: user.externalId,
    metadata: user.metadata,
    currency: user.currency,
  }
}

const OpenedUser = Type.Object(
  {
    id: Id,
    balance: Money('What can be spent.'),
    currency: Type.Optional(Type.String({ description: 'Where one was given.' })),
    external_id: Type.Optional(Type.String({ description: 'Where one was given.' })),
    metadata: Type.Optional(MetadataShown),
  },
  {
    title: 'OpenedUser',
    headers: MADE_HEADERS,
    examples: [{ id: 1, balance: 1000 }],
  },
)

const Transaction = Type.Object(
  {
    payment_id: nullable('integer', { description: 'Null for the opening balance.' }),
    kind: Type.String({ description: 'opening, hold, release, settle or settle_late.' }),
    balance: Money('By how much this entry changed the balance.'),
    held: Money('By how much this entry changed what is held.'),
    commission: Money('The commission earned with this entry.'),
    created_at: Time,
  },
  {
    title: 'Transaction',
    examples: [
      {
        payment_id: 2,
        kind: 'hold',
        balance: -51,
        held: 51,
        commission: 0,
        created_at: '2030-01-01T00:00:00.000Z',
      },
    ],
  },
)

/** Greater than every kind: the first page starts below this position. */
const START = { paymentId: ID_MAX, kind: '~' }

/** `POST /users`, `GET /users/{id}`, `GET /users/{id}/transactions`. */
export function userRoutes(options: UserRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    openRoute(app, options)
    readRoute(app, options)
    transactionsRoute(app, options)
  }
}

type App = Parameters<FastifyPluginAsyncTypebox>[0]

const OPEN = {
  tags: ['Users'],
  operationId: 'createUser',
  summary: 'Create a user with a balance',
  description:
    'With an `Idempotency-Key` the same request opens one user, however often it is sent; a key ' +
    'belongs to the API key that it came with. An `external_id` is unique among all users: a ' +
    'second user under it is refused with 409 `external_id_taken`. The `currency` of the ' +
    'account is that of all of its payments, for its whole life.',
  headers: IdempotencyHeaders,
  body: Type.Object(
    {
      balance: Balance('The opening balance, 0 or more.', [1000, '1000.00']),
      currency: Type.Optional(
        Type.String({
          pattern: '^[A-Z]{3}$',
          description: 'The currency of the account (ISO 4217); when left out, that of the books.',
          examples: ['USD'],
        }),
      ),
      external_id: textField(
        'What you call the user: unique among all users, and never changed.',
        shownText(DETAIL_PATTERNS.reference, 'customer-4711'),
      ),
      metadata: MetadataField,
    },
    { title: 'OpenUserRequest', additionalProperties: false, examples: [{ balance: 1000 }] },
  ),
  response: {
    201: OpenedUser,
    ...refusals(400, 409, 413, 415, 422, 503),
  },
}

/** The fields of a request as they were sent; the books' currency may be named or left out. */
function spellings(
  fields: Parameters<typeof sentFields>[0],
  currency: string | null,
  books: string,
): Pick<UserDraft, 'sent' | 'alike'> {
  const sent = sentFields({ ...fields, currency })
  if (currency !== null && currency !== books) return { sent }
  return { sent, alike: sentFields({ ...fields, currency: currency === null ? books : null }) }
}

function openRoute(app: App, { open, db }: UserRoutes): void {
  app.post('/users', { schema: OPEN }, async (request, reply) => {
    const { balance, currency = null, external_id: externalId, metadata } = request.body
    const money = readBalance(balance, currency ?? db.currency)
    if ('code' in money) return refuse(reply, money)
    const key = keyOfHeaders(request.raw)
    if (!key.ok) return refuse(reply, { code: 'idempotency_key_invalid' })
    const read = readUserTexts({ external_id: externalId, metadata })
    if (!read.ok) return refuse(reply, read.refusal)
    const { texts } = read
    const said = { external_id: texts?.externalId ?? null, metadata: texts?.metadata ?? null }
    const fields = { balance: `${money.minor}`, ...said }
    const answer = await open({
      balance: money.minor,
      currency: currency === db.currency ? null : currency,
      key: key.key === null ? null : { apiKey: request.keyId ?? '', key: key.key },
      texts,
      ...spellings(fields, currency, db.currency),
    })
    if (answer.kind === 'refused') return refuse(reply, answer.refusal)
    if (answer.replayed) void reply.header('idempotent-replayed', 'true')
    return reply
      .code(201)
      .header('location', `${API}/users/${answer.userId}`)
      .send({
        id: Number(answer.userId),
        balance: toWire(money.minor, money.exponent),
        ...given({ currency: namedCurrency(answer, currency, db.currency), ...said }),
      })
  })
}

/**
 * The currency as the first request named it. The same request has the same fields, but for the
 * currency of the books, which may be left out; so the first answer and every replay are the same.
 */
function namedCurrency(
  { sent }: { readonly sent?: SentFields },
  currency: string | null,
  books: string,
): string | null {
  const named = sent === undefined ? currency !== null : 'currency' in sent
  return named ? (currency ?? books) : null
}

/** Those fields that were given. */
function given<Fields extends object>(
  fields: Fields,
): { [Field in keyof Fields]?: NonNullable<Fields[Field]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== null)
  // Object.entries forgets the keys' type.
  return Object.fromEntries(entries) as { [Field in keyof Fields]?: NonNullable<Fields[Field]> }
}

/** An opening balance in minor units of its currency, or the refusal of it. */
function readBalance(
  balance: string | number,
  currency: string,
): { readonly minor: bigint; readonly exponent: Exponent } | Refusal {
  const exponent = exponentOf(currency)
  if (exponent === undefined) {
    const code = 'currency_unknown'
    return { code, errors: [{ field: 'currency', code }] }
  }
  const money = parseMoney(balance, 0n, exponent)
  if (money.ok) return { minor: money.minor, exponent }
  // Its bounds are others than those of a payment.
  const code = money.problem === 'amount_range' ? 'balance_range' : money.problem
  return { code, errors: [{ field: 'balance', code }], exponent }
}

function readRoute(app: App, { read }: UserRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'getUser',
    summary: 'Read a user and its balance',
    params: IdParams('The user id.'),
    response: { 200: UserBody, ...refusals(404, 503) },
  }
  app.get('/users/:id', { schema }, async (request, reply) => {
    const id = parseId(request.params.id)
    const user = id === null ? null : await read(id)
    if (user === null) return refuse(reply, { code: 'user_not_found' })
    return reply.send(userBody(user))
  })
}

function transactionsRoute(app: App, { read, db }: UserRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'listTransactions',
    summary: "List a user's ledger entries, newest payment first",
    params: IdParams('The user id.'),
    querystring: Type.Object(
      {
        limit: IntegerText('Entries per page.', PAGE_SIZE),
        cursor: Cursor,
      },
      { additionalProperties: false },
    ),
    response: {
      200: pageOf('TransactionPage', Transaction),
      ...refusals(400, 404, 503),
    },
  }
  app.get('/users/:id/transactions', { schema }, async (request, reply) => {
    const limit = parseInteger('limit', request.query.limit, PAGE_SIZE)
    if (!limit.ok) return refuse(reply, limit.refusal)
    const id = parseId(request.params.id)
    const user = id === null ? null : await read(id)
    if (id === null || user === null) return refuse(reply, { code: 'user_not_found' })

    const list = `transactions ${id}`
    const { cursor } = request.query
    const position = cursor === undefined ? [] : readCursor(list, cursor, 2)
    const before = position === null ? null : startOf(position)
    if (before === null) return refuse(reply, { code: 'cursor_invalid' })

    const rows = await postingsOfUser(db.of(id), id, before, limit.value + 1)
    const page = rows.slice(0, limit.value)
    const last = page.at(-1)
    const more = rows.length > page.length && last !== undefined
    return reply.send({
      data: page.map((posting) => transactionBody(posting, exponentIn(user.currency, db.currency))),
      next_cursor: more ? writeCursor(list, [String(last.paymentId), last.kind]) : null,
    })
  })
}

function startOf(position: readonly string[]): { paymentId: bigint; kind: string } | null {
  const [paymentId, kind] = position
  if (paymentId === undefined || kind === undefined) return START
  return /^\d{1,18}$/.test(paymentId) && /^[a-z_]{1,20}$/.test(kind)
    ? { paymentId: BigInt(paymentId), kind }
    : null
}

function transactionBody(posting: Posting, exponent: Exponent) {
  return {
    payment_id: posting.paymentId === 0n ? null : Number(posting.paymentId),
    kind: posting.kind,
    balance: toWire(posting.user, exponent),
    held: toWire(posting.held, exponent),
    commission: toWire(posting.fees, exponent),
    created_at: posting.createdAt.toISOString(),
  }
}
