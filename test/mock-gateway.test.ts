import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../src/adapters/clock.ts'
import { httpGateway } from '../src/gateways/http-gateway.ts'
import { draw, FAULTS_DEFAULT, changeFaults } from '../src/mock-gateway/faults.ts'
import type { Fault } from '../src/mock-gateway/faults.ts'
import { REQUESTS_MAX } from '../src/mock-gateway/journal.ts'
import type { Order } from '../src/mock-gateway/orders.ts'
import { mockGateway } from '../src/mock-gateway/server.ts'
import { seededRandom } from '../src/domain/random.ts'
import { FAULTS_NONE, serveMock, type MockServer } from './mock-server.ts'
import { profileOf } from './profiles.ts'

const ORDER: Order = {
  key: 'k1',
  paymentId: 1,
  userId: 2,
  amount: 20_050n,
  commission: 401n,
  type: 'deposit',
}
const BODY = { payment_id: 1, user_id: 2, amount: 200.5, commission: 4.01, type: 'deposit' }

/** Send JSON and read JSON. */
async function send(method: string, url: string, body?: unknown, key?: string) {
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  }
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(url, { method, headers, ...sent })
  const text = await response.text()
  // Whatever the routes answer is compared field by field by the tests.
  const json = (text === '' ? null : JSON.parse(text)) as Record<string, unknown>
  return { status: response.status, headers: response.headers, json }
}

const pay = ({ url }: MockServer, body: unknown = BODY, key: string | undefined = 'k1') =>
  send('POST', `${url}/pay`, body, key)

const EXECUTED: Readonly<Record<Fault, 0 | 1>> = {
  timeout_before: 0,
  timeout_after: 1,
  late_execute: 1,
  error_before: 0,
  error_after: 1,
  rate_limited: 0,
  decline: 0,
  reset_before: 0,
  reset_after: 1,
  truncated: 1,
  wrong_body: 1,
  wrong_amount: 1,
  slow_drip: 1,
  pending: 1,
  rejected: 0,
  wrong_credential: 0,
  asks_payer: 0,
}

for (const fault of Object.keys(EXECUTED) as Fault[]) {
  test(`under ${fault} a key is charged at most once, however often it is sent`, async (t) => {
    const { url, mock } = await serveMock(t, { [fault]: 1, timeout_ms: 5, late_ms: 1 })
    const profile = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' } as const
    const common = {
      timeoutMs: 20_000,
      connections: 4,
      clock: systemClock,
      profile: profileOf(profile),
      untold: 'USD',
      echo: 'required' as const,
    }
    const gateway = httpGateway({ url, ...common })
    t.after(() => gateway.close())
    const ids = { paymentId: 1n, userId: 2n }
    const request = {
      ...ORDER,
      ...ids,
      kind: 'charge',
      key: 'k1',
      exponent: 2,
      currency: 'USD',
    } as const

    for (let times = 0; times < 3; times++) {
      const { outcome } = await gateway.execute(request)
      const wholeAfterAll = fault === 'timeout_after' || fault === 'slow_drip'
      // What is pending succeeds when it is executed, and that may be meanwhile.
      if (fault !== 'pending') assert.equal(outcome.kind === 'success', wholeAfterAll)
    }
    if (fault !== 'pending') assert.equal(mock.audit().executed, EXECUTED[fault])

    mock.setFaults(FAULTS_NONE)
    let { outcome } = await gateway.execute(request)
    // Its key is refused until it is executed, a millisecond after it was taken.
    while (fault === 'pending' && outcome.kind === 'in_doubt') {
      outcome = (await gateway.execute(request)).outcome
    }
    if (fault === 'asks_payer') {
      assert.equal(outcome.kind, 'pending')
      assert.ok(mock.decide('k1', 'yes'))
      outcome = (await gateway.execute(request)).outcome
    }
    assert.equal(outcome.kind, fault === 'decline' ? 'declined' : 'success')
    assert.equal(mock.audit().executed, fault === 'decline' ? 0 : 1)
    assert.deepEqual(mock.audit().chargedTwice, [])
    assert.deepEqual((await gateway.lookup(request)).outcome, outcome)
  })
}

test('a success echoes the order', async (t) => {
  const { status, json } = await pay(await serveMock(t))
  assert.equal(status, 200)
  const { gateway_ref, ...echo } = json
  assert.match(String(gateway_ref), /^gw_/)
  assert.deepEqual(echo, {
    status: 'success',
    payment_id: 1,
    amount: 200.5,
    idempotency_key: 'k1',
  })
})

test('a key with another body is refused and charges nothing', async (t) => {
  const server = await serveMock(t)
  await pay(server)
  for (const change of [{ amount: 1 }, { payment_id: 9 }, { user_id: 9 }, { type: 'withdraw' }]) {
    const { status, json } = await pay(server, { ...BODY, ...change })
    assert.deepEqual([status, json.code], [422, 'idempotency_key_reuse'])
  }
  const { executed, conflicts } = server.mock.audit()
  assert.deepEqual([executed, conflicts], [1, 4])
})

test('a late charge is pending until it is executed, and its key is refused meanwhile', async (t) => {
  const server = await serveMock(t, { late_execute: 1, timeout_ms: 1, late_ms: 60_000 })
  assert.equal((await pay(server)).status, 504)
  const inProgress = { status: 'error', code: 'in_progress', idempotency_key: 'k1' }
  assert.deepEqual((await pay(server)).json, inProgress)
  const { json } = await send('GET', `${server.url}/payments/k1`)
  assert.deepEqual(json, { status: 'pending', idempotency_key: 'k1' })
  assert.equal(server.mock.audit().executed, 0)
})

test('a rate limit says when to come back', async (t) => {
  const { status, headers } = await pay(
    await serveMock(t, { rate_limited: 1, retry_after_seconds: 7 }),
  )
  assert.deepEqual([status, headers.get('retry-after')], [429, '7'])
})

test('a lookup of an unknown key is 404, and 502 when that fault is set', async (t) => {
  const server = await serveMock(t)
  assert.equal((await send('GET', `${server.url}/payments/nope`)).status, 404)
  await send('PUT', `${server.url}/faults`, { lookup_errors: 1 })
  assert.equal((await send('GET', `${server.url}/payments/nope`)).status, 502)
})

test('the audit finds a double charge made without a key', async (t) => {
  const server = await serveMock(t)
  await pay(server, BODY, 'k1')
  await pay(server, BODY, 'k1')
  assert.equal((await send('GET', `${server.url}/audit`)).json.charged_twice_count, 0)

  await fetchWithoutKey(server)
  await fetchWithoutKey(server)
  const { json } = await send('GET', `${server.url}/audit`)
  assert.equal(json.executed, 3)
  assert.equal(json.executed_amount, '601.50')
  assert.equal(json.distinct_payments, 1)
  assert.equal(json.duplicates_refused, 1)
  assert.equal(json.charged_twice_count, 1)
  const [twice] = json.charged_twice as { payment_id: number; charges: object[] }[]
  assert.equal(twice?.payment_id, 1)
  assert.equal(twice?.charges.length, 3)
})

function fetchWithoutKey({ url }: MockServer) {
  return send('POST', `${url}/pay`, BODY)
}

test('faults change while it runs, one by one, and a wrong change changes none', async (t) => {
  const server = await serveMock(t)
  assert.equal((await pay(server)).status, 200)
  const turned = await send('PUT', `${server.url}/faults`, { error_before: 1 })
  assert.deepEqual(turned.json, { ...FAULTS_NONE, error_before: 1 })
  assert.equal((await pay(server, BODY, 'k2')).status, 502)

  const wrong = [
    { error_before: 0, decline: 1.5 },
    { error_before: 0, latency_ms: -1 },
    { error_before: 0, timeout_ms: 1.5 },
    { error_before: 0, latency_ms: '5' },
    { error_before: 0, explode: 1 },
    { error_before: 0.6, decline: 0.6 },
    [],
  ]
  for (const change of wrong) {
    const refused = await send('PUT', `${server.url}/faults`, change)
    assert.deepEqual([refused.status, refused.json.code], [400, 'body_invalid'])
    const [{ pointer = 'none' } = {}] = refused.json.errors as { pointer?: string }[]
    assert.match(pointer, /^(\/[a-z_]+)?$/, JSON.stringify(change))
  }
  const { json } = await send('GET', `${server.url}/faults`)
  assert.deepEqual(json, { ...FAULTS_NONE, error_before: 1 })
  const back = await send('DELETE', `${server.url}/faults`)
  assert.deepEqual([back.status, back.json], [200, FAULTS_NONE])
  assert.equal((await pay(server, BODY, 'k3')).status, 200)
})

test('requests that are not of the contract are refused', async (t) => {
  const server = await serveMock(t)
  const refused: readonly (readonly [change: object, status: number])[] = [
    [{ amount: 0 }, 422],
    [{ amount: 0.001 }, 422],
    [{ amount: '200.50' }, 400],
    [{ commission: -1 }, 422],
    [{ payment_id: 0 }, 400],
    [{ payment_id: 1.5 }, 400],
    [{ type: 'refund' }, 400],
    [{ extra: 1 }, 400],
  ]
  for (const [change, status] of refused) {
    assert.equal((await pay(server, { ...BODY, ...change })).status, status, JSON.stringify(change))
  }
  assert.equal((await pay(server, BODY, 'two words')).status, 400)
  for (const query of ['limit=0', 'limit=501', 'limit=x', 'offset=-1', 'page=2']) {
    assert.equal((await send('GET', `${server.url}/journal?${query}`)).status, 400, query)
  }
  assert.equal(server.mock.audit().charges, 0)
})

test('the journal lists requests, newest first, with what was done about each', async (t) => {
  const server = await serveMock(t)
  await pay(server, BODY, 'k1')
  await pay(server, BODY, 'k1')
  await send('PUT', `${server.url}/faults`, { decline: 1 })
  await pay(server, { ...BODY, payment_id: 5 }, 'k5')
  const { json } = await send('GET', `${server.url}/journal?limit=2`)
  const rows = json.data as Record<string, unknown>[]
  assert.deepEqual(
    rows.map((seen) => ({ ...seen, at: null })),
    [
      row({ idempotency_key: 'k5', payment_id: 5, act: 'declined', fault: 'decline' }),
      row({ idempotency_key: 'k1', payment_id: 1, act: 'replayed', fault: null }),
    ],
  )
  const { json: rest } = await send('GET', `${server.url}/journal?offset=2`)
  assert.equal((rest.data as unknown[]).length, 1)
})

function row(fields: object) {
  return { at: null, amount: 200.5, type: 'deposit', ...fields }
}

test('requests are kept up to their bound, charges without one', () => {
  const mock = mockGateway({ clock: systemClock, faults: FAULTS_NONE })
  const count = REQUESTS_MAX + 500
  for (let id = 1; id <= count; id++) mock.pay({ ...ORDER, key: `k${id}`, paymentId: id })
  assert.equal(mock.requests(count, 0).length, REQUESTS_MAX)
  assert.equal(mock.requests(10, REQUESTS_MAX - 3).length, 3)
  assert.equal(mock.requests(1, 0)[0]?.paymentId, count)
  assert.equal(mock.audit().executed, count)
  assert.equal(mock.lookup('k1').kind, 'answer')
})

test('the same seed repeats a run exactly, and another seed does not', () => {
  const run = (seed: number) => {
    const mock = mockGateway({ clock: systemClock, seed, faults: { latency_jitter_ms: 9 } })
    const replies = Array.from({ length: 300 }, (_, id) =>
      mock.pay({ ...ORDER, key: `k${id % 200}`, paymentId: (id % 200) + 1 }),
    )
    mock.reset()
    const again = Array.from({ length: 300 }, (_, id) =>
      mock.pay({ ...ORDER, key: `k${id % 200}`, paymentId: (id % 200) + 1 }),
    )
    assert.deepEqual(again, replies)
    return replies
  }
  assert.deepEqual(run(42), run(42))
  assert.notDeepEqual(run(42), run(43))
})

test('the default faults give 10 % timeouts, 25 % errors and 65 % that go well', () => {
  const random = seededRandom(7)
  const counts: Record<string, number> = {}
  for (let draws = 0; draws < 100_000; draws++) {
    const fault = draw(FAULTS_DEFAULT, random).fault ?? 'none'
    counts[fault] = (counts[fault] ?? 0) + 1
  }
  const share = (...faults: string[]) =>
    Math.round(faults.reduce((sum, fault) => sum + (counts[fault] ?? 0), 0) / 1_000)
  assert.equal(share('timeout_before', 'timeout_after'), 10)
  assert.equal(share('error_before', 'error_after'), 25)
  assert.equal(share('none'), 65)
})

test('chances that add up to exactly 1 are taken', () => {
  const tenths = { ...FAULTS_NONE, error_before: 0.1, decline: 0.7, rate_limited: 0.2 }
  assert.equal(changeFaults(FAULTS_NONE, tenths).ok, true)
  assert.equal(changeFaults(FAULTS_NONE, { ...tenths, reset_after: 0.001 }).ok, false)
  assert.equal(changeFaults(FAULTS_NONE, { constructor: 1 }).ok, false)
  assert.equal(changeFaults(FAULTS_NONE, { decline: Number.NaN }).ok, false)
})

test('chances that are not named give way to those that are, in proportion', () => {
  const turned = changeFaults(FAULTS_DEFAULT, { decline: 1 })
  assert.deepEqual(turned, { ok: true, faults: { ...FAULTS_NONE, decline: 1 } })
  const half = changeFaults(
    { ...FAULTS_NONE, error_before: 0.6, reset_after: 0.2 },
    { decline: 0.6 },
  )
  const expected = { error_before: 0.3, reset_after: 0.1, decline: 0.6 }
  for (const [name, share] of Object.entries(expected)) {
    const chance = half.ok ? half.faults[name as Fault] : 0
    assert.ok(Math.abs(chance - share) < 1e-9, `${name} is ${chance}`)
  }
  const untouched = changeFaults(FAULTS_DEFAULT, { decline: 0.5 })
  assert.deepEqual(untouched, { ok: true, faults: { ...FAULTS_DEFAULT, decline: 0.5 } })
})

function journalPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mock-gateway-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'journal.jsonl')
}

test('charges and declines survive a restart, and so do double charges', async (t) => {
  const path = journalPath(t)
  const first = await serveMock(t, {}, path)
  const paid = await pay(first, BODY, 'k1')
  first.mock.setFaults({ decline: 1 })
  const declined = await pay(first, { ...BODY, payment_id: 2 }, 'k"2')
  first.mock.setFaults({ decline: 0 })
  await fetchWithoutKey(first)
  const audit = first.mock.audit()
  // The file is complete before a reply leaves, so a process that is killed here loses nothing.
  const second = await serveMock(t, {}, path)
  assert.deepEqual(second.mock.audit(), { ...audit, duplicatesRefused: 0 })
  assert.equal(second.mock.audit().chargedTwice.length, 1)
  assert.deepEqual((await pay(second, BODY, 'k1')).json, paid.json)
  const again = await pay(second, { ...BODY, payment_id: 2 }, 'k"2')
  assert.deepEqual([again.status, again.json], [402, declined.json])
  assert.equal(second.mock.audit().executed, audit.executed)
})

test('a reset forgets everything, in the file too, and keeps the faults', async (t) => {
  const path = journalPath(t)
  const server = await serveMock(t, { late_execute: 0.5, late_ms: 60_000, timeout_ms: 1 }, path)
  for (let id = 1; id <= 20; id++) await pay(server, { ...BODY, payment_id: id }, `k${id}`)
  assert.equal((await send('POST', `${server.url}/reset`)).status, 204)
  const { charges, executed, chargedTwice } = server.mock.audit()
  assert.deepEqual([charges, executed, chargedTwice.length], [0, 0, 0])
  assert.equal(server.mock.requests(10, 0).length, 0)
  assert.equal(server.mock.faults().late_execute, 0.5)
  assert.equal(readFileSync(path, 'utf8'), '')
  await send('PUT', `${server.url}/faults`, { late_execute: 0 })
  assert.equal((await pay(server)).status, 200)
})

test('a journal that cannot be written charges nothing', async (t) => {
  const path = journalPath(t)
  const mock = mockGateway({ clock: systemClock, faults: FAULTS_NONE, journalPath: path })
  mock.pay(ORDER)
  mock.close()
  const reply = mock.pay({ ...ORDER, key: 'k2' })
  assert.equal(reply.kind === 'answer' && reply.status, 503)
  assert.equal(mock.audit().executed, 1)
})

test('closing lets go of held replies and drops late charges', async (t) => {
  const hold = { timeout_ms: 60_000, late_ms: 60_000 }
  const server = await serveMock(t, { timeout_after: 0.5, late_execute: 0.5, ...hold })
  const calls = Array.from({ length: 20 }, (_, id) =>
    pay(server, { ...BODY, payment_id: id + 1 }, `k${id}`),
  )
  while (server.mock.requests(20, 0).length < 20) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  // Only the test runner's timeout would end these calls if closing did not.
  await server.close()
  const statuses = new Set((await Promise.all(calls)).map(({ status }) => status))
  assert.deepEqual([...statuses].sort(), [200, 504])
})

test('a wrong fault at the start is an error', () => {
  assert.throws(() => mockGateway({ clock: systemClock, faults: { decline: 2 } }), /out_of_range/)
})
