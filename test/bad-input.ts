import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http'
import { query } from './databases.ts'
import { API, send } from './process-kit.ts'

/** A request that must be refused: with this status and this code. */
interface Bad {
  readonly what: string
  readonly method?: string
  readonly path: string
  readonly body?: string | Buffer
  readonly headers?: OutgoingHttpHeaders
  readonly answer: readonly [status: number, code: string]
}

const JSON_TYPE = { 'content-type': 'application/json' }
const INVALID = [400, 'body_invalid'] as const
const UNREADABLE = [400, 'body_unreadable'] as const
const RANGE = [422, 'amount_range'] as const
const BALANCE = [422, 'balance_range'] as const
const PRECISION = [422, 'amount_precision'] as const
const MALFORMED = [400, 'amount_malformed'] as const
const KEY = [400, 'idempotency_key_invalid'] as const
const QUERY = [400, 'query_invalid'] as const
const NO_PAYMENT = [404, 'payment_not_found'] as const
const MEDIA_TYPE = [415, 'media_type_unsupported'] as const

/** Bodies of a deposit for the user `id`, as texts, and how they are refused. */
const bodies = (id: number): (readonly [what: string, text: string, answer: Bad['answer']])[] => [
  ['a text for an id', `{"user_id": "${id}", "deposit": 1}`, INVALID],
  ['a fraction for an id', `{"user_id": ${id}.5, "deposit": 1}`, INVALID],
  ['an id of 0', '{"user_id": 0, "deposit": 1}', INVALID],
  ['a negative id', '{"user_id": -1, "deposit": 1}', INVALID],
  ['an id above 2^53', '{"user_id": 9007199254740993, "deposit": 1}', UNREADABLE],
  ['an id above 2^64', '{"user_id": 1e30, "deposit": 1}', INVALID],
  ['null for an id', '{"user_id": null, "deposit": 1}', INVALID],
  ['true for an amount', `{"user_id": ${id}, "deposit": true}`, INVALID],
  ['null for an amount', `{"user_id": ${id}, "deposit": null}`, INVALID],
  ['a list for an amount', `{"user_id": ${id}, "deposit": [1]}`, INVALID],
  ['an object for an amount', `{"user_id": ${id}, "deposit": {}}`, INVALID],
  ['a word for an amount', `{"user_id": ${id}, "deposit": "ten"}`, MALFORMED],
  ['an empty amount', `{"user_id": ${id}, "deposit": ""}`, MALFORMED],
  ['a hexadecimal amount', `{"user_id": ${id}, "deposit": "0x10"}`, MALFORMED],
  ['an amount with a space', `{"user_id": ${id}, "deposit": " 1"}`, MALFORMED],
  ['three decimals', `{"user_id": ${id}, "deposit": 0.001}`, PRECISION],
  ['three decimals in a text', `{"user_id": ${id}, "deposit": "1.005"}`, PRECISION],
  ['an amount of 1e300', `{"user_id": ${id}, "deposit": 1e300}`, RANGE],
  ['an amount of 1e-300', `{"user_id": ${id}, "deposit": 1e-300}`, RANGE],
  ['an amount of 1e-400', `{"user_id": ${id}, "deposit": 1e-400}`, RANGE],
  ['an amount that overflows', `{"user_id": ${id}, "deposit": 1e999}`, INVALID],
  ['a negative amount', `{"user_id": ${id}, "deposit": -1}`, RANGE],
  ['an amount of 0', `{"user_id": ${id}, "deposit": 0}`, RANGE],
  ['an amount of 10 digits and more', `{"user_id": ${id}, "deposit": 10000000000}`, RANGE],
  ['no amount', `{"user_id": ${id}}`, INVALID],
  ['no id', '{"deposit": 1}', INVALID],
  ['nothing in it', '{}', INVALID],
  ['a field too many', `{"user_id": ${id}, "deposit": 1, "fee": 0}`, INVALID],
  ['the field of a withdrawal', `{"user_id": ${id}, "amount": 1}`, INVALID],
  ['an unknown user', '{"user_id": 999999999, "deposit": 1}', [404, 'user_not_found']],
  ['a list', `[{"user_id": ${id}, "deposit": 1}]`, INVALID],
  ['a text', '"deposit"', INVALID],
  ['a number', '1', INVALID],
  ['null', 'null', INVALID],
  ['half of it', `{"user_id": ${id}, "depo`, UNREADABLE],
  ['two documents', `{"user_id": ${id}, "deposit": 1}{}`, UNREADABLE],
  ['NaN', `{"user_id": ${id}, "deposit": NaN}`, UNREADABLE],
  ['a field twice', `{"user_id": ${id}, "deposit": 1, "deposit": 2}`, UNREADABLE],
  ['a prototype', `{"user_id": ${id}, "deposit": 1, "__proto__": {}}`, UNREADABLE],
  ['a byte order mark', `\uFEFF{"user_id": ${id}, "deposit": 1}`, UNREADABLE],
  ['no byte', '', UNREADABLE],
  ['absurd depth', '['.repeat(10_000) + ']'.repeat(10_000), UNREADABLE],
]

const table = (id: number): Bad[] => {
  const body = JSON.stringify({ user_id: id, deposit: 1 })
  const deposit = { method: 'POST', path: '/payments/deposit', body }
  const key = (value: string | string[]) => ({ ...JSON_TYPE, 'idempotency-key': value })
  return [
    ...bodies(id).map(([what, text, answer]) => ({ ...deposit, what, body: text, answer })),
    { ...deposit, what: 'a byte that is not UTF-8', body: broken(body), answer: UNREADABLE },
    { ...deposit, what: '10 MB', body: huge(body), answer: [413, 'body_too_large'] },
    { ...deposit, what: 'text/plain', headers: type('text/plain'), answer: MEDIA_TYPE },
    { ...deposit, what: 'a form', headers: type('multipart/form-data'), answer: MEDIA_TYPE },
    { ...deposit, what: 'no media type', headers: {}, answer: MEDIA_TYPE },
    {
      ...deposit,
      what: 'another charset',
      headers: type('application/json; charset=utf-16'),
      answer: MEDIA_TYPE,
    },
    {
      ...deposit,
      what: 'a compressed body',
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
      answer: MEDIA_TYPE,
    },
    { ...deposit, what: 'two keys', headers: key(['one', 'two']), answer: KEY },
    { ...deposit, what: 'the same key twice', headers: key(['one', 'one']), answer: KEY },
    { ...deposit, what: 'an empty key', headers: key(''), answer: KEY },
    { ...deposit, what: 'a key of 256', headers: key('k'.repeat(256)), answer: KEY },
    { ...deposit, what: 'a key with a space', headers: key('a b'), answer: KEY },
    { ...deposit, what: 'a key beyond ASCII', headers: key('cl\u00e9'), answer: KEY },
    ...['abc', '0', '-1', '1.0', '1e3', '01', '%31%00', '9'.repeat(20)].map((text) => ({
      what: `the id ${text}`,
      path: `/payments/${text}`,
      answer: NO_PAYMENT,
    })),
    {
      what: 'an id of 1,000 digits',
      path: `/payments/${'9'.repeat(1_000)}`,
      answer: [414, 'uri_too_long'],
    },
    { what: 'a path that is not UTF-8', path: '/payments/%ff', answer: [404, 'route_not_found'] },
    { what: 'an unknown user', path: '/users/999999999', answer: [404, 'user_not_found'] },
    { what: 'an unknown path', path: '/nothing', answer: [404, 'route_not_found'] },
    { what: 'a limit of 0', path: '/dlq?limit=0', answer: QUERY },
    { what: 'a limit of 501', path: '/dlq?limit=501', answer: QUERY },
    { what: 'a limit that is a word', path: '/payments?limit=all', answer: QUERY },
    { what: 'an unknown filter', path: '/payments?state=new', answer: QUERY },
    { what: 'an unknown status', path: '/payments?status=done', answer: QUERY },
    { what: 'a filter twice', path: '/payments?type=deposit&type=withdraw', answer: QUERY },
    { what: 'a foreign cursor', path: '/payments?cursor=abc', answer: [400, 'cursor_invalid'] },
    ...['-1', '0.001', '1e300', '"x"', 'null', '[]'].map((balance): Bad => {
      const answers = { '0.001': PRECISION, '"x"': MALFORMED, null: INVALID, '[]': INVALID }
      return {
        what: `a balance of ${balance}`,
        method: 'POST',
        path: '/users',
        body: `{"balance": ${balance}}`,
        answer: answers[balance as keyof typeof answers] ?? BALANCE,
      }
    }),
  ]
}

function broken(text: string): Buffer {
  return Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0x7d])])
}

function huge(text: string): string {
  return text.slice(0, -1) + ' '.repeat(10_000_000) + '}'
}

function type(name: string): OutgoingHttpHeaders {
  return { 'content-type': name }
}

/** Send the whole table to a service at `url` on a database; `id` is a user of it. */
export async function refuses(url: string, database: string, id: number): Promise<void> {
  const before = await rowCounts(database)
  for (const bad of table(id)) {
    const { method = 'GET', path, body, headers = JSON_TYPE } = bad
    const reply = await send(url + API + path, method, body, headers)
    const { code, status, detail, instance } = reply.json
    assert.deepEqual([reply.status, code], bad.answer, `${bad.what}: ${reply.text}`)
    assert.match(String(reply.headers['content-type']), /^application\/problem\+json/, bad.what)
    assert.equal(status, reply.status)
    assert.ok(typeof detail === 'string' && typeof instance === 'string', bad.what)
  }
  assert.deepEqual(await rowCounts(database), before)
}

/**
 * Rows per table. Counters count requests, good and bad, so they are left out; so are the minutes
 * in which payments were accepted, which a loop notes up to a second after the payments.
 */
async function rowCounts(database: string): Promise<object> {
  const tables = await query<{ name: string }>(
    database,
    `select table_name as name from information_schema.tables
     where table_schema = 'public' and table_type = 'BASE TABLE'
       and table_name not in ('counters', 'payment_minutes')`,
  )
  const counts = tables.map(
    ({ name }) => `select '${name}' as name, count(*)::int as rows from ${name}`,
  )
  const rows = await query<{ name: string; rows: number }>(database, counts.join(' union all '))
  assert.ok(rows.length >= 8)
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]))
}
