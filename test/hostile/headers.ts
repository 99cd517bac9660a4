import type { RefusalCode } from '../../src/domain/refusal.ts'
import type { Case } from './case.ts'
import { DEPOSIT, requestOf } from './operations.ts'
import { API } from './target.ts'

type Header = readonly [name: string, value: string]

const KEY = 'Idempotency-Key'
const TYPE = 'Content-Type'

/** What is no key. */
const NO_KEYS: readonly (readonly Header[])[] = [
  ...['', ' ', '""', '"', '"""', 'a"b', '"a"b"', 'a b', '"a b"', '"a', 'a"', '\t', 'a\tb'].map(
    (value) => [[KEY, value]] as const,
  ),
  ...['cl\xe9', '\xd0\xba', 'k'.repeat(256), `"${'k'.repeat(256)}"`, 'k'.repeat(3_000)].map(
    (value) => [[KEY, value]] as const,
  ),
  [
    [KEY, 'a'],
    [KEY, 'b'],
  ],
  [
    [KEY, 'a'],
    ['idempotency-key', 'a'],
  ],
]

/** Keys that are taken. The last two are one. */
export const KEYS_TAKEN = [
  '1',
  'k'.repeat(255),
  "!#$%&'()*+,-./:;<=>?@[]^_`{|}~",
  'a,b',
  '__proto__',
  'constructor',
  "';drop/**/table/**/payments;--",
  'quoted-or-not',
  '"quoted-or-not"',
]

const MEDIA_REFUSED: readonly (readonly Header[])[] = [
  ['', 'text/plain', 'text/json', 'application/x-www-form-urlencoded', 'multipart/form-data'],
  ['application/xml', 'application/vnd.x+json', 'application/problem+json', 'application/jsonp'],
  ['application/json; charset=utf-16', 'application/json; charset=iso-8859-1', 'json', '*/*'],
  ['application/json; charset="utf-7"', 'application/json;charset=ucs-2', 'application/*', '\xff'],
  ['application/json, text/plain', 'a'.repeat(500), 'application /json', 'application/'],
  ['application/json; charset=utf-8; charset=utf-16', 'application/json; charset='],
]
  .flat()
  .map((value) => [[TYPE, value]])

const ENCODINGS = ['gzip', 'GZIP', 'br', 'deflate', 'zstd', 'x', 'identity, gzip', 'gzip, identity']

const JSON_TYPE: Header = [TYPE, 'application/json']

/** Headers of a body, and keys, that are refused. */
export const HEADER_CASES: readonly Case[] = [
  ...MEDIA_REFUSED.map((headers) => deposit(headers, 415, 'media_type_unsupported')),
  ...ENCODINGS.map((value) =>
    deposit([['Content-Encoding', value]], 415, 'media_type_unsupported'),
  ),
  deposit([JSON_TYPE, [TYPE, 'text/plain']], 415, 'media_type_unsupported'),
  ...NO_KEYS.map((headers) => deposit(headers, 400, 'idempotency_key_invalid')),
  deposit([['Expect', 'the-unexpected']], 417, 'expectation_failed'),
  deposit([['Expect', '200-ok, 100-continue']], 417, 'expectation_failed'),
  deposit(many(120), 431, 'headers_too_large'),
  deposit(many(3_000), 431, 'headers_too_large'),
  deposit([['X-Long', 'x'.repeat(17_000)]], 431, 'headers_too_large'),
  {
    name: 'a key of the header for a batch',
    request: {
      method: 'POST',
      path: `${API}/payments/batch`,
      headers: [[KEY, 'a']],
      body: '{"payments":[{"type":"deposit","user_id":1,"amount":1}]}',
    },
    status: 400,
    code: 'idempotency_key_invalid',
  },
]

function deposit(headers: readonly Header[], status: number, code: RefusalCode): Case {
  const name = headers.slice(0, 3).map(([header, value]) => `${header}: ${value.slice(0, 50)}`)
  return { name: name.join(', '), request: { ...requestOf(DEPOSIT), headers }, status, code }
}

function many(count: number): Header[] {
  return Array.from({ length: count }, (_, index) => [`X${index}`, ''])
}

/** Media types in every spelling that means JSON in UTF-8. */
export const MEDIA_TAKEN = [
  'application/json',
  'APPLICATION/JSON',
  'application/json;charset=utf-8',
  'application/json; charset=UTF-8',
  'application/json ; charset="utf-8"',
  'application/json; charset=utf8',
]

/** Ids that callers give their requests and that must not reach a log. */
export const REQUEST_IDS_REPLACED = [
  '',
  ' ',
  'a b',
  'x'.repeat(65),
  'x'.repeat(10_000),
  '{"level":60}',
  '%0d%0aSet-Cookie:a=b',
  'caf\xe9',
  '<script>',
  "';--",
  'a,b',
]

/** Headers that change nothing. */
export const IGNORED: readonly (readonly Header[])[] = [
  [['Accept', 'text/html']],
  [['Accept', 'image/*;q=0']],
  [['Accept', '\xff/\xff;q=nine']],
  [['Accept-Encoding', 'gzip, br']],
  [['Accept-Language', 'x'.repeat(1_000)]],
  [['Prefer', 'respond-async, wait=0']],
  [['X-HTTP-Method-Override', 'DELETE']],
  [['X-Forwarded-For', '127.0.0.1, 10.0.0.1']],
  [['X-Forwarded-Host', 'evil.test']],
  [['X-Original-URL', `${API}/users`]],
  [['Range', 'bytes=0-1']],
  [['If-None-Match', '"another", W/"x, *x']],
  [['Cookie', 'a=b; __proto__=c']],
  [['Origin', 'https://evil.test']],
  [
    ['Connection', 'upgrade'],
    ['Upgrade', 'websocket'],
  ],
]
