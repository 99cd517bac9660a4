import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ChargeOutcome } from '../src/domain/outcome.ts'
import type { Gateway } from '../src/ports.ts'
import { gateway, http, peer, REQUEST, SHORT_MS, success } from './misbehaving-peer.ts'
import { pagingProxy } from './paging-proxy.ts'
import { shop } from './shop.ts'
import { profileOf } from './profiles.ts'

const NAMED = http(200, '{"status":"success","idempotency_key":"pay_7"}')
const PAGE = http(429, '<h1>Slow down</h1>')
const LIMITED: ChargeOutcome = { kind: 'not_executed', reason: 'http_429', retryAfterMs: null }
const DOUBTED: ChargeOutcome = { ...LIMITED, unproven: true }
const LAST = 'connection: close\r\n'

/**
 * The second charge over a connection, by a peer that answers it with `second` and what is sent
 * behind it with `third`.
 */
async function secondCharge(t: TestContext, second: string, third: string | null) {
  const { url, requests, sockets } = await peer(t, (socket, _request, count) => {
    if (count === 3 && third === null) return socket.destroy()
    socket.write([NAMED, second, third ?? '', NAMED][count - 1] ?? '')
  })
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  assert.deepEqual((await client.execute(REQUEST)).outcome, success(null))
  const { outcome } = await client.execute(REQUEST)
  return { outcome, requests, sockets, client }
}

for (const [what, third] of [
  ['is refused by the same page', http(429, '<h1>Slow down</h1>', LAST)],
  ['is refused by another page', http(401, '', LAST)],
  ['is refused in our own words', http(404, '{"status":"rejected","code":"not_found"}', LAST)],
  [
    'is refused with our name',
    http(404, '{"status":"rejected","code":"not_found","idempotency_key":"pay_7"}', LAST),
  ],
] as const) {
  test(`a refusal that names nobody is believed when what is sent behind it ${what}`, async (t) => {
    const { outcome, requests, sockets, client } = await secondCharge(t, PAGE, third)
    assert.deepEqual(outcome, LIMITED)
    assert.equal(requests.length, 3)
    assert.match(requests[2] ?? '', /^GET \/base\/payments\/pay_7 HTTP\/1.1\r\n/)
    assert.match(requests[2] ?? '', /\r\nconnection: close\r\n/)
    assert.equal(sockets.length, 1, 'it goes over the same connection')
    assert.deepEqual((await client.lookup(REQUEST)).outcome, success(null))
    assert.equal(sockets.length, 2, 'and nothing goes behind it')
  })
}

for (const [what, second, third] of [
  ['and may not be the last', PAGE, http(429, '')],
  ['with a yes', PAGE, http(200, '{"status":"success","idempotency_key":"pay_7"}', LAST)],
  ['with a no', PAGE, http(402, '{"status":"failed","idempotency_key":"pay_7"}', LAST)],
  ['with a failure', PAGE, http(502, '', LAST)],
  ['about another payment', PAGE, http(404, '{"status":"rejected","payment_id":8}', LAST)],
  ['with a broken one', PAGE, 'HTTP/1.1 429 X\r\nconnection: close\r\ncontent-length: 9\r\n\r\n'],
  ['by nobody', PAGE, null],
  // What is ours comes right behind what is not.
  ['before it was asked for', PAGE + NAMED, ''],
  ['before it was asked for, in the same words', PAGE + PAGE, ''],
] as const) {
  test(`a refusal that names nobody proves nothing when it is followed by a reply ${what}`, async (t) => {
    const broken = third?.endsWith('9\r\n\r\n')
    const { outcome } = broken
      ? await cutShort(t, second, third ?? '')
      : await secondCharge(t, second, third)
    assert.deepEqual(outcome, DOUBTED)
  })
}

/** The reply to what is sent behind ends in the middle. */
async function cutShort(t: TestContext, second: string, third: string) {
  const { url } = await peer(t, (socket, _request, count) => {
    if (count === 3) return socket.end(third)
    socket.write(count === 1 ? NAMED : second)
  })
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  await client.execute(REQUEST)
  return client.execute(REQUEST)
}

test('where the connection ends behind a refusal that names nobody, no other one proves it', async (t) => {
  const { url, requests } = await peer(t, (socket, request, count) => {
    if (request.startsWith('GET')) {
      return socket.write(http(404, '{"status":"rejected","code":"not_found"}', LAST))
    }
    if (count === 1) return socket.write(NAMED)
    // Both have arrived before anything is sent behind it.
    socket.write(PAGE)
    return socket.resetAndDestroy()
  })
  const client = gateway(t, url, { echo: 'required', connections: 1 })
  await client.execute(REQUEST)
  assert.deepEqual((await client.execute(REQUEST)).outcome, DOUBTED)
  assert.equal(requests.length, 2, 'nothing is asked over another connection')
})

test('nothing is sent behind a refusal that is the last on its connection, and it proves nothing', async (t) => {
  const { outcome, requests } = await secondCharge(t, http(429, '', LAST), '')
  assert.deepEqual(outcome, DOUBTED)
  assert.equal(requests.length, 2)
})

test('what is sent behind a refusal ends within the deadline of the charge, which stays in doubt', async (t) => {
  const { url } = await peer(t, (socket, _request, count) => {
    if (count < 3) socket.write(count === 1 ? NAMED : PAGE)
  })
  const client = gateway(t, url, { echo: 'required', connections: 1, timeoutMs: SHORT_MS })
  await client.execute(REQUEST)
  assert.deepEqual((await client.execute(REQUEST)).outcome, DOUBTED)
})

test('a charge whose own reply comes behind another’s page is never taken for refused', async (t) => {
  for (const together of [true, false]) {
    for (const surplus of [PAGE, http(401, ''), http(404, '<h1>Nobody</h1>')]) {
      // It is executed, and a page that was meant for an earlier request comes in its place.
      const { url, sockets } = await peer(t, (socket, request, count) => {
        if (request.startsWith('GET')) return socket.write(NAMED + http(404, '', LAST))
        if (count === 1) return socket.write(NAMED)
        socket.write(together ? surplus + NAMED : surplus)
      })
      const client = gateway(t, url, { echo: 'required', connections: 1 })
      await client.execute(REQUEST)
      const { outcome } = await client.execute(REQUEST)
      assert.ok('unproven' in outcome && outcome.unproven === true, JSON.stringify(outcome))
      assert.equal(sockets.length, 1)
    }
  }
})

/** A gateway of whose lookups only a yes or a no is proof, as most are. */
function eventual(t: TestContext, url: string): Gateway {
  const profile = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' } as const
  return gateway(t, url, { echo: 'required', profile: profileOf(profile) })
}

for (const closes of [false, true]) {
  const how = closes ? 'closes its connections' : 'keeps its connections'
  test(`behind a proxy that refuses every other request and ${how} every withdrawal succeeds once`, async (t) => {
    const proxy = await pagingProxy(t)
    const own = await shop(t, eventual(t, proxy.url))
    proxy.closes = closes
    for (let payment = 0; payment < 100; payment += 1) await own.pay('withdraw')
    proxy.page = () => (proxy.seen.requests % 2 === 0 ? 429 : null)
    for (let second = 0; second < 600; second += 1) await own.second()
    assert.deepEqual(await own.statuses(), { 'withdraw success': 100 })
    assert.deepEqual([...proxy.executed.values()], Array(100).fill(1))
    assert.deepEqual(await own.sql('select id from dead_letters'), [])
  })
}

test('a refusal that may be another’s is kept as evidence of a doubt', async (t) => {
  const proxy = await pagingProxy(t)
  const own = await shop(t, eventual(t, proxy.url))
  await own.pay('withdraw')
  await own.second()
  Object.assign(proxy, { closes: true, page: () => 429 })
  const id = await own.pay('withdraw')
  await own.second()
  const kept = await own.sql('select outcome, reason from payment_attempts where payment_id = $1', [
    id,
  ])
  assert.deepEqual(kept, [{ outcome: 'in_doubt', reason: 'http_429' }])
  assert.deepEqual(
    await own.sql('select tries, doubt_at is not null as doubt from payment_tasks'),
    [{ tries: 0, doubt: true }],
  )
})

test('payments refused by pages for longer than their keys live all succeed when the credential is right', async (t) => {
  const proxy = await pagingProxy(t)
  const own = await shop(t, eventual(t, proxy.url))
  // Connections that have carried others.
  for (let payment = 0; payment < 20; payment += 1) await own.pay('withdraw')
  await own.second()
  assert.deepEqual(await own.statuses(), { 'withdraw success': 20 })
  proxy.page = () => 401
  for (let payment = 0; payment < 62; payment += 1) await own.pay('withdraw')
  for (let second = 0; second < 600; second += 1) {
    await own.second()
    own.clock.advance(9_000)
  }
  assert.deepEqual(await own.statuses(), { 'withdraw success': 20, 'withdraw new': 62 })
  proxy.page = () => null
  for (let second = 0; second < 60; second += 1) await own.second()
  assert.deepEqual(await own.statuses(), { 'withdraw success': 82 })
  assert.deepEqual(await own.sql('select id from dead_letters'), [])
  assert.equal(own.alerts.filter(({ kind }) => kind === 'misconfigured').length, 1)
})

test('a payment that alone is refused by pages, for good, ends as rejected, and no other is later for it', async (t) => {
  const proxy = await pagingProxy(t)
  const own = await shop(t, eventual(t, proxy.url))
  const ids: bigint[] = []
  for (let payment = 0; payment < 200; payment += 1) ids.push(await own.pay('withdraw'))
  const odd = ids[150] ?? 0n
  proxy.page = ({ paymentId }) => (paymentId === odd ? 404 : null)
  for (let second = 0; second < 10; second += 1) await own.second()
  assert.deepEqual(await own.statuses(), { 'withdraw success': 199, 'withdraw new': 1 })
  // Others go on, over connections that are kept.
  for (let second = 0; second < 1_200; second += 1) {
    if (second % 10 === 0) await own.pay('withdraw')
    await own.second()
  }
  const view = await own.view(odd)
  assert.deepEqual([view.status, view.lastError], ['failed', 'rejected'])
  assert.deepEqual(await own.statuses(), { 'withdraw success': 199 + 120, 'withdraw failed': 1 })
  assert.deepEqual(own.alerts, [])
})
