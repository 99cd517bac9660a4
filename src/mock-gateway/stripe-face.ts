import {
  nextFate,
  openKeys,
  spoiled,
  type Face,
  type FaceRequest,
  type Fate,
  type Keys,
  type Surroundings,
} from './face.ts'
import type { Reply } from './replies.ts'
import { PLAINLY, stripeBooks, type Doing, type StripeBooks } from './stripe-books.ts'
import { readForm, type Form } from './stripe-form.ts'
import { disputeIntent, endDispute, listDisputes } from './stripe-disputes.ts'
import {
  checkGiving,
  createRefund,
  createTransfer,
  listRefunds,
  listTransfers,
  retrieveRefund,
  retrieveTransfer,
  listReversals,
  reverseTransfer,
} from './stripe-givings.ts'
import {
  answerIntent,
  cancelIntent,
  checkIntent,
  createIntent,
  listIntents,
  retrieveIntent,
  searchIntents,
} from './stripe-intents.ts'
import { failure, type Answer } from './stripe-objects.ts'

interface State extends Surroundings {
  books: StripeBooks
  readonly keys: Keys<Answer>
  requests: number
}

/** The same gateway in the words of Stripe. */
export function stripeFace(around: Surroundings): Face {
  const { clock } = around
  const state: State = { ...around, books: stripeBooks(clock), keys: openKeys(clock), requests: 0 }
  return {
    answer: (request) => answer(state, request),
    moved: (name, value) => moved(state.books, name, value),
    reset() {
      state.books = stripeBooks(clock)
      state.keys.clear()
    },
  }
}

function moved(books: StripeBooks, name: string, value: string): string[] {
  const all = [...books.intents.values(), ...books.refunds.values()]
    .filter(({ state }) => state.status === 'succeeded')
    .map(({ id, metadata }) => ({ id, metadata }))
  return [...all, ...books.transfers.values()]
    .filter(({ metadata }) => metadata[name] === value)
    .map(({ id }) => id)
}

function answer(state: State, request: FaceRequest): Reply {
  state.requests += 1
  const headers = headersOf(state, request)
  if (!isKnown(request.authorization ?? '')) {
    return plain(failure(401, { type: 'invalid_request_error', message: BAD_KEY }), headers)
  }
  const form = readForm(request.method === 'POST' ? request.text : request.query)
  const route = ROUTES.find(
    ([method, path]) => method === request.method && path.test(request.path),
  )
  if (route === undefined) {
    const message = `Unrecognized request URL (${request.method}: /v1/${request.path}).`
    return plain(failure(404, { type: 'invalid_request_error', message }), headers)
  }
  const [, path, handle, check] = route
  const on: On = { books: state.books, form, id: path.exec(request.path)?.[1] ?? '' }
  // Only what makes something is subject to faults, as it is with charges.
  if (check === undefined) return plain(handle(on, PLAINLY), headers)
  const known = state.keys.find(request.key, textOf(request))
  if (known !== null) {
    const kept = known === 'other' ? KEY_USED : known
    return plain(kept, { ...headers, 'idempotent-replayed': 'true' })
  }
  const invalid = check(form)
  if (invalid !== null) return plain(invalid, headers)
  const fate = nextFate(state)
  const { does, shows } = fate.effect
  if (does === 'nothing') return nothingDone(fate, headers)
  const made = handle(on, { does, lateMs: fate.faults.late_ms })
  const shown = shows === 'bad_gateway' ? FAILED : made
  state.keys.keep(request.key, textOf(request), shown)
  return shownAs(fate, shown, headers)
}

/** A test key, as a bearer token or as the user of Basic credentials, as curl sends it. */
function isKnown(authorization: string): boolean {
  const [, scheme = '', given = ''] = /^(Bearer|Basic) (\S+)$/i.exec(authorization) ?? []
  const basic = scheme.toLowerCase() === 'basic'
  return /^[sr]k_test_\w+:?$/.test(basic ? Buffer.from(given, 'base64').toString() : given)
}

const BAD_KEY = 'Invalid API Key provided.'

const FAILED = failure(500, { type: 'api_error', message: 'An unknown error occurred' })

function headersOf(state: State, { key }: FaceRequest): Record<string, string> {
  const id = `req_mock${String(state.requests).padStart(10, '0')}`
  return { 'request-id': id, ...(key === null ? {} : { 'idempotency-key': key }) }
}

const KEY_USED = failure(400, {
  type: 'idempotency_error',
  message:
    'Keys for idempotent requests can only be used with the same parameters they were first ' +
    'used with.',
})

/** A request by what counts for its key: the order of its fields does not. */
function textOf({ path, text }: FaceRequest): string {
  return [path, ...text.split('&').toSorted()].join('&')
}

function plain(made: Answer, headers: Record<string, string>, afterMs = 0): Reply {
  // A repeat of what is kept, or of what is refused, is of no use.
  const more = made.status >= 400 && made.status !== 401 ? { 'stripe-should-retry': 'false' } : {}
  return {
    kind: 'answer',
    afterMs,
    status: made.status,
    body: made.body,
    retryAfterSeconds: null,
    headers: { ...headers, ...more },
  }
}

/** Refused, or failed before anything was done: nothing is kept of it. */
function nothingDone(
  { effect: { shows }, faults, afterMs }: Fate,
  headers: Record<string, string>,
): Reply {
  if (shows === 'reset') return { kind: shows, afterMs }
  if (shows === 'unauthorized') {
    const made = failure(401, { type: 'invalid_request_error', message: BAD_KEY })
    return plain(made, headers, afterMs)
  }
  if (shows === 'rate_limited') {
    const type = 'invalid_request_error'
    const made = failure(429, { type, code: 'rate_limit', message: 'Too many requests.' })
    const reply = {
      ...plain(made, headers, afterMs),
      retryAfterSeconds: faults.retry_after_seconds,
    }
    return { ...reply, headers: { ...headers, 'stripe-should-retry': 'true' } } as Reply
  }
  if (shows === 'unknown_method') {
    const error = { code: 'resource_missing', message: 'No such PaymentMethod' } as const
    const param = 'payment_method'
    return plain(failure(400, { type: 'invalid_request_error', ...error, param }), headers, afterMs)
  }
  return { kind: 'html', afterMs, status: shows === 'gateway_timeout' ? 504 : 502 }
}

/** How the reply to what was carried out goes out. */
function shownAs(fate: Fate, made: Answer, headers: Record<string, string>): Reply {
  const broken = spoiled(fate, made)
  if (broken !== null) return broken
  const { status, body } = made
  const { shows } = fate.effect
  const { afterMs } = fate
  if (shows === 'gateway_timeout') return { kind: 'html', afterMs, status: 504 }
  if (shows === 'other_amount' && 'amount' in body && typeof body.amount === 'number') {
    return plain({ status, body: { ...body, amount: body.amount + 1 } }, headers, afterMs)
  }
  return plain(made, headers, afterMs)
}

interface On {
  readonly books: StripeBooks
  readonly form: Form
  readonly id: string
}

type Handle = (on: On, doing: Doing) => Answer

/** Every route: its handler, and, where something is made, what is refused before. */
const ROUTES: readonly (readonly [
  method: FaceRequest['method'],
  path: RegExp,
  handle: Handle,
  check?: (form: Form) => Answer | null,
])[] = [
  [
    'POST',
    /^payment_intents$/,
    ({ books, form }, doing) => createIntent(books, form, doing),
    checkIntent,
  ],
  ['GET', /^payment_intents$/, ({ books, form }) => listIntents(books, form)],
  ['GET', /^payment_intents\/search$/, ({ books, form }) => searchIntents(books, form)],
  ['GET', /^payment_intents\/(\w+)$/, ({ books, form, id }) => retrieveIntent(books, id, form)],
  [
    'POST',
    /^payment_intents\/(\w+)\/cancel$/,
    ({ books, form, id }) => cancelIntent(books, id, form),
  ],
  [
    'POST',
    /^test_helpers\/payment_intents\/(\w+)\/answer$/,
    ({ books, form, id }) => answerIntent(books, id, form),
  ],
  [
    'POST',
    /^refunds$/,
    ({ books, form }, doing) => createRefund(books, form, doing),
    (form) => checkGiving('refund', form),
  ],
  ['GET', /^disputes$/, ({ books, form }) => listDisputes(books, form)],
  [
    'POST',
    /^test_helpers\/payment_intents\/(\w+)\/dispute$/,
    ({ books, form, id }) => disputeIntent(books, id, form),
  ],
  [
    'POST',
    /^test_helpers\/disputes\/(\w+)\/answer$/,
    ({ books, form, id }) => endDispute(books, id, form),
  ],
  ['GET', /^refunds$/, ({ books, form }) => listRefunds(books, form)],
  ['GET', /^refunds\/(\w+)$/, ({ books, id }) => retrieveRefund(books, id)],
  [
    'POST',
    /^transfers$/,
    ({ books, form }, doing) => createTransfer(books, form, doing),
    (form) => checkGiving('transfer', form),
  ],
  ['GET', /^transfers$/, ({ books, form }) => listTransfers(books, form)],
  ['GET', /^transfers\/(\w+)$/, ({ books, id }) => retrieveTransfer(books, id)],
  ['GET', /^transfers\/(\w+)\/reversals$/, ({ books, form, id }) => listReversals(books, id, form)],
  [
    'POST',
    /^transfers\/(\w+)\/reversals$/,
    ({ books, form, id }) => reverseTransfer(books, id, form),
  ],
]
