import { BATCH_CASES, BODY_CASES } from '../hostile/bodies.ts'
import { FIELD_CASES } from '../hostile/fields.ts'
import { HEADER_CASES, IGNORED, KEYS_TAKEN, MEDIA_TAKEN } from '../hostile/headers.ts'
import { DEPOSIT, requestOf, WITHDRAW } from '../hostile/operations.ts'
import { SOCKET_CASES, SOCKETS_TAKEN } from '../hostile/sockets.ts'
import { API } from '../hostile/target.ts'
import { bytesOf, type Wire } from '../hostile/wire.ts'
import type { Asked, Tokens } from './replay.ts'

/** What is larger tells nothing that a smaller one does not. */
const BYTES_MAX = 1_500

type Body = string | Readonly<Record<string, unknown>>
type Headers = Readonly<Record<string, string>>

function wire(method: string, path: string, body?: Body, headers: Headers = {}): Wire {
  const text = typeof body === 'object' ? JSON.stringify(body) : body
  const given = { method, path: API + path, headers: Object.entries(headers) }
  return text === undefined ? given : { ...given, body: text }
}

const post = (path: string, body?: Body, headers?: Headers) => wire('POST', path, body, headers)
const get = (path: string) => wire('GET', path)
const deposit = (body: Body, headers?: Headers) => post('/payments/deposit', body, headers)
const withdraw = (body: Body, headers?: Headers) => post('/payments/withdraw', body, headers)
const batch = (...payments: readonly unknown[]) => post('/payments/batch', { payments })
const keyed = (key: string) => ({ 'Idempotency-Key': key })

/** Users and payments that are accepted, repeated and refused by what is in the books. */
const BOOKS: readonly Wire[] = [
  ...[0, 0.01, '0.00', 1, '1000.00', 12.5, 9_999_999_999.99, '9999999999.99', 1e3].map((balance) =>
    post('/users', { balance }),
  ),
  post('/users/', { balance: 5 }),
  ...[-0.01, '-1', 1e10, '10000000000', 0.001, '1.005', 'ten', '', '1e3', true, null, [], {}].map(
    (balance) => post('/users', { balance }),
  ),
  post('/users', {}),
  post('/users', { balance: 1, note: 'a' }),
  ...[200, '200.00', 0.01, '0.50', 12.34, 9_999_999_999.99, 1e2].map((amount) =>
    deposit({ user_id: 1, deposit: amount }),
  ),
  ...[1, '1.00', 0.5, 0.01].map((amount) => withdraw({ user_id: 1, amount })),
  deposit('{"deposit":3,"user_id":1}'),
  deposit(' { "user_id" : 1 ,\n "deposit" : 3.0 } '),
  deposit({ user_id: 1, deposit: 200 }, keyed('order-1')),
  deposit({ user_id: 1, deposit: 200 }, keyed('order-1')),
  deposit({ user_id: 1, deposit: '200.00' }, keyed('"order-1"')),
  deposit({ user_id: 1, deposit: 300 }, keyed('order-1')),
  withdraw({ user_id: 1, amount: 200 }, keyed('order-1')),
  withdraw({ user_id: 1, amount: 201 }, keyed('order-1')),
  deposit({ user_id: 2, deposit: 200 }, keyed('order-1')),
  withdraw({ user_id: 1, amount: 2 }, keyed('order-2')),
  withdraw({ user_id: 1, amount: '2' }, keyed('order-2')),
  withdraw({ user_id: 1, amount: 3 }, keyed('order-2')),
  withdraw({ user_id: 2, amount: 999_999 }),
  withdraw({ user_id: 2, amount: 999_999 }, keyed('too-much')),
  withdraw({ user_id: 2, amount: 999_999 }, keyed('too-much')),
  withdraw({ user_id: 2, amount: 999_998 }, keyed('too-much')),
  deposit({ user_id: 2, deposit: 999_999 }, keyed('too-much')),
  deposit({ user_id: 999_999, deposit: 1 }),
  deposit({ user_id: 999_999, deposit: 1 }, keyed('nobody')),
  withdraw({ user_id: 999_999_999_999_999, amount: 1 }),
  ...KEYS_TAKEN.map((key) => deposit({ user_id: 1, deposit: 1 }, keyed(key))),
  ...KEYS_TAKEN.map((key) => deposit({ user_id: 1, deposit: 1 }, keyed(key))),
  ...MEDIA_TAKEN.map((type) => deposit({ user_id: 1, deposit: 1 }, { 'Content-Type': type })),
  ...IGNORED.filter((headers) => !headers.some(([name]) => name === 'Origin')).map((headers) => ({
    ...requestOf(WITHDRAW, { amount: '0.5' }),
    headers,
  })),
]

/** The way in for many, a result for each. */
const BATCHES: readonly Wire[] = [
  batch({ type: 'deposit', user_id: 1, amount: 200 }),
  batch(
    { type: 'deposit', user_id: 1, amount: 200, idempotency_key: 'batch-1' },
    { type: 'withdraw', user_id: 1, amount: '0.50', idempotency_key: 'batch-2' },
    { type: 'withdraw', user_id: 2, amount: 5_000_000, idempotency_key: 'batch-3' },
    { type: 'withdraw', user_id: 2, amount: 5_000_000 },
    { type: 'deposit', user_id: 999_999, amount: 1 },
    { type: 'deposit', user_id: 1, amount: 0 },
    { type: 'deposit', user_id: 1, amount: '1.001' },
    { type: 'deposit', user_id: 1, amount: 'ten' },
    { type: 'deposit', user_id: 1, amount: 1e10 },
    { type: 'deposit', user_id: 1, amount: 1, idempotency_key: 'a b' },
    { type: 'deposit', user_id: 1, amount: 1, idempotency_key: '' },
    { type: 'deposit', user_id: 1, amount: 201, idempotency_key: 'batch-1' },
    { type: 'withdraw', user_id: 1, amount: 200, idempotency_key: 'batch-1' },
  ),
  batch(
    { type: 'deposit', user_id: 1, amount: 200, idempotency_key: 'batch-1' },
    { type: 'withdraw', user_id: 1, amount: 0.5, idempotency_key: '"batch-2"' },
    { type: 'withdraw', user_id: 2, amount: 5_000_000, idempotency_key: 'batch-3' },
  ),
  batch(),
  batch({ type: 'transfer', user_id: 1, amount: 1 }),
  batch({ type: 'deposit', user_id: '1', amount: 1 }),
  batch({ type: 'deposit', user_id: 1 }),
  batch({ type: 'deposit', user_id: 1, amount: 1, note: 'a' }),
  batch({ type: 'deposit', user_id: 1, amount: null }),
  post('/payments/batch', { payments: {} }),
  post('/payments/batch', {}),
]

const reason = 'checked'

/**
 * What operators do, with the letters of the set-up: 1 to 5 are of declined deposits, 6 and 7 of
 * declined withdrawals, 8 to 13 of payments in doubt.
 */
const OPERATORS: readonly Wire[] = [
  ...['/dlq', '/dlq?limit=2', '/dlq?state=open&class=failed', '/dlq?class=unknown', '/dlq/1'].map(
    get,
  ),
  ...[1, 4, 6, 8].map((id) => post(`/dlq/${id}/redrive`, { reason }, { 'X-Actor': 'jane' })),
  ...[1, 8].map((id) => post(`/dlq/${id}/redrive`, { reason })),
  post('/dlq/7/redrive', { reason, against_evidence: true }),
  post('/dlq/9/redrive', { reason, against_evidence: true }),
  ...['999', '0', 'a', '-1', '99999999999999999999'].flatMap((id) => [
    post(`/dlq/${id}/redrive`, { reason }),
    post(`/dlq/${id}/resolve`, { reason, outcome: 'failed' }),
  ]),
  post('/dlq/10/resolve', { reason, outcome: 'success', gateway_ref: 'gw-4711' }),
  post('/dlq/10/resolve', { reason, outcome: 'success', gateway_ref: 'gw-4711' }),
  post('/dlq/11/resolve', { reason, outcome: 'failed' }, { 'X-Actor': 'jane' }),
  post('/dlq/12/resolve', { reason, outcome: 'failed', against_evidence: true }),
  post('/dlq/2/resolve', { reason, outcome: 'failed' }),
  post('/dlq/3/resolve', { reason, outcome: 'success' }),
  ...[
    {},
    { reason: '' },
    { reason: 1 },
    { reason, note: 1 },
    { reason, against_evidence: 'y' },
  ].map((body) => post('/dlq/5/redrive', body)),
  ...[{ reason }, { reason, outcome: 'maybe' }, { reason, outcome: 'failed', gateway_ref: '' }].map(
    (body) => post('/dlq/5/resolve', body),
  ),
  ...['gateway', 'key:abc', 'cli:root', '', 'a b', 'x'.repeat(101)].map((actor) =>
    post('/dlq/5/redrive', { reason }, { 'X-Actor': actor }),
  ),
  post('/dlq/5/redrive', { reason }, { 'Content-Type': 'text/plain' }),
  post('/dlq/redrive', { filter: {}, dry_run: true }),
  post('/dlq/redrive', { filter: { class: 'unknown' }, dry_run: true }),
  post('/dlq/redrive', { filter: { payment_type: 'withdraw', user_id: 11 }, dry_run: true }),
  post('/dlq/redrive', { filter: { user_id: 999_999 }, dry_run: true }),
  ...[{}, { filter: {} }, { filter: {}, dry_run: false }, { filter: { a: 1 }, dry_run: true }].map(
    (body) => post('/dlq/redrive', body),
  ),
  post('/dlq/redrive', { snapshot: 999, reason }),
  post('/dlq/redrive', { snapshot: 4 }),
  post('/dlq/redrive', { snapshot: 4, reason, rate_per_second: 0 }),
  post('/dlq/redrives/1/cancel'),
  post('/dlq/redrives/999/cancel'),
  post('/dlq/redrives/a/cancel'),
  post('/dlq/redrive', { snapshot: 4, reason, rate_per_second: 7 }, { 'X-Actor': 'jane' }),
  post('/dlq/redrive', { snapshot: 4, reason }),
  ...['/dlq/redrives/999', '/dlq/999', '/dlq?limit=0', '/dlq?offset=-1', '/dlq?state=a'].map(get),
]

/** What is read: answers may gain fields. */
const READS: readonly Wire[] = [
  ...['1', '2', '12', '999', '0', 'a', '1.5', '99999999999999999999'].flatMap((id) => [
    get(`/users/${id}`),
    get(`/payments/${id}`),
    get(`/payments/${id}/timeline`),
  ]),
  ...['', '?limit=3', '?limit=0', '?limit=a', '?cursor=a', '?offset=1'].map((query) =>
    get(`/users/1/transactions${query}`),
  ),
  ...['', '?limit=2', '?user_id=1&limit=3', '?status=failed', '?status=unknown', '?status=new'].map(
    (query) => get(`/payments${query}`),
  ),
  ...['?type=withdraw&limit=2', '?type=transfer', '?user_id=0', '?limit=501', '?cursor=e30'].map(
    (query) => get(`/payments${query}`),
  ),
  ...['/payments/1?refresh=true', '/payments/1?refresh=maybe', '/nothing', '/ledger'].map(get),
  get('/mock-gateway/faults'),
]

/** Paths and methods that there are not, and the faults of the mock gateway. */
const ELSEWHERE: readonly Wire[] = [
  ...['/nothing', '/payments', '/payments/1', '/users/1', '/payments/refund', '/ledger'].map(
    (path) => post(path, {}),
  ),
  ...['/users', '/payments/deposit', '/payments/batch', '/dlq/redrive', '/users/1'].flatMap(
    (path) => [wire('PUT', path, {}), wire('DELETE', path)],
  ),
  wire('PUT', '/mock-gateway/faults', { decline: 0.5 }),
  wire('PUT', '/mock-gateway/faults', { decline: 2 }),
  wire('PUT', '/mock-gateway/faults', { nothing: 1 }),
  wire('DELETE', '/mock-gateway/faults'),
  deposit({ user_id: 1, deposit: 1 }, { Origin: 'https://evil.test' }),
  deposit({ user_id: 1, deposit: 1 }, { Host: 'evil.test' }),
  post('/dlq/5/redrive', { reason }, { 'Sec-Fetch-Site': 'cross-site' }),
]

function guarded(tokens: Tokens): Wire[] {
  const as = (token: string) => ({ Authorization: `Bearer ${token}` })
  const all = [as(tokens.read), as(tokens.write), as(tokens.operate), as('pay_no'), {}]
  return [
    ...all.flatMap((headers) => [
      post('/users', { balance: 7 }, headers),
      deposit({ user_id: 1, deposit: 7 }, headers),
      withdraw({ user_id: 1, amount: 'ten' }, headers),
      post('/payments/batch', { payments: [] }, headers),
      post('/dlq/5/resolve', { reason }, headers),
      post('/nothing', {}, headers),
      wire('GET', '/users/2', undefined, headers),
    ]),
    post('/users', { balance: 7 }, { Authorization: 'Basic cGF5OnBheQ==' }),
    post('/dlq/5/redrive', { reason }, { ...as(tokens.operate), 'X-Actor': 'jane' }),
    deposit({ user_id: 1, deposit: 7 }, { ...as(tokens.write), ...keyed('guarded') }),
    deposit({ user_id: 1, deposit: 8 }, { ...as(tokens.write), ...keyed('guarded') }),
  ]
}

/**
 * Every request, in order. Guessing is limited, so only a few come with a wrong key; and what a
 * redrive of many does comes at the end, because it goes on by itself.
 */
export function requests(tokens: Tokens): Asked[] {
  const refused = [...BODY_CASES, ...BATCH_CASES, ...FIELD_CASES, ...HEADER_CASES]
  const open = [
    ...[...BOOKS, ...BATCHES, ...ELSEWHERE].map(bytesOf),
    ...refused.map(({ request }) => bytesOf(request)),
    ...[...SOCKETS_TAKEN, ...SOCKET_CASES].map(({ bytes }) => bytes),
    ...[requestOf(DEPOSIT), ...READS].map(bytesOf),
  ]
  const all = [
    ...open.map((bytes) => ({ of: 'open' as const, bytes })),
    ...guarded(tokens).map((one) => ({ of: 'guarded' as const, bytes: bytesOf(one) })),
    ...OPERATORS.map((one) => ({ of: 'open' as const, bytes: bytesOf(one) })),
  ]
  const small = all.filter(({ bytes }) => bytes.length <= BYTES_MAX)
  return small.map(({ of, bytes }) => ({ of, ask: bytes.toString('latin1') }))
}
