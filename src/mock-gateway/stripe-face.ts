import type { Clock } from '../ports.ts'
import type { Faults, Plan } from './faults.ts'
import { EFFECTS, type Effect, type Reply } from './replies.ts'
import { PLAINLY, stripeBooks, type Doing, type StripeBooks } from './stripe-books.ts'
import { readForm, type Form } from './stripe-form.ts'
import {
  checkGiving,
  createRefund,
  createTransfer,
  listRefunds,
  listTransfers,
  retrieveRefund,
  retrieveTransfer,
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

/** A request as it came; `text` is a form: the body of a POST, the query of a GET. */
interface StripeRequest {
  readonly method: 'GET' | 'POST'
  /** Behind `/v1/`. */
  readonly path: string
  readonly text: string
  readonly key: string | null
  readonly authorization: string | null
}

/** A part of Stripe's API, with a memory: payment intents, refunds, transfers. */
export interface StripeFace {
  /** Carry a request out, once per key, and say how the reply goes out. Never throws. */
  answer(request: StripeRequest): Reply
  /** Ids of what moved money for a payment, by the metadata that came along. */
  moved(name: string, value: string): readonly string[]
  reset(): void
}

/** What is kept of a key: its request, and the answer to it. */
interface Kept {
  readonly request: string
  readonly answer: Answer
  readonly untilMs: number
}

interface State {
  books: StripeBooks
  readonly kept: Map<string, Kept>
  requests: number
}

/** What a face is made of: its clock, and the faults of the mock gateway. */
interface Surroundings {
  readonly clock: Clock
  readonly faults: () => Faults
  readonly draw: () => Plan
}

/** Keys are forgotten after a day. */
const KEY_LIFE_MS = 86_400_000

export function stripeFace(around: Surroundings): StripeFace {
  const state: State = { books: stripeBooks(around.clock), kept: new Map(), requests: 0 }
  return {
    answer: (request) => answer(state, around, request),
    moved: (name, value) => moved(state.books, name, value),
    reset() {
      state.books = stripeBooks(around.clock)
      state.kept.clear()
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

function answer(state: State, around: Surroundings, request: StripeRequest): Reply {
  state.requests += 1
  const headers = headersOf(state, request)
  if (!isKnown(request.authorization ?? '')) {
    return plain(failure(401, { type: 'invalid_request_error', message: BAD_KEY }), headers)
  }
  const form = readForm(request.text)
  const route = ROUTES.find(
    ([method, path]) => method === request.method && path.test(request.path),
  )
  if (route === undefined) {
    const message = `Unrecognized request URL (${request.method}: /v1/${request.path}).`
    return plain(failure(404, { type: 'invalid_request_error', message }), headers)
  }
  const [, path, handle, check] = route
  const id = path.exec(request.path)?.[1] ?? ''
  // Only what makes something is subject to faults, as it is with charges.
  if (check === undefined) return plain(handle({ books: state.books, form, id }, PLAINLY), headers)
  const known = keptOf(state, request)
  if (known !== null) return plain(known, { ...headers, 'idempotent-replayed': 'true' })
  const invalid = check(form)
  if (invalid !== null) return plain(invalid, headers)
  const plan = around.draw()
  const effect = EFFECTS[plan.fault ?? 'none']
  const faults = around.faults()
  if (effect.does === 'nothing') return nothingDone(effect, plan, faults, headers)
  const made = handle(
    { books: state.books, form, id },
    { does: effect.does, lateMs: faults.late_ms },
  )
  const shown = effect.shows === 'bad_gateway' ? FAILED : made
  keep(state, request, shown)
  return shownAs(effect, shown, plan.latencyMs + (effect.held ? faults.timeout_ms : 0), {
    headers,
    faults,
  })
}

/** A test key, as a bearer token or as the user of Basic credentials, as curl sends it. */
function isKnown(authorization: string): boolean {
  const [, scheme = '', given = ''] = /^(Bearer|Basic) (\S+)$/i.exec(authorization) ?? []
  const basic = scheme.toLowerCase() === 'basic'
  return /^[sr]k_test_\w+:?$/.test(basic ? Buffer.from(given, 'base64').toString() : given)
}

const BAD_KEY = 'Invalid API Key provided.'

const FAILED = failure(500, { type: 'api_error', message: 'An unknown error occurred' })

function headersOf(state: State, { key }: StripeRequest): Record<string, string> {
  const id = `req_mock${String(state.requests).padStart(10, '0')}`
  return { 'request-id': id, ...(key === null ? {} : { 'idempotency-key': key }) }
}

/** The answer that is kept under the key; or why it cannot be used for this request. */
function keptOf(state: State, request: StripeRequest): Answer | null {
  const kept = request.key === null ? undefined : state.kept.get(request.key)
  if (kept === undefined || kept.untilMs <= state.books.clock.now().getTime()) return null
  if (kept.request === textOf(request)) return kept.answer
  return failure(400, {
    type: 'idempotency_error',
    message:
      'Keys for idempotent requests can only be used with the same parameters they were first used with.',
  })
}

function keep(state: State, request: StripeRequest, made: Answer): void {
  if (request.key === null) return
  const untilMs = state.books.clock.now().getTime() + KEY_LIFE_MS
  state.kept.set(request.key, { request: textOf(request), answer: made, untilMs })
}

/** A request by what counts for its key: the order of its fields does not. */
function textOf({ path, text }: StripeRequest): string {
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
  { shows, held }: Effect,
  plan: Plan,
  faults: Faults,
  headers: Record<string, string>,
): Reply {
  const afterMs = plan.latencyMs + (held ? faults.timeout_ms : 0)
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
function shownAs(
  { shows }: Effect,
  made: Answer,
  afterMs: number,
  { headers, faults }: { readonly headers: Record<string, string>; readonly faults: Faults },
): Reply {
  const { status, body } = made
  if (shows === 'reset') return { kind: shows, afterMs }
  if (shows === 'html') return { kind: shows, afterMs, status: 200 }
  if (shows === 'truncated') return { kind: shows, afterMs, status, body }
  if (shows === 'drip') return { kind: shows, afterMs, status, body, overMs: faults.timeout_ms }
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
  method: StripeRequest['method'],
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
  ['GET', /^payment_intents\/(\w+)$/, ({ books, id }) => retrieveIntent(books, id)],
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
  [
    'POST',
    /^transfers\/(\w+)\/reversals$/,
    ({ books, form, id }) => reverseTransfer(books, id, form),
  ],
]
