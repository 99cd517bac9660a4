import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { exponentIn, type Exponent } from '../domain/currency.ts'
import { parseMoney, toWire } from '../domain/money.ts'
import { API } from '../http/paths.ts'
import { refusals, refuse } from '../http/problem.ts'
import {
  Balance,
  Cursor,
  Id,
  IdParams,
  IntegerText,
  LOCATION,
  Money,
  nullable,
  parseId,
  pageOf,
  parseInteger,
  readCursor,
  Time,
  writeCursor,
} from '../http/schemas.ts'
import { postingsOfUser, type Posting } from '../ledger/store.ts'
import type { Db } from '../ports.ts'
import type { User } from './store.ts'

interface UserRoutes {
  /** Open one user with a balance in minor units; concurrent calls are joined. */
  readonly open: (balance: bigint) => Promise<User>
  /** Read one user; concurrent calls are joined. Null: there is none. */
  readonly read: (id: bigint) => Promise<User | null>
  readonly db: Db
}

const UserBody = Type.Object(
  {
    id: Id,
    balance: Money('What can be spent: withdrawals in progress are already taken off.'),
    held: Money('Reserved for withdrawals whose outcome is not final.'),
  },
  { title: 'User', examples: [{ id: 1, balance: 949, held: 51 }] },
)

const OpenedUser = Type.Object(
  { id: Id, balance: Money('What can be spent.') },
  { title: 'OpenedUser', headers: LOCATION, examples: [{ id: 1, balance: 1000 }] },
)

const Transaction = Type.Object(
  {
    payment_id: nullable('integer', { description: 'Null for the opening balance.' }),
    kind: Type.String({ description: 'opening, hold, release or settle.' }),
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

const PAGE = { min: 1, max: 500, fallback: 50 }

/** Greater than every kind: the first page starts below this position. */
const START = { paymentId: 9_223_372_036_854_775_807n, kind: '~' }

/** `POST /users`, `GET /users/{id}`, `GET /users/{id}/transactions`. */
export function userRoutes(options: UserRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    openRoute(app, options)
    readRoute(app, options)
    transactionsRoute(app, options)
  }
}

type App = Parameters<FastifyPluginAsyncTypebox>[0]

function openRoute(app: App, { open }: UserRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'createUser',
    summary: 'Create a user with a balance',
    body: Type.Object(
      { balance: Balance('The opening balance, 0 or more.', [1000, '1000.00']) },
      { title: 'OpenUserRequest', additionalProperties: false, examples: [{ balance: 1000 }] },
    ),
    response: {
      201: OpenedUser,
      ...refusals(400, 413, 415, 422, 503),
    },
  }
  app.post('/users', { schema }, async (request, reply) => {
    const money = parseMoney(request.body.balance, 0n)
    if (!money.ok) {
      // Its bounds are others than those of a payment.
      const code = money.problem === 'amount_range' ? 'balance_range' : money.problem
      return refuse(reply, { code, errors: [{ pointer: '/balance', code }] })
    }
    const user = await open(money.minor)
    void reply.code(201).header('location', `${API}/users/${user.id}`)
    return reply.send({ id: Number(user.id), balance: toWire(user.available) })
  })
}

function readRoute(app: App, { read }: UserRoutes): void {
  const schema = {
    tags: ['Users'],
    operationId: 'getUser',
    summary: 'Read a balance',
    params: IdParams('The user id.'),
    response: { 200: UserBody, ...refusals(404, 503) },
  }
  app.get('/users/:id', { schema }, async (request, reply) => {
    const id = parseId(request.params.id)
    const user = id === null ? null : await read(id)
    if (user === null) return refuse(reply, { code: 'user_not_found' })
    const { available, held } = user
    const exponent = exponentIn(user.currency)
    return reply.send({
      id: Number(user.id),
      balance: toWire(available, exponent),
      held: toWire(held, exponent),
    })
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
        limit: IntegerText('Entries per page.', PAGE.min, PAGE.max, PAGE.fallback),
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
    const limit = parseInteger('limit', request.query.limit, PAGE)
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
      data: page.map((posting) => transactionBody(posting, exponentIn(user.currency))),
      next_cursor: more ? writeCursor(list, [String(last.paymentId), last.kind]) : null,
    })
  })
}

function startOf(position: readonly string[]): { paymentId: bigint; kind: string } | null {
  const [paymentId, kind] = position
  if (paymentId === undefined || kind === undefined) return START
  return /^\d{1,18}$/.test(paymentId) && /^[a-z]{1,20}$/.test(kind)
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
