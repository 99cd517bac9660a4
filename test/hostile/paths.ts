import type { Case } from './case.ts'
import { exampleOf, fill, type Operation } from './document.ts'
import { short } from './operations.ts'
import { API } from './target.ts'
import type { Wire } from './wire.ts'

/** What cannot be an id, as it stands in a path. */
const NO_IDS = [
  ['0', '-1', 'abc', '1.5', '1e3', '0x1', '+1', '1%20', '%201', '01', '%00', '1%00', '1%2f2'],
  ['..%2f1', '%2e%2e%2f1', 'true', 'null', 'undefined', 'NaN', '1%0a', '%EF%BC%91', '%D9%A1'],
  ['9223372036854775807', '9223372036854775808', '18446744073709551617', '9'.repeat(100)],
  ["1'--", '1;', '1%27%20OR%201=1', '{id}', '[1]', '1,2', '%ff', '%zz', '%', '1%e2%80%8b', '*'],
  ['__proto__', 'constructor', '999999', '1&limit=1', '%F0%9F%92%B0', '1%0d%0aX:1'],
].flat()

/** Longer than any id: refused before it is looked at. */
const TOO_LONG = ['1'.repeat(101), 'a'.repeat(5_000), '%31'.repeat(200)]

/** Every operation on something that has an id, with what is none. */
export function idCases(operations: readonly Operation[]): Case[] {
  return operations
    .filter(({ path }) => path.includes('{id}'))
    .flatMap((operation) => [
      ...NO_IDS.map((id) => ({ ...idCase(operation, id), status: 404 })),
      ...TOO_LONG.map((id) => ({ ...idCase(operation, id), status: 414 })),
    ])
}

function idCase(operation: Operation, id: string): Pick<Case, 'name' | 'request'> {
  const { method, path, body } = operation
  const request: Wire = { method, path: fill(path, id) }
  return {
    name: `${method} ${path}: ${short(id)}`,
    request: body === null ? request : { ...request, body: JSON.stringify(exampleOf(body)) },
  }
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'QUERY', 'SEARCH']

/** A path, the methods it has, and one that it has not. */
export interface Foreign {
  readonly request: Wire & { readonly method: string }
  readonly allow: string
}

/** Every path with every method that it does not take. */
export function foreignMethods(operations: readonly Operation[]): Foreign[] {
  const paths = [...new Set(operations.map(({ path }) => path))]
  return paths.flatMap((path) => {
    const filled = fill(path, '1')
    // A fixed path may have the shape of a template; then it alone answers.
    const exact = operations.filter((other) => other.path === filled)
    const fitting = operations.filter((other) => fits(other.path, filled))
    const own = (exact.length > 0 ? exact : fitting).map(({ method }) => method)
    const allowed = new Set([...own, ...(own.includes('GET') ? ['HEAD'] : []), 'OPTIONS'])
    const allow = [...allowed].toSorted().join(', ')
    return METHODS.filter((method) => !allowed.has(method)).map((method) => ({
      request: { method, path: filled },
      allow,
    }))
  })
}

function fits(template: string, path: string): boolean {
  return new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path)
}

const NO_LIMITS = [
  [
    '0',
    '-1',
    '999999999',
    '1000000000',
    '1e9',
    'abc',
    '',
    '1.5',
    '%00',
    '%2b1',
    '0x1',
    '%201',
    '01',
  ],
  ['Infinity', 'NaN', 'null', '1&limit=2', '1%27', '9'.repeat(400), '%D9%A1', '1,2', '%ff%fe'],
].flat()
const NO_OFFSETS = ['-1', 'abc', '', '1e3', '1.5', '9999999999', '0&offset=1', '00', '%00']
const NO_USERS = ['0', '-1', 'abc', '', '1.5', '9223372036854775808', '1%20', '1&user_id=2', '1;--']
const NO_CHOICES = [
  ["failed'%20OR%201=1--", 'FAILED', '', 'constructor', '__proto__', 'toString', '1', 'null'],
  ['failed&X', 'failed%00', 'failed,open', '%F0%9F%92%B0'],
].flat()
const UNKNOWN = [
  ['statu=failed', '__proto__=1', 'constructor=1', 'limit[]=1', 'limit%5B%5D=1', 'LIMIT=1'],
  ['=1', 'a', 'toString', 'limit%00=1', '%ff=1', 'page=1', 'sort=id;drop', `${'a=1&'.repeat(900)}`],
].flat()

/** Query parameters by name, with what they do not take. */
const QUERIES: Readonly<Record<string, readonly string[]>> = {
  limit: NO_LIMITS,
  offset: NO_OFFSETS,
  user_id: NO_USERS,
  status: NO_CHOICES,
  type: NO_CHOICES,
  class: NO_CHOICES,
  state: NO_CHOICES,
}

/** Every list with every hostile parameter it knows, and with some that it does not know. */
export function queryCases(operations: readonly Operation[]): Case[] {
  return operations
    .filter(({ method, parameters }) => method === 'GET' && parameters.some(isPaging))
    .flatMap(({ path, parameters }) => {
      const names = parameters.filter((one) => one.in === 'query').map(({ name }) => name)
      const known = names.flatMap((name) =>
        (QUERIES[name] ?? []).map((value) => `${name}=${value}`),
      )
      return [...known, ...UNKNOWN].map((query) => ({
        name: `GET ${path}?${short(query)}`,
        request: { path: `${fill(path, '1')}?${query}` },
        status: 400,
        code: 'query_invalid' as const,
      }))
    })
}

function isPaging({ name }: { readonly name: string }): boolean {
  return name === 'limit'
}

/** The lists that hand out cursors, and the text a cursor of theirs begins with. */
const LISTS = [
  { path: `${API}/payments`, list: 'payments   ', length: 1 },
  { path: `${API}/users/1/transactions`, list: 'transactions 1', length: 2 },
]

/** Positions that no cursor of ours ever held. */
const NO_POSITIONS: readonly unknown[] = [
  ['', '-1', '1e3', '0x1', 'NaN', '1 ', ' 1', "1'--", '9'.repeat(30), '1\u0000', '٣', '1.5'],
  ['9999999999999999999', '9223372036854775808', 1, null, true, ['1'], { id: 1 }, '\ud800'],
].flat()

/** Cursors that were not made by the list they are shown to. */
export function cursorCases(given: Readonly<Record<string, string>>): Case[] {
  return LISTS.flatMap(({ path, list, length }) => {
    const forged = NO_POSITIONS.map((position) =>
      encode([list, ...Array.from({ length }, () => position)]),
    )
    const shapes = [
      [encode([]), encode([list]), encode({ 0: list }), encode(list), encode(null), encode(1)],
      [encode([list, '1', '1', '1', '1']), encode(['', '1', 'hold']), encode([[list], '1'])],
      ['x', '%00', '!!!!', 'bnVsbA', Buffer.alloc(48, 0xa5).toString('base64url'), 'A'.repeat(500)],
    ].flat()
    const foreign = Object.entries(given)
      .filter(([owner]) => owner !== path)
      .map(([, cursor]) => cursor)
    const own = given[path] ?? ''
    const cut = [1, 2, 5].map((length_) => own.slice(0, own.length - length_ * 3))
    const cases = [...forged, ...shapes, ...foreign, ...cut].map((cursor) => ({
      name: `GET ${path}?cursor=${short(cursor)}`,
      request: { path: `${path}?cursor=${cursor}` },
      status: 400,
      code: 'cursor_invalid' as const,
    }))
    const long = { path: `${path}?cursor=${'A'.repeat(10_000)}` }
    const twice = { path: `${path}?cursor=${own}&cursor=${own}` }
    return [
      ...cases,
      { name: `GET ${path} cursor of 10 KB`, request: long, status: 400 },
      { name: `GET ${path} cursor twice`, request: twice, status: 400 },
    ]
  })
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
