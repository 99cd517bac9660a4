import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { newKey } from '../src/domain/api-key.ts'
import { scopeOf } from '../src/http/scopes.ts'
import { insertKey } from '../src/keys/store.ts'
import { openDb, testWorld } from './harness.ts'
import { serve } from './serve.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

async function api(t: TestContext, env: Record<string, string> = {}) {
  const service = await serve(t, env, { roles: ROLES })
  const open = (body: object, headers = {}) => service.call('POST', '/users', body, headers)
  const list = async (query = '') => {
    const answer = await service.call('GET', `/users?${query}`)
    assert.equal(answer.status, 200, answer.text)
    return answer.body as {
      readonly data: readonly { readonly id: number }[]
      readonly next_cursor: string | null
      readonly incomplete: boolean
    }
  }
  return { ...service, open, list }
}

const KEY = { 'idempotency-key': 'k' }

test('the same request with the same key has the same answer, and opens one user', async (t) => {
  const { call, open } = await api(t)
  const body = { balance: '10.00', external_id: 'shop-1', metadata: { b: '2', a: '1' } }
  const first = await open(body, KEY)
  assert.equal(first.status, 201)
  assert.equal(
    first.text,
    '{"id":1,"balance":10,"external_id":"shop-1","metadata":{"b":"2","a":"1"}}',
  )
  assert.equal(first.headers.get('location'), '/api/v1/users/1')
  assert.equal(first.headers.get('idempotent-replayed'), null)
  // Spelled otherwise, and after a change of what is said.
  await call('PATCH', '/users/1', { metadata: null })
  const again = await open({ ...body, balance: 10 }, { 'idempotency-key': '"k"' })
  assert.deepEqual([again.status, again.text], [201, first.text])
  assert.equal(again.headers.get('location'), '/api/v1/users/1')
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  const metrics = await call('GET', '/metrics')
  assert.equal(metrics.body['idempotency_hits_total'], 1)
  const two = await open({ balance: 10 }, { 'idempotency-key': 'other' })
  assert.equal(two.text, `{"id":${Number(two.body['id'])},"balance":10}`)
  const three = await open({ balance: 10 })
  assert.equal(new Set([1, two.body['id'], three.body['id']]).size, 3)
})

test('a repeated request names the currency as the first one did, however it is spelled now', async (t) => {
  const { call, open } = await api(t)
  const plain = { balance: 10, external_id: 'shop-1' }
  for (const [key, [first, again]] of Object.entries({
    left_out: [plain, { ...plain, currency: 'USD' }],
    named: [{ balance: 10, currency: 'USD' }, { balance: 10 }],
  })) {
    const opened = await open(first ?? {}, { 'idempotency-key': key })
    assert.equal('currency' in opened.body, key === 'named')
    await call('PATCH', `/users/${Number(opened.body['id'])}`, { metadata: { a: '1' } })
    for (const body of [first, again]) {
      const replayed = await open(body ?? {}, { 'idempotency-key': key })
      assert.deepEqual([replayed.status, replayed.text], [201, opened.text])
      assert.equal(replayed.headers.get('idempotent-replayed'), 'true')
    }
  }
})

test('the same key with another body is refused as that of a payment is', async (t) => {
  const { open } = await api(t)
  await open({ balance: 10, external_id: 'shop-1' }, KEY)
  const other = await open({ balance: 11, metadata: { a: '1' } }, KEY)
  assert.equal(other.status, 422)
  const { instance: _, ...problem } = other.body
  assert.deepEqual(problem, {
    type: '/docs/errors#idempotency_key_reuse',
    title: 'Idempotency key reuse',
    status: 422,
    detail: 'This Idempotency-Key was first used with a different request.',
    code: 'idempotency_key_reuse',
    errors: [
      { pointer: '/balance', code: 'differs' },
      { pointer: '/external_id', code: 'differs' },
      { pointer: '/metadata', code: 'differs' },
    ],
    user_id: 1,
  })
  for (const key of ['', 'a b', 'x'.repeat(256)]) {
    const bad = await open({ balance: 10 }, { 'idempotency-key': key })
    assert.deepEqual([bad.status, bad.body['code']], [400, 'idempotency_key_invalid'], key)
  }
  assert.equal((await open({ balance: 10, external_id: 'shop-1' }, KEY)).status, 201)
})

test('a key belongs to the API key that it came with', async (t) => {
  const { open, database } = await api(t)
  await open({ balance: 10 }, KEY)
  const guarded = await serve(t, { HOST: '0.0.0.0' }, { roles: ROLES, database })
  const db = openDb(t, database)
  const ids: unknown[] = []
  for (const name of ['one', 'two', 'one']) {
    const made = newKey(randomBytes)
    await insertKey(db.global, made, name, ['read', 'write'])
    const headers = { ...KEY, authorization: `Bearer ${made.token}` }
    const first = await guarded.call('POST', '/users', { balance: 10 }, headers)
    assert.equal(first.status, 201)
    const again = await guarded.call('POST', '/users', { balance: 10 }, headers)
    assert.equal(again.text, first.text)
    ids.push(first.body['id'])
  }
  assert.equal(new Set([1, ...ids]).size, 4)
})

test('an external id is taken once, and the refusal names the user who has it', async (t) => {
  const { open, call } = await api(t)
  await open({ balance: 10, external_id: 'shop-1' })
  const again = await open({ balance: 10, external_id: 'shop-1' })
  assert.equal(again.status, 409)
  assert.equal(again.body['code'], 'external_id_taken')
  assert.deepEqual(again.body['errors'], [{ pointer: '/external_id', code: 'taken' }])
  assert.equal(again.body['user_id'], 1)
  const user = await call('GET', '/users/1')
  const { created_at: _, ...shown } = user.body
  const account = { balance: 10, held: 0, currency: 'USD' }
  assert.deepEqual(shown, { id: 1, ...account, external_id: 'shop-1', metadata: null })
})

const REFUSED: readonly (readonly [body: object, status: number, code: string, at: string])[] = [
  [{ external_id: '' }, 400, 'body_invalid', '/external_id'],
  [{ external_id: 'a b' }, 400, 'body_invalid', '/external_id'],
  [{ external_id: 'x'.repeat(101) }, 400, 'body_invalid', '/external_id'],
  [{ external_id: 7 }, 400, 'body_invalid', '/external_id'],
  [{ external_id: null }, 400, 'body_invalid', '/external_id'],
  [{ external_id: '4242424242424242' }, 422, 'card_number', '/external_id'],
  [{ metadata: [] }, 400, 'body_invalid', '/metadata'],
  [{ metadata: { a: 1 } }, 400, 'body_invalid', '/metadata/a'],
  [{ metadata: { a: '4242424242424242' } }, 422, 'card_number', '/metadata/a'],
]

test('what is said about a user is bounded, and a refusal names its place', async (t) => {
  const { open, list, call } = await api(t)
  for (const [more, status, code, at] of REFUSED) {
    const answer = await open({ balance: 10, ...more })
    assert.deepEqual([answer.status, answer.body['code']], [status, code], JSON.stringify(more))
    const [error] = answer.body['errors'] as { readonly pointer: string }[]
    assert.equal(error?.pointer, at)
  }
  assert.deepEqual((await list()).data, [])
  await open({ balance: 10, external_id: '🙂'.repeat(100), metadata: {} })
  const { body } = await call('GET', '/users/1')
  assert.deepEqual([body['external_id'], body['metadata']], ['🙂'.repeat(100), null])
})

test('users are listed newest first, page by page, and found by their external id', async (t) => {
  const { open, list, call } = await api(t)
  for (const name of ['a', 'b', 'c']) await open({ balance: 1, external_id: name })
  const first = await list('limit=2')
  assert.deepEqual([first.data.map(({ id }) => id), first.incomplete], [[3, 2], false])
  const second = await list(`limit=2&cursor=${first.next_cursor}`)
  assert.deepEqual([second.data.map(({ id }) => id), second.next_cursor], [[1], null])
  assert.deepEqual((await list('external_id=b')).data, [(await call('GET', '/users/2')).body])
  assert.deepEqual((await list('external_id=d')).data, [])
  assert.deepEqual((await list('from=2999-01-01T00:00:00Z')).data, [])
  const wrong: readonly (readonly [string, string])[] = [
    [`cursor=${first.next_cursor}&external_id=a`, 'cursor_invalid'],
    ['cursor=x', 'cursor_invalid'],
    ['limit=0', 'query_invalid'],
    ['limit=501', 'query_invalid'],
    ['name=a', 'query_invalid'],
    ['external_id=a%20b', 'query_invalid'],
    ['from=yesterday', 'query_invalid'],
    ['from=2016-12-31T23:59:60Z', 'query_invalid'],
    ['to=2016-12-31T23:59:60Z', 'query_invalid'],
  ]
  for (const [query, code] of wrong) {
    const answer = await call('GET', `/users?${query}`)
    assert.deepEqual([answer.status, answer.body['code']], [400, code], query)
  }
})

test('the metadata of a user may be changed, and nothing else', async (t) => {
  const { open, call } = await api(t)
  await open({ balance: 10, external_id: 'shop-1', metadata: { a: '1' } })
  const patch = (body: unknown, id: unknown = 1, headers = {}) =>
    call('PATCH', `/users/${String(id)}`, body, headers)
  const changed = await patch({ metadata: { b: '2' } })
  assert.equal(changed.status, 200)
  assert.deepEqual(changed.body, (await call('GET', '/users/1')).body)
  assert.deepEqual(changed.body['metadata'], { b: '2' })
  assert.equal(changed.body['external_id'], 'shop-1')
  assert.equal((await patch({ metadata: null })).body['metadata'], null)
  for (const body of [{}, { external_id: 'x' }, { balance: 1 }, { metadata: 7 }]) {
    assert.equal((await patch(body)).body['code'], 'body_invalid', JSON.stringify(body))
  }
  assert.equal((await patch({ metadata: {} }, 99)).body['code'], 'user_not_found')
  assert.equal((await patch({ metadata: {} }, 'x')).body['code'], 'user_not_found')
  const gateway = await patch({ metadata: {} }, 1, { 'x-actor': 'gateway' })
  assert.equal(gateway.body['code'], 'actor_invalid')
  await open({ balance: 10 })
  assert.deepEqual((await patch({ metadata: { c: '3' } }, 2)).body['metadata'], { c: '3' })
})

test('the record says who changed a user, and never what stood in the metadata', async (t) => {
  const world = await testWorld(t)
  const { call } = await serve(t, {}, { roles: ROLES, database: world.url })
  await call('POST', '/users', { balance: 10, metadata: { a: 'secret' } })
  await call('PATCH', '/users/1', { metadata: { a: 'secret too' } }, { 'x-actor': 'jane' })
  const rows = await world.sql<Record<string, unknown> & { text: string }>(
    `select act, actor, user_id, payment_id, before, after, operator_acts::text as text
     from operator_acts`,
  )
  assert.equal(rows.length, 1)
  const [{ text, ...act } = { text: '' }] = rows
  assert.deepEqual(act, {
    act: 'edit',
    actor: 'jane',
    user_id: 1n,
    payment_id: null,
    before: { metadata: 'set' },
    after: { metadata: 'set' },
  })
  assert.ok(!text.includes('secret'))
})

test('opening and changing a user needs write, reading one read, erasing one operate', () => {
  assert.equal(scopeOf('/api/v1/users', 'POST'), 'write')
  assert.equal(scopeOf('/api/v1/users/:id', 'PATCH'), 'write')
  assert.equal(scopeOf('/api/v1/users', 'GET'), 'read')
  assert.equal(scopeOf('/api/v1/users/:id/erase', 'POST'), 'operate')
})
