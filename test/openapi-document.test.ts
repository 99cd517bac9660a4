import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { Compile } from 'typebox/schema'
import { EXPONENTS } from '../src/domain/currency.ts'
import { parseMoney } from '../src/domain/money.ts'
import { REFUSALS } from '../src/domain/refusal.ts'
import { readKey } from '../src/http/idempotency.ts'
import { breakingChanges } from '../scripts/breaking-changes.ts'
import { typesOf } from '../scripts/types-of.ts'
import { serve, type Served } from './serve.ts'
import { ROOT } from './sources.ts'

type Node = Readonly<Record<string, unknown>>

interface Operation extends Node {
  readonly operationId?: string
  readonly security?: readonly object[]
  readonly parameters?: readonly (Node & { readonly schema: Node })[]
  readonly requestBody?: { readonly content: Node }
  readonly responses: Readonly<Record<string, Node>>
}

interface Document extends Node {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: Readonly<Record<string, Readonly<Record<string, Node>>>>
}

async function documentOf({ url }: Served): Promise<Document> {
  const answer = await fetch(`${url}/openapi.json`)
  return (await answer.json()) as Document
}

function operationsOf({ paths }: Document): [string, Operation][] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  )
}

function componentOf({ components }: Document, kind: string, name: string): Node {
  const component = components[kind]?.[name]
  assert.ok(component !== undefined, `${kind}/${name}`)
  return component
}

/** Every node of the document with its path. */
function* nodesOf(node: unknown, at = '#'): Generator<readonly [at: string, node: Node]> {
  if (typeof node !== 'object' || node === null) return
  yield [at, node as Node]
  for (const [name, child] of Object.entries(node)) yield* nodesOf(child, `${at}/${name}`)
}

/** The node with everything that it refers to in place. */
function resolve(node: unknown, document: Document): unknown {
  if (Array.isArray(node)) return node.map((item) => resolve(item, document))
  if (typeof node !== 'object' || node === null) return node
  const { $ref, ...rest } = node as Node
  if (typeof $ref === 'string') {
    const [, , kind = '', name = ''] = $ref.split('/')
    return resolve({ ...document.components[kind]?.[name], ...rest }, document)
  }
  const members = Object.entries(node).map(([name, value]) => [name, resolve(value, document)])
  return Object.fromEntries(members) as Node
}

test('docs/openapi.json is the document of a service that asks for keys: npm run openapi', async (t) => {
  const service = await serve(t, { HOST: '0.0.0.0' })
  const kept = JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')) as object
  const now = await documentOf(service)
  assert.deepEqual(breakingChanges(kept, now), [], 'changes that break programs of others')
  assert.deepEqual(now, kept)
})

test('the types of the SDK are those of docs/openapi.json: npm run openapi', async () => {
  const text = readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')
  const files = await typesOf(JSON.parse(text) as Parameters<typeof typesOf>[0])
  for (const [name, types] of Object.entries(files)) {
    assert.equal(readFileSync(join(ROOT, 'sdk/typescript/src', name), 'utf8'), types, name)
  }
})

test('the document speaks of keys where they are asked for, and nowhere else', async (t) => {
  const open = await documentOf(await serve(t))
  assert.equal(open['security'], undefined)
  assert.equal(open.components['securitySchemes'], undefined)
  assert.ok(operationsOf(open).every(([, { security }]) => security === undefined))

  const guarded = await documentOf(await serve(t, { HOST: '0.0.0.0' }))
  assert.deepEqual(guarded['security'], [{ apiKey: [] }])
  const free = operationsOf(guarded).filter(([, { security }]) => security?.length === 0)
  assert.deepEqual(free.map(([name]) => name).toSorted(), [
    'delete /api/v1/session',
    'get /api/v1/mock-gateway/payments/{key}',
    'get /api/v1/mock-gateway/refunds/{key}',
    'get /api/v1/session',
    'post /api/v1/gateways/{name}/notices',
    'post /api/v1/mock-gateway/pay',
    'post /api/v1/mock-gateway/payments/{key}/cancel',
    'post /api/v1/mock-gateway/refund',
    'post /api/v1/session',
  ])
})

test('every operation has a name of its own, and every body a named schema', async (t) => {
  const document = await documentOf(await serve(t))
  const operations = operationsOf(document)
  const names = operations.map(([, { operationId = '' }]) => operationId)
  assert.equal(new Set(names).size, operations.length)
  for (const name of names) assert.match(name, /^[a-z][A-Za-z]+$/)
  const bodies = [...nodesOf(document.paths)].filter(([at]) =>
    at.endsWith('application/json/schema'),
  )
  assert.ok(bodies.length > 40, String(bodies.length))
  const unnamed = bodies.filter(([, { $ref }]) => $ref === undefined).map(([at]) => at)
  assert.deepEqual(unnamed, [])
})

test('every operation says what is answered before any of them is reached', async (t) => {
  const service = await serve(t)
  const document = await documentOf(service)
  for (const [name, { responses }] of operationsOf(document)) {
    for (const status of ['401', '403', '429', '431']) assert.ok(status in responses, name)
  }
  const shown = componentOf(document, 'responses', 'HeadersTooLarge')
  assert.ok('application/problem+json' in (shown['content'] as Node))
  const long = { 'x-long': 'x'.repeat(20_000) }
  const { status, body } = await service.call('GET', '/payments', undefined, long)
  assert.deepEqual([status, body['code']], [431, 'headers_too_large'])
})

test('every object is a component, and says whether it may have more members', async (t) => {
  const document = await documentOf(await serve(t))
  const schemas = document.components['schemas'] ?? {}
  const problems: string[] = []
  let objects = 0
  for (const [at, node] of nodesOf(schemas)) {
    if (at.includes('/examples/') || ![node['type']].flat().includes('object')) continue
    objects += 1
    if (node['additionalProperties'] === undefined) problems.push(`${at} says nothing of others`)
    const inside = at.split('/').length > 2
    if (inside && node['properties'] !== undefined) problems.push(`${at} has no name`)
  }
  assert.deepEqual(problems, [])
  assert.ok(objects > 50, String(objects))

  const taken = operationsOf(document)
    .flatMap(([, { requestBody }]) => [...nodesOf(requestBody)])
    .flatMap(([, { $ref }]) => (typeof $ref === 'string' ? [$ref.split('/').at(-1) ?? ''] : []))
  const open = taken.filter((name) => schemas[name]?.['additionalProperties'] === true)
  assert.deepEqual(open, [], 'a body with an unknown member is refused')
  assert.ok(taken.length > 15, String(taken.length))
})

test('two answers that are one thing have one name', async (t) => {
  const { components } = await documentOf(await serve(t))
  const names = new Map<string, string[]>()
  for (const [name, schema] of Object.entries(components['schemas'] ?? {})) {
    // What is asked for grows with its operation, whatever another asks for today.
    if (name.endsWith('Request')) continue
    const shape = JSON.stringify({ ...schema, description: undefined, examples: undefined })
    names.set(shape, [...(names.get(shape) ?? []), name])
  }
  assert.ok(names.size > 100, String(names.size))
  assert.deepEqual(
    [...names.values()].filter(({ length }) => length > 1),
    [],
  )
})

test('what only reads or ends something says nothing of what was made under a key', async (t) => {
  const document = await documentOf(await serve(t))
  const wrong = operationsOf(document).filter(([name, { responses }]) => {
    const made = name.startsWith('post ') && ('201' in responses || '202' in responses)
    const headers = Object.values(responses).flatMap((answer) =>
      Object.keys((answer['headers'] ?? {}) as Node),
    )
    return !made && headers.includes('Location')
  })
  assert.deepEqual(
    wrong.map(([name]) => name),
    [],
  )
})

test('patterns need no classes of Unicode, which not every reader knows', async (t) => {
  const document = await documentOf(await serve(t))
  const patterns = [...nodesOf(document)].flatMap(([, { pattern }]) =>
    typeof pattern === 'string' ? [pattern] : [],
  )
  assert.ok(patterns.length > 20, String(patterns.length))
  for (const pattern of patterns) {
    assert.ok(!/\\p\{/i.test(pattern), pattern)
    assert.deepEqual(
      ['order-4711', 'a\u0007', 'a\u202eb', ''].map((text) => new RegExp(pattern).test(text)),
      ['order-4711', 'a\u0007', 'a\u202eb', ''].map((text) => new RegExp(pattern, 'u').test(text)),
      pattern,
    )
  }
})

test('every example is one that its schema takes', async (t) => {
  const document = await documentOf(await serve(t, { HOST: '0.0.0.0' }))
  const wrong: string[] = []
  let shown = 0
  for (const [at, node] of nodesOf(document)) {
    const holder = node['schema'] === undefined ? node : (node['schema'] as Node)
    const several = node['examples']
    const examples = [
      ...('example' in node ? [node['example']] : []),
      ...(Array.isArray(several)
        ? (several as unknown[])
        : Object.values((several ?? {}) as Record<string, Node>).map(({ value }) => value)),
    ]
    if (examples.length === 0) continue
    const validator = Compile(resolve(holder, document) as object)
    shown += examples.length
    wrong.push(...examples.filter((one) => !validator.Check(one)).map((one) => `${at} ${one}`))
  }
  assert.deepEqual(wrong, [])
  assert.ok(shown > 40, String(shown))
})

test('ids are integers wherever they stand, and codes of errors are listed', async (t) => {
  const document = await documentOf(await serve(t))
  const ids = operationsOf(document)
    .flatMap(([, { parameters = [] }]) => parameters)
    .filter(({ name }) => name === 'id' || name === 'user_id')
  assert.ok(ids.length >= 9, String(ids.length))
  for (const { schema } of ids) {
    assert.deepEqual([schema['type'], schema['minimum']], ['integer', 1])
  }
  const codes = componentOf(document, 'schemas', 'ErrorCode')['enum']
  assert.deepEqual(codes, Object.keys(REFUSALS))
})

test('the bounds that the document shows of an amount are those that are kept', async (t) => {
  const document = await documentOf(await serve(t))
  const amounts = [
    ['DepositRequest', 'deposit', 1n],
    ['WithdrawalRequest', 'amount', 1n],
    ['OpenUserRequest', 'balance', 0n],
  ] as const
  const digits = fc.string({ unit: fc.constantFrom('0', '1', '9', '.'), maxLength: 15 })
  const texts = fc.oneof(
    digits,
    fc.string(),
    fc.constantFrom('0', '0.00', '1.000', '1.005', '-1', '0.0001', '0.00010', '0.00001', '1.00005'),
  )
  for (const [name, field, min] of amounts) {
    const properties = componentOf(document, 'schemas', name)['properties'] as Node
    const validator = Compile(properties[field] as object)
    const agree = (value: string | number) => {
      const known = EXPONENTS.some((exponent) => parseMoney(value, min, exponent).ok)
      assert.equal(known, validator.Check(value), `${name} ${value}`)
    }
    fc.assert(fc.property(texts, agree), { seed: 1, numRuns: 2_000 })
    const cents = fc.integer({ min: -1_000, max: 1_000_000_001_000 }).map((minor) => minor / 100)
    fc.assert(fc.property(cents, agree), { seed: 1, numRuns: 2_000 })
  }
})

test('the keys that the document shows are those that are read', async (t) => {
  const { paths } = await documentOf(await serve(t))
  const { parameters = [] } = paths['/api/v1/payments/deposit']?.['post'] ?? { responses: {} }
  const header = parameters.find(({ name }) => name === 'Idempotency-Key')
  assert.ok(header !== undefined)
  const validator = Compile(header.schema)
  const texts = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', '"', '~', '!', ' ', 'é'), maxLength: 6 }),
    fc.integer({ min: 254, max: 259 }).map((length) => 'k'.repeat(length)),
    fc.integer({ min: 254, max: 259 }).map((length) => `"${'k'.repeat(length)}"`),
  )
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(readKey(text).ok, validator.Check(text), text)
    }),
    { seed: 1, numRuns: 3_000 },
  )
})

test('the headers of an answer are the ones that the document names', async (t) => {
  const service = await serve(t)
  const document = await documentOf(service)
  const namesOf = (path: string, method: string, status: number) => {
    const answer = document.paths[path]?.[method]?.responses[status]
    return Object.keys(((resolve(answer, document) as Node)['headers'] ?? {}) as Node)
  }
  const key = { 'idempotency-key': 'one' }
  const withdraw = { user_id: 1, amount: 99_999 }
  const cases = [
    ['/users', { balance: 1_000 }, {}, 201, ['Location']],
    ['/payments/deposit', { user_id: 1, deposit: 200 }, key, 202, ['Location']],
    ['/payments/deposit', { user_id: 1, deposit: 200 }, key, 202, ['Idempotent-Replayed']],
    ['/payments/withdraw', withdraw, { 'idempotency-key': 'two' }, 402, []],
    ['/payments/withdraw', withdraw, { 'idempotency-key': 'two' }, 402, ['Idempotent-Replayed']],
  ] as const
  for (const [path, body, headers, status, sent] of cases) {
    const answer = await service.call('POST', path, body, headers)
    assert.equal(answer.status, status, answer.text)
    const named = namesOf(`/api/v1${path}`, 'post', status)
    for (const name of sent) {
      assert.ok(answer.headers.has(name), `${path} sends no ${name}`)
      assert.ok(named.includes(name), `${path} ${status} does not document ${name}`)
    }
  }
  for (const [name, header] of [
    ['TooManyRequests', 'Retry-After'],
    ['Unavailable', 'Retry-After'],
    ['Unauthorized', 'WWW-Authenticate'],
  ] as const) {
    assert.ok(header in (componentOf(document, 'responses', name)['headers'] as Node), name)
  }
})

test('OPTIONS and 405 name the methods of the path itself, not of its neighbours', async (t) => {
  const service = await serve(t)
  for (const [method, path, status, allow] of [
    ['OPTIONS', '/payments/deposit', 204, 'OPTIONS, POST'],
    ['GET', '/payments/deposit', 405, 'OPTIONS, POST'],
    ['GET', '/payments/withdraw/', 405, 'OPTIONS, POST'],
    ['OPTIONS', '/payments/7', 204, 'GET, HEAD, OPTIONS, PATCH'],
    ['OPTIONS', '/dlq/redrive', 204, 'OPTIONS, POST'],
  ] as const) {
    const answer = await service.call(method, path)
    assert.deepEqual([answer.status, answer.headers.get('allow')], [status, allow], path)
  }
})

/** What is needed in the query of an operation. */
const NEEDED: Readonly<Record<string, string>> = { '/search': 'q=1&' }

test('every operation with a query refuses a parameter that it does not know, and one that comes twice', async (t) => {
  const service = await serve(t)
  const asked = operationsOf(await documentOf(service)).flatMap(([name, { parameters = [] }]) => {
    const [known] = parameters.filter(({ in: where }) => where === 'query')
    const [method = '', path = ''] = name.split(' ')
    const at = path.replace(/^\/api\/v1/, '').replaceAll(/\{\w+\}/g, '1')
    return known === undefined ? [] : [[method.toUpperCase(), at, String(known['name'])] as const]
  })
  assert.ok(asked.length >= 12, asked.join(' '))
  for (const [method, path, known] of asked) {
    const unknown = await service.call(method, `${path}?${NEEDED[path] ?? ''}nothing=1`)
    assert.deepEqual([unknown.status, unknown.body['code']], [400, 'query_invalid'], path)
    assert.deepEqual(unknown.body['errors'], [{ pointer: '/nothing', code: 'unknown' }], path)
    const twice = await service.call(method, `${path}?${known}=1&${known}=1`)
    assert.deepEqual([twice.status, twice.body['code']], [400, 'query_invalid'], path)
  }
})

test('a change that takes a text away is one that the document shows', async (t) => {
  const service = await serve(t)
  const document = await documentOf(service)
  await service.call('POST', '/users', { balance: 1, metadata: { shop: 'berlin' } })
  await service.call('POST', '/payments/deposit', { user_id: 1, deposit: 1, description: 'one' })
  for (const [path, name, body] of [
    ['/users/1', 'UserUpdate', { metadata: null }],
    ['/payments/1', 'PaymentUpdate', { metadata: null, description: null }],
  ] as const) {
    const answer = await service.call('PATCH', path, body)
    assert.equal(answer.status, 200, answer.text)
    const schema = resolve(componentOf(document, 'schemas', name), document) as object
    assert.ok(Compile(schema).Check(body), name)
  }
})
