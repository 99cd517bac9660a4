import { writeJson } from '../domain/exact-json.ts'
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
import { listOf } from './yookassa-lists.ts'
import {
  failure,
  shown,
  yookassaBooks,
  type Answer,
  type Books,
  type Doing,
  type Made,
} from './yookassa-objects.ts'
import { MAKERS, ACTS, fieldsOf, type Fields } from './yookassa-orders.ts'

interface State extends Surroundings {
  books: Books
  readonly keys: Keys<Made>
}

/**
 * The same gateway in the words of YooKassa. Payouts want the credentials of a gateway, whose key
 * begins with `test_payout_`; everything else those of a shop.
 */
export function yookassaFace(around: Surroundings): Face {
  const { clock } = around
  const state: State = { ...around, books: yookassaBooks(clock), keys: openKeys(clock) }
  return {
    answer: (request) => answer(state, request),
    moved: (name, value) =>
      [...state.books.all.values()]
        .filter(({ metadata }) => metadata[name] === value)
        .filter((made) => shown(state.books, made)['status'] === 'succeeded')
        .map(({ id }) => id),
    reset() {
      state.books = yookassaBooks(clock)
      state.keys.clear()
    },
  }
}

function answer(state: State, request: FaceRequest): Reply {
  const account = accountOf(request)
  if (account === null) return plain(BAD_KEY)
  const [resource = '', id, act, ...more] = request.path.split('/')
  if (resource === 'me' && id === undefined) return plain(meOf(account.id))
  const kind = KINDS.get(resource)
  if (kind === undefined || more.length > 0) return plain(NO_RESOURCE)
  if ((kind === 'payout') !== account.paysOut) return plain(FORBIDDEN)
  if (request.method === 'POST') return post(state, request, { kind, id, act })
  return plain(get(state, request, { kind, id, act }))
}

/** Who asks; null: nobody who is known. */
function accountOf({ authorization }: FaceRequest) {
  const [, basic = ''] = /^Basic (.+)$/.exec(authorization ?? '') ?? []
  const match = /^(\d{1,15}):test_(payout_)?\w+$/.exec(Buffer.from(basic, 'base64').toString())
  return match === null ? null : { id: match[1] ?? '', paysOut: match[2] !== undefined }
}

/** What of a path is about an object. */
type Target = Readonly<Record<'id' | 'act', string | undefined>> & Pick<Made, 'kind'>

function get({ books }: State, { query }: FaceRequest, { kind, id, act }: Target): Answer {
  if (id === undefined) return listOf(books, kind, query)
  const made = books.all.get(id)
  if (made?.kind !== kind || act !== undefined) return NO_RESOURCE
  return { status: 200, body: shown(books, made) }
}

const KINDS: ReadonlyMap<string, Made['kind']> = new Map([
  ['payments', 'payment'],
  ['refunds', 'refund'],
  ['payouts', 'payout'],
])

const BAD_KEY = failure(401, 'invalid_credentials', 'Basic authentication failed')
const FORBIDDEN = failure(403, 'forbidden', 'These credentials are for other operations')
const NO_RESOURCE = failure(404, 'not_found', 'There is no such resource')
const NO_KEY = failure(400, 'invalid_request', 'A key is needed', 'Idempotence-Key')
const KEY_USED = failure(400, 'invalid_request', 'Idempotence key duplicated', 'Idempotence-Key')
const FAILED = failure(500, 'internal_server_error', 'The outcome is not known')
const MALFORMED = failure(400, 'invalid_request', 'The body is no JSON object')
const TOO_MANY = failure(429, 'too_many_requests', 'Too many requests')

function meOf(account: string): Answer {
  return { status: 200, body: { account_id: account, status: 'enabled', test: true } }
}

function post(state: State, request: FaceRequest, { kind, id, act }: Target): Reply {
  const { books } = state
  const known = keptOf(state, request)
  if (known !== null) return plain(known)
  const fields = request.text === '' ? {} : fieldsOf(request.text)
  if (fields === null) return plain(MALFORMED)
  if (id === undefined) return create(state, request, { kind, fields })
  const made = books.all.get(id)
  const carryOut = ACTS[act ?? '']
  if (made?.kind !== 'payment' || kind !== 'payment' || carryOut === undefined) {
    return plain(NO_RESOURCE)
  }
  const problem = carryOut(books, made, fields)
  if (problem !== null) return plain(problem)
  keep(state, request, made)
  return plain({ status: 200, body: shown(books, made) })
}

/** Make an object, unless a fault keeps it from being made. */
function create(
  state: State,
  request: FaceRequest,
  { kind, fields }: { readonly kind: Made['kind']; readonly fields: Fields },
): Reply {
  const draft = MAKERS[kind](state.books, fields)
  if ('status' in draft) return plain(draft)
  const fate = nextFate(state)
  const { does } = fate.effect
  if (does === 'nothing') return nothingDone(fate)
  // Its payers are asked by what is said of a payment.
  const doing: Doing = { does: does === 'ask' ? 'execute' : does, lateMs: fate.faults.late_ms }
  const made = state.books.enter(draft, doing)
  keep(state, request, made)
  return told(fate, { status: 200, body: shown(state.books, made) })
}

/** What the key stands for, or why it cannot be used for this request. */
function keptOf({ books, keys }: State, request: FaceRequest): Answer | null {
  const { key } = request
  if (key === null || key.length > 64) return NO_KEY
  const known = keys.find(key, textOf(request))
  if (known === null) return null
  return known === 'other' ? KEY_USED : { status: 200, body: shown(books, known) }
}

function keep({ keys }: State, request: FaceRequest, made: Made): void {
  keys.keep(request.key, textOf(request), made)
}

function textOf({ path, text, authorization }: FaceRequest): string {
  return writeJson([authorization, path, text])
}

function plain({ status, body }: Answer, afterMs = 0): Reply {
  return { kind: 'answer', afterMs, status, body, retryAfterSeconds: null }
}

/** Refused, or failed before anything was done: nothing is kept of it. */
function nothingDone({ effect: { shows }, faults, afterMs }: Fate): Reply {
  if (shows === 'reset') return { kind: shows, afterMs }
  if (shows === 'unauthorized') return plain(BAD_KEY, afterMs)
  if (shows === 'rate_limited') {
    const retryAfterSeconds = faults.retry_after_seconds
    return { kind: 'answer', afterMs, ...TOO_MANY, retryAfterSeconds }
  }
  if (shows !== 'unknown_method') return plain(FAILED, afterMs)
  const why = 'There is no such method of payment'
  return plain(failure(400, 'invalid_request', why, 'payment_method_id'), afterMs)
}

/** How the reply to what was carried out goes out. */
function told(fate: Fate, { status, body }: Answer): Reply {
  const broken = spoiled(fate, { status, body })
  if (broken !== null) return broken
  const { shows } = fate.effect
  const { afterMs } = fate
  if (shows === 'bad_gateway') return plain(FAILED, afterMs)
  if (shows === 'gateway_timeout') return plain({ status: 202, body: PROCESSING }, afterMs)
  if (shows !== 'other_amount') return plain({ status, body }, afterMs)
  const amount = { value: '0.01', currency: 'RUB' }
  return plain({ status, body: { ...body, amount } }, afterMs)
}

/** It is still being worked on: ask again under the same key. */
const PROCESSING = { type: 'processing', description: 'Being worked on', retry_after: 1_800 }
