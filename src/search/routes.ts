import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { DeadLetterBody, letterBody } from '../dead-letters/bodies.ts'
import { readSought, SEARCH_LENGTH_MAX, type Sought } from '../domain/search.ts'
import { refusals, refuse } from '../http/problem.ts'
import { oneOf } from '../http/schemas.ts'
import { PaymentBody, paymentBody } from '../payments/routes.ts'
import { UserBody, userBody } from '../users/routes.ts'
import type { PaymentMatch, search, UserMatch } from './search.ts'
import { COMPARED_MAX } from './store.ts'

const PAYMENT_MATCHES: readonly PaymentMatch[] = [
  'payment_id',
  'reference',
  'idempotency_key',
  'gateway_ref',
  'amount',
]
const USER_MATCHES: readonly UserMatch[] = ['user_id', 'external_id']

const by = <Match extends string>(matches: readonly Match[], title: string) =>
  Type.Array(oneOf(matches, { title }), { description: 'By what it was found.' })

const FoundBody = Type.Object(
  {
    payments: Type.Array(
      Type.Object(
        { payment: PaymentBody, by: by(PAYMENT_MATCHES, 'PaymentMatch') },
        { title: 'FoundPayment' },
      ),
      { description: 'Those that were found by more than their amount first; 20 at most.' },
    ),
    users: Type.Array(
      Type.Object({ user: UserBody, by: by(USER_MATCHES, 'UserMatch') }, { title: 'FoundUser' }),
    ),
    dead_letters: Type.Array(DeadLetterBody, { description: 'The one with this id.' }),
  },
  { title: 'Found' },
)

const SEARCH = {
  tags: ['Operations'],
  operationId: 'search',
  summary: 'Find what is called so',
  description:
    'Payments, users and dead letters by id, payments by reference and users by external id, ' +
    'however old they are. Payments also by idempotency key, gateway reference and amount, among ' +
    `the newest ${COMPARED_MAX.toLocaleString('en')} of each shard; the filters of \`GET ` +
    '/payments` find older ones. The reference under which a payment was corrected finds it ' +
    'however old it is. Texts are compared whole.',
  querystring: Type.Object(
    {
      q: Type.String({
        minLength: 1,
        maxLength: SEARCH_LENGTH_MAX,
        description: 'An id (`4711` or `#4711`), a reference, a key, an amount such as `12.50`.',
      }),
    },
    { additionalProperties: false },
  ),
  response: { 200: FoundBody, ...refusals(400, 503) },
}

interface SearchRoutes {
  /** The currency of the books. */
  readonly books: string
  readonly find: (sought: Sought) => ReturnType<typeof search>
}

/** `GET /search`. */
export function searchRoutes({ books, find }: SearchRoutes): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/search', { schema: SEARCH }, async (request, reply) => {
      const sought = readSought(request.query.q)
      if (sought === null) {
        const errors = [{ field: 'q', code: 'malformed' }]
        return refuse(reply, { code: 'query_invalid', errors })
      }
      const found = await find(sought)
      return reply.send({
        payments: found.payments.map((one) => ({
          payment: paymentBody(one.view),
          by: [...one.by],
        })),
        users: found.users.map((one) => ({ user: userBody(one.user), by: [...one.by] })),
        dead_letters: found.letters.map((letter) => letterBody(letter, books)),
      })
    })
  }
}
