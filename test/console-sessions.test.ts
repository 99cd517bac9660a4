import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { newKey, type Scope } from '../src/domain/api-key.ts'
import { sessionChecker } from '../src/keys/check.ts'
import { findSessions, listSessions, useSession } from '../src/keys/sessions-store.ts'
import { sessionToken } from '../src/http/session-cookie.ts'
import { signIn } from '../src/keys/sessions.ts'
import { insertKey, revokeKey } from '../src/keys/store.ts'
import { cloneDatabase } from './databases.ts'
import { manualClock, openDb, raw } from './harness.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'

const MINUTE_MS = 60_000
const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' }

/** A service that anyone could reach, and ways to make keys and to sign in with them. */
async function guarded(t: TestContext) {
  const service = await serve(t, { HOST: '0.0.0.0' })
  const { global: db } = openDb(t, service.database)
  const make = async (...scopes: Scope[]) => {
    const key = newKey(randomBytes)
    await insertKey(db, key, 'jane', scopes)
    return key
  }
  const enter = async (token: string, headers: Record<string, string> = SAME_ORIGIN) => {
    const answer = await service.call('POST', '/session', { key: token }, headers)
    const [set = ''] = answer.headers.getSetCookie()
    return { answer, set, cookie: set.split(';')[0] ?? '' }
  }
  return { ...service, db, make, enter }
}

/** A database of its own with a key, and a clock that moves only when told. */
async function stored(t: TestContext) {
  const clock = manualClock()
  const { global: db } = openDb(t, await cloneDatabase(t), { clock })
  const key = newKey(randomBytes)
  await insertKey(db, key, 'jane', ['read', 'operate'])
  const inForce = async (id: string) => (await findSessions(db, [id])).length === 1
  return { db, clock, key, inForce }
}

test('a key is exchanged for a cookie that does what the key may, and no script can read', async (t) => {
  const { call, make, enter } = await guarded(t)
  const key = await make('read')
  const { answer, set, cookie } = await enter(key.token)
  assert.equal(answer.status, 200)
  assert.match(
    set,
    /^payments_session=ses_[a-z0-9]{12}_[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/,
  )
  assert.ok(!answer.text.includes('ses_'), 'the token is in the cookie alone')
  assert.deepEqual(answer.body['scopes'], ['read'])

  const who = await call('GET', '/session', undefined, { cookie })
  assert.deepEqual(
    { ...who.body, session_id: null, expires_at: null },
    {
      authenticated: true,
      keys_required: true,
      session_id: null,
      key_id: key.id,
      key_name: 'jane',
      scopes: ['read'],
      expires_at: null,
      service: {
        title: 'Payment Service',
        version: '0.1.0',
        environment: 'local',
        currency: 'USD',
        mock_gateway: true,
      },
    },
  )
  assert.equal((await call('GET', '/payments', undefined, { cookie })).status, 200)
  const acting = { cookie, ...SAME_ORIGIN }
  for (const [method, path] of [
    ['POST', '/users'],
    ['POST', '/dlq/1/resolve'],
    ['POST', '/payments/1/refunds'],
  ] as const) {
    const refused = await call(method, path, {}, acting)
    assert.deepEqual([refused.status, refused.body['code']], [403, 'forbidden'], path)
  }
  assert.equal((await call('GET', '/sessions', undefined, { cookie })).status, 403)
})

test('over https the cookie is kept to this host, and to https', async (t) => {
  const { call, make, enter } = await guarded(t)
  const { token } = await make('read')
  const { set, cookie } = await enter(token, { ...SAME_ORIGIN, origin: 'https://pay.example' })
  assert.match(
    set,
    /^__Host-payments_session=ses_.*; Path=\/; .*HttpOnly; SameSite=Strict; Secure$/,
  )
  const mixed = `payments_session=ses_x; ${cookie}`
  assert.equal((await call('GET', '/payments', undefined, { cookie: mixed })).status, 200)
})

/** What tells that a browser speaks https, and what does not. */
const SPEAKS: readonly (readonly [headers: Record<string, string>, https: boolean])[] = [
  [{}, false],
  [{ 'sec-fetch-site': 'same-origin' }, true],
  [{ 'sec-fetch-site': 'none' }, true],
  [{ 'x-forwarded-proto': 'https' }, true],
  [{ origin: 'https://pay.example' }, true],
  [{ origin: 'null', 'sec-fetch-site': 'same-origin' }, true],
  [{ origin: 'http://pay.example' }, false],
  [{ host: 'localhost:8000', 'sec-fetch-site': 'same-origin' }, false],
  [{ host: 'pay.localhost', 'sec-fetch-site': 'same-origin' }, false],
  [{ host: '[::1]:8000', 'sec-fetch-site': 'same-origin' }, false],
]

test('over https a cookie that another site of the domain may have set is not believed', () => {
  for (const [given, https] of SPEAKS) {
    const token = (cookie: string) => {
      const headers = { host: 'pay.example', ...given, cookie }
      return sessionToken({ headers } as unknown as IncomingMessage)
    }
    const said = JSON.stringify(given)
    assert.equal(token('payments_session=planted'), https ? null : 'planted', said)
    const both = 'payments_session=planted; __Host-payments_session=own'
    assert.equal(token(both), 'own', said)
  }
})

test('strangers are told to sign in and nothing else, and a wrong key signs nobody in', async (t) => {
  const { call, make, enter } = await guarded(t)
  const stranger = await call('GET', '/session')
  assert.equal(stranger.status, 200)
  const { authenticated, scopes, service, key_id: keyId } = stranger.body
  assert.deepEqual([authenticated, scopes, keyId], [false, [], null])
  assert.deepEqual(service, {
    title: 'Payment Service',
    version: '0.1.0',
    environment: null,
    currency: null,
    mock_gateway: true,
  })
  const { token } = await make('read')
  for (const wrong of [newKey(randomBytes).token, `${token.slice(0, -3)}AAA`, 'x', `${token}x`]) {
    const { answer, set } = await enter(wrong)
    assert.deepEqual([answer.status, answer.body['code'], set], [401, 'unauthorized', ''])
  }
  const bearer = { authorization: `Bearer ${newKey(randomBytes).token}` }
  assert.equal((await call('GET', '/session', undefined, bearer)).status, 401)
})

test('guessing keys by signing in is limited as any guessing is', async (t) => {
  const { call } = await guarded(t)
  const statuses = new Set<number>()
  for (let tried = 0; tried < 40; tried += 1) {
    const body = { key: newKey(randomBytes).token }
    statuses.add((await call('POST', '/session', body)).status)
  }
  assert.deepEqual([...statuses], [401, 429])
})

/** How a request says where it comes from, and whether it may change something by a cookie. */
const FROM: readonly (readonly [headers: Record<string, string>, allowed: boolean])[] = [
  [{ 'sec-fetch-site': 'same-origin' }, true],
  [{ origin: 'OWN' }, true],
  [{ origin: 'OWN', 'sec-fetch-site': 'same-origin' }, true],
  [{}, false],
  [{ 'sec-fetch-site': 'none' }, false],
  [{ 'sec-fetch-site': 'same-site' }, false],
  [{ 'sec-fetch-site': 'cross-site' }, false],
  [{ 'sec-fetch-site': 'cross-site', origin: 'OWN' }, false],
  [{ 'sec-fetch-site': 'same-origin, same-origin' }, false],
  [{ origin: 'http://evil.example' }, false],
  [{ origin: 'null' }, false],
]

test('with a cookie nothing is changed but by a page of this service', async (t) => {
  const { url, call, make, enter, db } = await guarded(t)
  const { token } = await make('read', 'write')
  const { cookie } = await enter(token)
  let opened = 0n
  for (const [given, allowed] of FROM) {
    const headers = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value === 'OWN' ? url : value]),
    )
    const answer = await call('POST', '/users', { balance: 1 }, { ...headers, cookie })
    const refused = [403, 'origin_refused']
    const said = [answer.status, answer.body['code']]
    assert.deepEqual(said, allowed ? [201, undefined] : refused, JSON.stringify(given))
    if (allowed) opened += 1n
  }
  const [row] = await db.run(raw<{ count: bigint }>('select count(*) from users'), [])
  assert.equal(row?.count, opened)
  for (const site of ['cross-site', 'same-site']) {
    const answer = await call('GET', '/payments', undefined, { cookie, 'sec-fetch-site': site })
    assert.equal(answer.body['code'], 'origin_refused')
  }
})

test('no other site signs anybody in or out, and two cookies of one name count for none', async (t) => {
  const { call, make, enter } = await guarded(t)
  const { token } = await make('read')
  const foreign = { 'sec-fetch-site': 'cross-site' }
  assert.equal((await enter(token, foreign)).answer.body['code'], 'origin_refused')
  const { cookie } = await enter(token)
  for (const headers of [{ cookie }, { cookie, ...foreign }]) {
    assert.equal((await call('DELETE', '/session', undefined, headers)).status, 403)
  }
  assert.equal((await call('GET', '/payments', undefined, { cookie })).status, 200)
  const twice = `${cookie}; payments_session=ses_other`
  assert.equal((await call('GET', '/payments', undefined, { cookie: twice })).status, 401)
})

test('signing out ends the session and takes the cookie back', async (t) => {
  const { call, make, enter } = await guarded(t)
  const { cookie } = await enter((await make('read')).token)
  const out = await call('DELETE', '/session', undefined, { cookie, ...SAME_ORIGIN })
  assert.equal(out.status, 204)
  assert.deepEqual(
    out.headers.getSetCookie().map((set) => set.split('; ').slice(0, 3)),
    ['__Host-payments_session', 'payments_session'].map((name) => [
      `${name}=`,
      'Path=/',
      'Max-Age=0',
    ]),
  )
  assert.equal((await call('GET', '/payments', undefined, { cookie })).status, 401)
  assert.equal((await call('GET', '/session', undefined, { cookie })).body['authenticated'], false)
})

test('operators see who is signed in, end sessions, and revoke keys with their sessions', async (t) => {
  const { call, make, enter } = await guarded(t)
  const [boss, clerk] = [await make('read', 'operate'), await make('read', 'write')]
  const own = { cookie: (await enter(boss.token)).cookie, ...SAME_ORIGIN }
  const [first, second] = [await enter(clerk.token), await enter(clerk.token)]
  const list = async () => (await call('GET', '/sessions', undefined, own)).body['data'] as Listed[]
  const all = await list()
  assert.deepEqual(
    all.map(({ key_id: id, current }) => [id, current]),
    [
      [clerk.id, false],
      [clerk.id, false],
      [boss.id, true],
    ],
  )
  const ofFirst = String(first.answer.body['session_id'])
  assert.equal((await call('DELETE', `/sessions/${ofFirst}`, undefined, own)).status, 204)
  const again = await call('DELETE', `/sessions/${ofFirst}`, undefined, own)
  assert.deepEqual([again.status, again.body['code']], [404, 'session_not_found'])
  const asks = async (cookie: string) => (await call('GET', '/users', undefined, { cookie })).status
  assert.equal(await asks(first.cookie), 401)
  assert.equal(await asks(second.cookie), 200)

  const revoked = await call('DELETE', `/keys/${clerk.id}`, undefined, own)
  assert.equal(revoked.status, 200)
  assert.notEqual(revoked.body['revoked_at'], null)
  await until('the session has ended', async () => (await asks(second.cookie)) === 401)
  assert.equal((await list()).length, 1)
  const keys = (await call('GET', '/keys', undefined, own)).body['data'] as Listed[]
  assert.deepEqual(new Set(keys.map(({ id }) => id)), new Set([boss.id, clerk.id]))
  for (const id of ['zzzzzzzzzzzz', 'x', '%00', `${clerk.id}%0a`]) {
    assert.equal(
      (await call('DELETE', `/keys/${id}`, undefined, own)).body['code'],
      'key_not_found',
    )
  }
})

interface Listed {
  readonly id: string
  readonly key_id: string
  readonly current: boolean
}

test('on a loopback address nobody signs in, and everything may be done', async (t) => {
  const { call } = await serve(t)
  for (const answer of [
    await call('GET', '/session'),
    await call('POST', '/session', { key: 'x' }),
  ]) {
    const { authenticated, keys_required: required, scopes } = answer.body
    assert.deepEqual([answer.status, authenticated, required], [200, true, false])
    assert.deepEqual(scopes, ['read', 'write', 'refund', 'operate'])
    assert.deepEqual(answer.headers.getSetCookie(), [])
  }
  assert.equal((await call('DELETE', '/session')).status, 204)
})

test('a session is over after twelve hours, however it was used', async (t) => {
  const { db, clock, key, inForce } = await stored(t)
  const { id } = await signIn(db, key.id)
  for (let minutes = 0; minutes < 12 * 60; minutes += 30) {
    assert.ok(await inForce(id), `${minutes} minutes`)
    await useSession(db, id)
    clock.advance(30 * MINUTE_MS)
  }
  assert.ok(!(await inForce(id)))
  await signIn(db, key.id)
  const [row] = await db.run(raw<{ count: bigint }>('select count(*) from console_sessions'), [])
  assert.equal(row?.count, 1n, 'what is over is forgotten when somebody signs in')
})

test('a session that nobody uses is over after an hour', async (t) => {
  const { db, clock, key, inForce } = await stored(t)
  const [used, idle] = [await signIn(db, key.id), await signIn(db, key.id)]
  clock.advance(59 * MINUTE_MS)
  await useSession(db, used.id)
  assert.ok(await inForce(idle.id))
  clock.advance(MINUTE_MS)
  assert.ok(!(await inForce(idle.id)))
  assert.ok(await inForce(used.id))
  assert.deepEqual(
    (await listSessions(db)).map(({ id }) => id),
    [used.id],
  )
})

test('a session ends with its key, within five seconds in every process', async (t) => {
  const { db, clock, key } = await stored(t)
  const { id, token } = await signIn(db, key.id)
  const checker = sessionChecker({ db, clock })
  assert.deepEqual(await checker.check(token), {
    ok: true,
    id: key.id,
    scopes: ['read', 'operate'],
    session: id,
  })
  await revokeKey(db, key.id)
  clock.advance(3_000)
  assert.deepEqual(await checker.check(token), { ok: false })
})

test('that a session is used is noted once a minute, by those who have its secret alone', async (t) => {
  const { db, clock, key } = await stored(t)
  const { id, token } = await signIn(db, key.id)
  const noted = async () => (await listSessions(db))[0]?.usedAt.getTime()
  const begun = await noted()
  clock.advance(2 * MINUTE_MS)
  const checker = sessionChecker({ db, clock })
  assert.deepEqual(await checker.check(`${token.slice(0, -4)}AAAA`), { ok: false })
  assert.equal(await noted(), begun)
  assert.equal((await checker.check(token)).ok, true)
  await until('it is noted', async () => (await noted()) === clock.now().getTime())
  assert.equal((await findSessions(db, [id]))[0]?.resting, false)
})

test('what a page asks by itself does not use a session, and an act does', async (t) => {
  const { db, clock, key, inForce } = await stored(t)
  const { id, token } = await signIn(db, key.id)
  const noted = async () => (await listSessions(db))[0]?.usedAt.getTime()
  const begun = await noted()
  const checker = sessionChecker({ db, clock })
  for (let minutes = 0; minutes < 58; minutes += 2) {
    clock.advance(2 * MINUTE_MS)
    assert.equal((await checker.check(token, false, true)).ok, true)
    assert.equal(checker.peek(token, true)?.ok, true)
  }
  assert.equal(await noted(), begun)
  assert.equal((await checker.check(token)).ok, true)
  await until('it is noted', async () => (await noted()) === clock.now().getTime())
  clock.advance(59 * MINUTE_MS)
  assert.ok(await inForce(id))
  assert.equal((await checker.check(token, false, true)).ok, true)
  clock.advance(MINUTE_MS)
  assert.equal((await checker.check(token, false, true)).ok, false)
})

test('of a session only a hash is stored, and a key has a hundred at most', async (t) => {
  const { db, clock, key } = await stored(t)
  const tokens: string[] = []
  for (let count = 0; count < 103; count += 1) {
    tokens.push((await signIn(db, key.id)).token)
    clock.advance(1)
  }
  const rows = await db.run(
    raw<{ text: string }>('select s::text as text from console_sessions s'),
    [],
  )
  assert.equal(rows.length, 100)
  for (const token of tokens) {
    assert.ok(rows.every(({ text }) => !text.includes(token.slice(-43))))
  }
  const checker = sessionChecker({ db, clock })
  assert.equal((await checker.check(tokens[2] ?? '')).ok, false)
  assert.equal((await checker.check(tokens[3] ?? '')).ok, true)
})

test('that a key has too many sessions ends none of another', async (t) => {
  const { db, clock, key, inForce } = await stored(t)
  const other = newKey(randomBytes)
  await insertKey(db, other, 'joe', ['read'])
  const first = await signIn(db, other.id)
  for (let count = 0; count < 101; count += 1) {
    clock.advance(1)
    await signIn(db, key.id)
  }
  assert.ok(await inForce(first.id))
})
