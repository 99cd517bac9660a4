import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { scopeOf } from '../src/http/scopes.ts'
import { until } from './process-kit.ts'
import { newKey, parseToken, type Scope } from '../src/domain/api-key.ts'
import { insertKey, revokeKey } from '../src/keys/store.ts'
import { keyChecker } from '../src/keys/check.ts'
import { manualClock, openDb, raw } from './harness.ts'
import { serve, type Served } from './serve.ts'

/** A service that anyone could reach, and a way to make keys for it. */
async function guarded(t: TestContext, env: Record<string, string> = {}) {
  const service = await serve(t, { HOST: '0.0.0.0', ...env })
  const { global: db } = openDb(t, service.database)
  const make = async (...scopes: Scope[]) => {
    const key = newKey(randomBytes)
    await insertKey(db, key, 'test', scopes)
    return { id: key.id, headers: { authorization: `Bearer ${key.token}` } }
  }
  return { service, db, make }
}

test('a token has the form of one and hashes to what is stored', () => {
  for (let count = 0; count < 100; count += 1) {
    const key = newKey(randomBytes)
    const parsed = parseToken(key.token)
    assert.equal(parsed?.id, key.id)
    assert.deepEqual(parsed?.hash, key.hash)
  }
  for (const token of ['', 'pay_', 'pay_abc_def', `pay_${'a'.repeat(12)}_${'b'.repeat(42)}`]) {
    assert.equal(parseToken(token), null)
  }
})

test('without a valid key nothing is told and nothing happens', async (t) => {
  const { service, db, make } = await guarded(t)
  const { headers } = await make('read', 'write')
  const [, secret] = /_([^_].*)$/.exec(headers.authorization.slice(20)) ?? []
  const wrong: Record<string, string>[] = [
    {},
    { authorization: 'Bearer nonsense' },
    { authorization: 'Basic cGF5OnBheQ==' },
    { authorization: `Bearer pay_${'z'.repeat(12)}_${'A'.repeat(43)}` },
    { authorization: `${headers.authorization.slice(0, -1)}${secret?.endsWith('A') ? 'B' : 'A'}` },
  ]
  for (const each of wrong) {
    const replies = [
      await service.call('POST', '/users', { balance: 1 }, each),
      await service.call('GET', '/users/1', undefined, each),
      await service.call('GET', '/no/such/path', undefined, each),
    ]
    for (const reply of replies) {
      assert.equal(reply.status, 401)
      assert.equal(reply.body['code'], 'unauthorized')
      assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer/)
    }
  }
  const users = await db.run(raw<{ count: bigint }>('select count(*) from users'), [])
  assert.equal(users[0]?.count, 0n)
})

test('probes and documentation need no key', async (t) => {
  const { service } = await guarded(t)
  for (const path of ['/livez', '/readyz', '/docs', '/docs/errors', '/openapi.json', '/console']) {
    const answer = await fetch(service.url + path)
    await answer.arrayBuffer()
    assert.equal(answer.status, 200, path)
  }
  const metrics = await fetch(`${service.url}/metrics`)
  await metrics.arrayBuffer()
  assert.equal(metrics.status, 401)
})

test('a key does what its scopes say and no more', async (t) => {
  const { service, make } = await guarded(t)
  const keys = {
    read: await make('read'),
    write: await make('write'),
    operate: await make('operate'),
  }
  const acts: [Scope, string, string, unknown][] = [
    ['read', 'GET', '/payments', undefined],
    ['write', 'POST', '/users', { balance: 1 }],
    ['operate', 'PUT', '/mock-gateway/faults', {}],
  ]
  for (const [needed, method, path, body] of acts) {
    for (const [scope, { headers }] of Object.entries(keys)) {
      const { status } = await service.call(method, path, body, headers)
      if (scope === needed) assert.ok(status < 300, `${scope} may ${method} ${path}: ${status}`)
      else assert.equal(status, 403, `${scope} may not ${method} ${path}`)
    }
  }
})

test('asking the gateway, which may end a payment, takes more than reading', async (t) => {
  const { service, make } = await guarded(t)
  const [read, both] = [await make('read'), await make('read', 'write')]
  await service.call('POST', '/users', { balance: 100 }, both.headers)
  await service.call('POST', '/payments/deposit', { user_id: 1, deposit: 1 }, both.headers)
  const get = async (query: string, headers: Record<string, string>) => {
    const { status, body } = await service.call('GET', `/payments/1${query}`, undefined, headers)
    return [status, body['code']]
  }
  assert.deepEqual(await get('?refresh=true', read.headers), [403, 'forbidden'])
  assert.deepEqual(await get('?refresh=false', read.headers), [200, undefined])
  assert.deepEqual(await get('', read.headers), [200, undefined])
  assert.deepEqual(await get('?refresh=true', both.headers), [200, undefined])
})

test('payments are charged although the worker has no key', async (t) => {
  const { service, make } = await guarded(t)
  const { headers } = await make('read', 'write', 'operate')
  await service.call('PUT', '/mock-gateway/faults', NO_FAULTS, headers)
  const user = await service.call('POST', '/users', { balance: 10 }, headers)
  const body = { user_id: user.body['id'], deposit: 5 }
  const payment = await service.call('POST', '/payments/deposit', body, headers)
  await until('the key is known', async () => {
    const path = `/payments/${String(payment.body['payment_id'])}`
    return (await service.call('GET', path, undefined, headers)).body['status'] === 'success'
  })
})

test('a revoked key is refused by every process within five seconds', async (t) => {
  const { service, db, make } = await guarded(t)
  const roles = { api: true, worker: false, mockGateway: false }
  const { database } = service
  const other = await serve(t, { HOST: '0.0.0.0' }, { roles, database })
  const { id, headers } = await make('read')
  const token = headers.authorization.replace('Bearer ', '')
  const clock = manualClock()
  const checker = keyChecker({ db, clock })
  const ask = (from: Served) => from.call('GET', '/payments', undefined, headers)
  assert.deepEqual([(await ask(service)).status, (await ask(other)).status], [200, 200])
  assert.equal((await checker.check(token)).ok, true)
  await revokeKey(db, id)
  for (const each of [service, other])
    await until('the key is refused', async () => (await ask(each)).status === 401)
  // The five seconds are those of a clock that nothing slows down.
  clock.advance(5_000)
  assert.equal((await checker.check(token)).ok, false)
})

/** A token of the right form that no key has. */
function guess(): { authorization: string } {
  return { authorization: `Bearer ${newKey(randomBytes).token}` }
}

test('an address that tries many wrong keys is told to wait, and a valid key passes all the same', async (t) => {
  const { service, make } = await guarded(t)
  const { headers } = await make('read')
  const ask = (given: Record<string, string>) => service.call('GET', '/payments', undefined, given)
  const statuses: number[] = []
  for (let tried = 0; tried < 40; tried += 1) statuses.push((await ask(guess())).status)
  assert.deepEqual(statuses.slice(0, 30), Array(30).fill(401))
  assert.deepEqual(statuses.slice(30), Array(10).fill(429))
  const told = await ask(guess())
  assert.ok(Number(told.headers.get('retry-after')) >= 1)
  // Never seen before, and from then on known.
  for (const _ of [1, 2]) assert.equal((await ask(headers)).status, 200)
})

test('requests without credentials are no guesses: a probe without a key locks nobody out', async (t) => {
  const { service } = await guarded(t)
  const statuses = new Set<number>()
  for (let tried = 0; tried < 100; tried += 1) {
    statuses.add((await service.call('GET', '/payments')).status)
  }
  assert.deepEqual([...statuses], [401])
  assert.equal((await service.call('GET', '/payments', undefined, guess())).status, 401)
})

test('text in the URL that looks like a public path opens nothing', async (t) => {
  const { service } = await guarded(t)
  const paths = [
    '/x?/mock-gateway/pay',
    '/users?/mock-gateway/pay',
    '/dlq/1/redrive?/livez',
    '/docs',
  ]
  for (const path of paths) {
    assert.equal((await service.call('POST', path, {})).status, 401, path)
  }
  for (const path of ['/mock-gateway/pay/', '//mock-gateway/pay', '/mock-gateway/pay/x']) {
    const { status } = await service.call('POST', path, {}, guess())
    assert.ok(status === 401 || status === 400, `${path}: ${status}`)
  }
})

test('a payment is let in by a key that is known, and no wrong key slips past the check with one', async (t) => {
  const { service, db, make } = await guarded(t)
  const [write, read] = [await make('read', 'write'), await make('read')]
  await service.call('POST', '/users', { balance: 100 }, write.headers)
  const deposit = async (headers: Record<string, string>) => {
    const body = { user_id: 1, deposit: 1 }
    return (await service.call('POST', '/payments/deposit', body, headers)).status
  }
  // The first use of each key is looked up, the second one is known.
  for (const _ of [1, 2]) assert.equal(await deposit(write.headers), 202)
  for (const _ of [1, 2]) assert.equal(await deposit(read.headers), 403)
  const forged = { authorization: `${write.headers.authorization.slice(0, -3)}AAA` }
  const statuses = new Set<number>()
  for (let tried = 0; tried < 40; tried += 1) statuses.add(await deposit(forged))
  assert.deepEqual([...statuses], [401, 429])
  assert.equal(await deposit(write.headers), 202)
  const [row] = await db.run(raw<{ count: bigint }>('select count(*) from payments'), [])
  assert.equal(row?.count, 3n)
})

test('requests past the limit of a key get 429, those of another key do not', async (t) => {
  const { service, make } = await guarded(t, { RATE_LIMIT_PER_SECOND: '5' })
  const [one, other] = [await make('read'), await make('read')]
  const burst = await Promise.all(
    Array.from({ length: 40 }, () => service.call('GET', '/dlq', undefined, one.headers)),
  )
  const limited = burst.filter(({ status }) => status === 429)
  assert.ok(limited.length > 0)
  assert.equal(limited[0]?.body['code'], 'rate_limited')
  assert.equal((await service.call('GET', '/dlq', undefined, other.headers)).status, 200)
})

test('documentation and probes count for the limit of requests, the worker’s calls do not', async (t) => {
  const { service } = await guarded(t, { RATE_LIMIT_PER_SECOND: '5' })
  const statusesOf = async (method: string, url: string) => {
    const body =
      method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {}
    const asked = Array.from({ length: 40 }, async () => {
      const answer = await fetch(service.url + url, { method, ...body })
      await answer.arrayBuffer()
      return answer.status
    })
    return new Set(await Promise.all(asked))
  }
  assert.ok((await statusesOf('GET', '/openapi.json')).has(429))
  assert.ok(!(await statusesOf('POST', '/api/v1/mock-gateway/pay')).has(429))
})

test('scopes go by route and method', () => {
  const table: [route: string, method: string, scope: string][] = [
    ['/livez', 'GET', 'public'],
    ['/docs/static/*', 'GET', 'public'],
    ['/console/*', 'GET', 'public'],
    ['/api/v1/mock-gateway/pay', 'POST', 'gateway'],
    ['/api/v1/mock-gateway/payments/:key', 'GET', 'gateway'],
    ['/api/v1/mock-gateway/reset', 'POST', 'operate'],
    ['/api/v1/mock-gateway/journal', 'GET', 'read'],
    ['/api/v1/payments/deposit', 'POST', 'write'],
    ['/api/v1/payments/:id', 'GET', 'read'],
    ['/api/v1/dlq', 'GET', 'read'],
    ['/api/v1/dlq/:id/redrive', 'POST', 'operate'],
    ['/api/v1/events', 'GET', 'read'],
    ['/api/v1/webhook-endpoints', 'GET', 'operate'],
    ['/api/v1/webhook-endpoints/:id', 'DELETE', 'operate'],
    ['/metrics', 'GET', 'read'],
  ]
  for (const [route, method, scope] of table) assert.equal(scopeOf(route, method), scope, route)
})

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }

/** The operations of each scope but `read`, which all others have. */
const SCOPES = {
  write: `
    POST /users, PATCH /users/{id}, POST /payments/deposit, POST /payments/withdraw,
    PATCH /payments/{id}, POST /payments/batch`,
  refund: 'POST /payments/{id}/refunds, POST /payments/{id}/cancel',
  operate: `
    POST /users/{id}/erase, POST /webhook-endpoints, GET /webhook-endpoints,
    GET /webhook-endpoints/{id}, PATCH /webhook-endpoints/{id}, DELETE /webhook-endpoints/{id},
    GET /webhook-endpoints/{id}/acts, POST /webhook-endpoints/{id}/rotate-secret,
    POST /webhook-endpoints/{id}/test, GET /payments/{id}/deliveries,
    GET /webhook-endpoints/{id}/deliveries,
    GET /webhook-endpoints/{id}/deliveries/{event}/attempts,
    POST /webhook-endpoints/{id}/deliveries/{event}/retry,
    POST /webhook-endpoints/{id}/replays, GET /webhook-endpoints/{id}/replays,
    GET /webhook-endpoints/{id}/replays/{replay},
    POST /webhook-endpoints/{id}/replays/{replay}/cancel, POST /payments/{id}/returns,
    POST /dlq/{id}/redrive, POST /dlq/{id}/resolve, POST /dlq/{id}/correct, POST /dlq/redrive,
    POST /dlq/redrives/{id}/cancel, POST /ledger/verifications,
    POST /ledger/verifications/{id}/cancel, GET /configuration, GET /sessions,
    DELETE /sessions/{session}, GET /keys, DELETE /keys/{key}, POST /gateways/{name}/test,
    POST /mock-gateway/returns, PUT /mock-gateway/faults, DELETE /mock-gateway/faults,
    POST /mock-gateway/reset`,
  anybody: 'GET /session, POST /session, DELETE /session',
  gateway: `
    POST /gateways/{name}/notices, POST /mock-gateway/pay, GET /mock-gateway/payments/{key},
    POST /mock-gateway/payments/{key}/cancel, POST /mock-gateway/refund,
    GET /mock-gateway/refunds/{key}`,
} as const

test('each operation takes the scope that is written here, and what is not written is read', () => {
  // A document of paths with operations by method.
  const { paths } = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
  const found: Record<string, string[]> = {}
  for (const [path, operations] of Object.entries(paths)) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      if (!(method.toLowerCase() in operations)) continue
      const scope = scopeOf(path.replaceAll(/\{(\w+)\}/g, ':$1'), method)
      if (scope === 'read' && method === 'GET') continue
      found[scope] = [...(found[scope] ?? []), `${method} ${path.replace('/api/v1', '')}`]
    }
  }
  const written = Object.entries(SCOPES).map(([scope, list]) => {
    return [scope, new Set(list.split(',').map((one) => one.trim()))] as const
  })
  const sets = Object.entries(found).map(([scope, list]) => [scope, new Set(list)] as const)
  assert.deepEqual(Object.fromEntries(sets), Object.fromEntries(written))
})
