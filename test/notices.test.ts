import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import http from 'node:http'
import { test, type TestContext } from 'node:test'
import fastify from 'fastify'
import { systemClock } from '../src/adapters/clock.ts'
import { noticeDesk } from '../src/charging/notice-desk-routes.ts'
import { noticeRoutes } from '../src/charging/notice-routes.ts'
import { readHttpNotice } from '../src/gateways/http-notice.ts'
import { readYookassaNotice } from '../src/gateways/yookassa-notice.ts'
import { callers } from '../src/http/caller.ts'
import { Problem } from '../src/http/problem.ts'
import type { Notice, RawNotice } from '../src/ports.ts'
import { hurryTask, rescheduleTasks } from '../src/queue/store.ts'
import { query } from './databases.ts'
import { queueOf } from './queue-kit.ts'
import { serve } from './serve.ts'

const CHARGES = { gateway: 'http', operation: 'charge' } as const
const END = {
  paymentId: 1n,
  delayMs: 60_000,
  lookups: 0,
  pendings: 1,
  tries: 0,
  sent: 1,
  doubted: false,
  unsent: false,
  refused: false,
  reason: 'pending',
  action: null,
}
const HAND = { run_at: 60_000, pendings: 2, pending_at: -9 }

test('a notice makes the question about a payment in hand come at once, and again ten seconds later', async (t) => {
  const { world, shard, put, rows } = await queueOf(t)
  await put({ payment_id: 1, ...HAND })
  assert.equal(await hurryTask(shard, 1n, CHARGES), true)
  assert.deepEqual((await rows())['0/1'], { pendings: 1, pending_at: -9, asked_at: 0 })
  // The question was asked; nothing came of it.
  await shard.transaction(async (tx) => {
    await tx.run(
      {
        name: 'x',
        text: `
        update payment_tasks
        set run_at = run_at + interval '60 s', pendings = pendings + 1
        where shard = $1`,
      },
      [],
    )
  })
  world.clock.advance(1)
  assert.equal(await hurryTask(shard, 1n, CHARGES), true)
  const soon = { pendings: 1, pending_at: -9, asked_at: 10_000, run_at: 10_000 }
  assert.deepEqual((await rows())['0/1'], soon)
  assert.equal(await hurryTask(shard, 1n, CHARGES), false, 'it is to be asked about already')
  assert.deepEqual((await rows())['0/1'], soon)
})

test('notices do not advance the delays of questions, however many come', async (t) => {
  const { world, shard, put, rows, write } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: 60_000, pendings: 3, pending_at: -9 },
    { payment_id: 2, run_at: 60_000, lookups: 3, doubt_at: -9 },
    { payment_id: 3, run_at: 60_000, pendings: 1, pending_at: -9 },
    { payment_id: 4, run_at: 60_000, lookups: 1, pendings: 2, pending_at: -9, doubt_at: -9 },
    { payment_id: 5, run_at: 0, pendings: 3, pending_at: -9 },
  )
  const counted = async () =>
    Object.values(await rows()).map(({ lookups = 0, pendings = 0 }) => [lookups, pendings])
  for (const id of [1n, 2n, 3n, 4n, 5n]) await hurryTask(shard, id, CHARGES)
  const forward = [[0, 2], [2, 0], [0, 1], [1, 2], [0, 3]] // prettier-ignore
  assert.deepEqual(await counted(), forward, 'what was due anyway is counted')
  world.clock.advance(1)
  for (const id of [1n, 2n, 3n, 4n, 5n]) await hurryTask(shard, id, CHARGES)
  assert.deepEqual(await counted(), forward, 'one question is taken off once')
  // Each question is asked, counted, and brought forward again.
  for (let at = 0; at < 8; at += 1) {
    world.clock.advance(20_000)
    const asked = { ...END, reason: 'pending', paymentId: 1n, pendings: 3 }
    const sought = { ...END, reason: 'unclear', paymentId: 2n, lookups: 3, pendings: 0 }
    await write((tx) => rescheduleTasks(tx, [asked, sought]))
    assert.equal(await hurryTask(shard, 1n, CHARGES), true)
    assert.equal(await hurryTask(shard, 2n, CHARGES), true)
    assert.deepEqual((await counted()).slice(0, 2), [[0, 2], [2, 0]]) // prettier-ignore
  }
})

test('a notice that comes during a claim does not advance the delays either', async (t) => {
  const { shard, put, rows, write } = await queueOf(t)
  const held = { run_at: 5_000, leased: true, pendings: 2, pending_at: -9 }
  await put(
    { payment_id: 1, ...held },
    { payment_id: 2, ...held },
    { payment_id: 3, ...held },
    { payment_id: 4, ...held },
  )
  for (const id of [1n, 2n, 3n]) assert.equal(await hurryTask(shard, id, CHARGES), true)
  await write((tx) =>
    rescheduleTasks(tx, [
      { ...END, paymentId: 1n, pendings: 3 },
      { ...END, paymentId: 2n, pendings: 1 },
      { ...END, paymentId: 3n, pendings: 3, delayMs: 0 },
      { ...END, paymentId: 4n, pendings: 3 },
    ]),
  )
  const after = Object.values(await rows())
  assert.deepEqual(
    after.map(({ pendings, run_at = 0 }) => [pendings, run_at]),
    [[2, 0], [1, 0], [3, 0], [3, 60_000]], // prettier-ignore
  )
})

test('a notice before our own word is in the books has a payment in doubt asked about at once', async (t) => {
  const { shard, put, rows, write } = await queueOf(t)
  const asking = { run_at: 5_000, leased: true, lookups: 2, doubt_at: -9 }
  await put(
    { payment_id: 1, run_at: 5_000, leased: true },
    { payment_id: 2, ...asking },
    { payment_id: 3, ...asking },
    { payment_id: 4, run_at: 5_000, leased: true, tries: 1 },
  )
  for (const id of [1n, 2n, 4n]) assert.equal(await hurryTask(shard, id, CHARGES), true)
  const doubt = { ...END, pendings: 0, reason: 'timeout', doubted: true }
  await write((tx) =>
    rescheduleTasks(tx, [
      { ...doubt, paymentId: 1n, lookups: 1 },
      { ...doubt, paymentId: 2n, lookups: 3 },
      { ...doubt, paymentId: 3n, lookups: 3 },
      // It is sent again when its time comes: no notice makes that sooner.
      { ...doubt, paymentId: 4n, tries: 1 },
    ]),
  )
  const after = Object.values(await rows())
  assert.deepEqual(
    after.map(({ lookups = 0, run_at = 0 }) => [lookups, run_at]),
    [[1, 0], [2, 0], [3, 60_000], [0, 60_000]], // prettier-ignore
  )
})

test('a notice never makes a charge come sooner, nor touches what is another gateway’s', async (t) => {
  const { shard, put, rows } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: 60_000, tries: 1, doubt_at: -9 },
    { payment_id: 2, run_at: 60_000 },
    { payment_id: 3, ...HAND, gateway: 'bank' },
    { payment_id: 4, ...HAND, operation: 'payout' },
  )
  const before = await rows()
  for (const id of [1n, 2n, 3n, 4n, 99n]) assert.equal(await hurryTask(shard, id, CHARGES), false)
  assert.deepEqual(await rows(), before)
})

test('a notice that comes while a claim holds the payment is kept for the end of the claim', async (t) => {
  const { shard, put, rows, write } = await queueOf(t)
  await put(
    { payment_id: 1, run_at: 5_000, leased: true },
    { payment_id: 2, run_at: 5_000, leased: true },
  )
  assert.equal(await hurryTask(shard, 1n, CHARGES), true)
  assert.equal(await hurryTask(shard, 2n, CHARGES), true)
  const held = { run_at: 5_000, leased: true, asked_at: 0 }
  assert.deepEqual((await rows())['0/1'], held, 'the lease stays as it was')
  await write((tx) => rescheduleTasks(tx, [END, { ...END, paymentId: 2n, pendings: 0 }]))
  const after = await rows()
  assert.equal(after['0/1']?.run_at ?? 0, 0, 'asked at once')
  assert.equal(after['0/2']?.run_at, 60_000, 'not in hand: what is next may be a charge')
})

const SECRET = 'whsec_of_a_test'
const STRIPE = {
  GATEWAYS: 'stripe,http',
  GATEWAY_STRIPE_SECRET_KEY: 'sk_test_0',
  GATEWAY_STRIPE_NOTICE_SECRETS: SECRET,
  GATEWAY_STRIPE_URL: 'http://127.0.0.1:9',
  PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9',
}

/** An API with two gateways and a payment of each that they have in hand. */
async function api(t: TestContext) {
  const roles = { api: true, worker: false, mockGateway: false }
  const service = await serve(t, STRIPE, { roles })
  const later = `clock_timestamp() + interval '1 hour'`
  await query(
    service.database,
    `insert into payment_tasks (shard, payment_id, gateway, operation, run_at, pendings)
     values (0, 7, 'stripe', 'charge', ${later}, 1), (0, 8, 'http', 'charge', ${later}, 1)`,
  )
  const due = async () => {
    const tasks = await query<{ id: number }>(
      service.database,
      'select payment_id::int as id from payment_tasks where run_at <= now() order by 1',
    )
    return tasks.map(({ id }) => id)
  }
  const send = async (name: string, body: string, headers: Record<string, string> = {}) => {
    const url = `${service.url}/api/v1/gateways/${name}/notices`
    const answer = await fetch(url, { method: 'POST', body, headers })
    return { status: answer.status, text: await answer.text(), headers: answer.headers }
  }
  return { ...service, due, send }
}

function event(payment: number): string {
  const object = {
    id: 'pi_1',
    status: 'succeeded',
    metadata: { payments_payment_id: `${payment}` },
  }
  return JSON.stringify({
    id: `evt_${payment}`,
    object: 'event',
    type: 'payment_intent.succeeded',
    data: { object },
  })
}

function signed(body: string, secret = SECRET): Record<string, string> {
  const time = Math.floor(systemClock.now().getTime() / 1_000)
  const signature = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')
  return { 'stripe-signature': `t=${time},v1=${signature}` }
}

test('a signed notice brings its payment’s question forward; a forged or strange one does nothing', async (t) => {
  const { send, due } = await api(t)
  const body = event(7)
  for (const [headers, status] of [
    [{}, 400],
    [signed(body, 'whsec_forged'), 400],
    [signed(event(8)), 400],
  ] as const) {
    const answer = await send('stripe', body, headers)
    assert.deepEqual([answer.status, JSON.parse(answer.text).code], [status, 'notice_refused'])
  }
  assert.deepEqual(await due(), [])
  // Of another gateway, of nobody, and about nothing that we use.
  const nothing = [event(8), event(99), body.replaceAll('payment_intent', 'product')]
  for (const other of nothing) {
    assert.equal((await send('stripe', other, signed(other))).status, 200)
  }
  assert.deepEqual(await due(), [])
  const taken = await send('stripe', body, signed(body))
  assert.deepEqual([taken.status, taken.text], [200, '{"received":true}'])
  assert.deepEqual(await due(), [7])
})

/** The route of notices alone; the connections come from `remoteAddress`. */
async function noticed(
  t: TestContext,
  readNotice: (raw: RawNotice) => Notice,
  from: { readonly sendsFrom?: (source: string) => boolean } = {},
) {
  const queue = await queueOf(t)
  const ends: string[] = []
  const app = fastify()
  app.addSchema(Problem)
  t.after(() => app.close())
  const gateways = new Map([
    ['http', { readNotice, profile: queue.world.gateway.profile, ...from }],
  ])
  const woken = { onHurried: () => undefined, onWatched: () => undefined }
  const told = { ...woken, onNotice: (_: string, end: string) => ends.push(end) }
  const { db, clock } = queue.world
  const callerOf = callers(['fd00::/8'])
  await app.register(noticeRoutes(noticeDesk({ db, clock, gateways, callerOf, ...told })))
  const send = async (payload: string, remoteAddress = '198.51.100.1', forwarded?: string) => {
    const headers = {
      'content-type': 'application/json',
      ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
    }
    const url = '/gateways/http/notices'
    const answer = await app.inject({ method: 'POST', url, headers, payload, remoteAddress })
    return [answer.statusCode, answer.headers['retry-after']]
  }
  return { ...queue, ends, clock, send }
}

test('hints that nobody signs are looked into five times a second, and malformed ones never', async (t) => {
  const opened = await noticed(t, (raw) => readHttpNotice(raw.body))
  const { shard, world, put, ends, clock, send } = opened
  await put(...[1, 2, 3, 4, 5, 6, 7].map((id) => ({ payment_id: id, ...HAND })))
  for (const body of ['{', '[]', '{"payment_id":"8","type":"deposit"}', '{"payment_id":8}']) {
    assert.deepEqual(await send(body), [400, undefined], body)
  }
  const hint = (id: number) => send(`{"payment_id":${id},"type":"deposit"}`)
  for (const id of [1, 2, 3, 4, 99]) assert.deepEqual(await hint(id), [200, undefined])
  assert.deepEqual(await hint(6), [429, '1'])
  clock.advance(1_000)
  assert.deepEqual(await hint(6), [200, undefined])
  const hurried = Array<string>(4).fill('hurried')
  const refused = Array<string>(4).fill('refused')
  assert.deepEqual(ends, [...refused, ...hurried, 'nothing', 'limited', 'hurried'])
  const asked = await world.sql('select from payment_tasks where asked_at is not null')
  assert.equal(asked.length, 5)
  assert.equal(await hurryTask(shard, 7n, CHARGES), true, 'the last was left alone')
})

test('hints of one caller leave those of others their place, up to fifty a second of a gateway', async (t) => {
  const { clock, send } = await noticed(t, (raw) => readHttpNotice(raw.body))
  const hint = async (from: string) => (await send('{"payment_id":9,"type":"deposit"}', from))[0]
  const read = readHttpNotice(Buffer.from('{"payment_id":9,"type":"deposit"}'))
  // Whoever has a /64 is one caller.
  for (let at = 1; at <= 5; at += 1) assert.equal(await hint(`2001:db8::${at}`), 200)
  assert.equal(await hint('2001:db8::6'), 429)
  assert.equal(await hint('2001:db8:0:1::1'), 200, 'another caller')
  for (let at = 1; at <= 44; at += 1) assert.equal(await hint(`203.0.113.${at}`), 200)
  clock.advance(500)
  // What all together have used up takes nothing of a caller's own.
  for (let at = 1; at <= 6; at += 1) assert.equal(await hint('203.0.113.99'), 429, 'the 51st')
  clock.advance(500)
  assert.equal(await hint('203.0.113.99'), 200)
  assert.equal(await hint('2001:db8::6'), 200)
  // A gateway whose addresses are known has a few of them, and is no caller like others.
  const { send: known } = await noticed(t, () => read, { sendsFrom: () => true })
  for (let at = 1; at <= 51; at += 1) assert.equal((await known('{}'))[0], at < 51 ? 200 : 429)
})

test('a notice over IPv6 is checked by the whole address that it comes from', async (t) => {
  const { send } = await noticed(t, readYookassaNotice)
  const object = { id: '2e5e0000-000f-5000-8000-000000000001', status: 'succeeded' }
  const body = JSON.stringify({ type: 'notification', event: 'payment.succeeded', object })
  const status = async (...from: [string, string?]) => (await send(body, ...from))[0]
  assert.equal(await status('2a02:5180:0:2655::1'), 200)
  assert.equal(await status('fd12::1', '[2a02:5180:0:2669::9]:4711'), 200, 'behind a proxy')
  assert.equal(await status('::ffff:185.71.76.5'), 200)
  assert.equal(await status('2a02:5180:0:2656::1'), 400)
  assert.equal(await status('fd12::1', '2001:db8::1'), 400)
  assert.equal(await status('2001:db8::1', '2a02:5180:0:2669::9'), 400, 'nobody trusts its header')
})

test('a hint of the HTTP contract brings its payment’s question forward', async (t) => {
  const { send, due } = await api(t)
  assert.equal((await send('http', '{"payment_id":8,"type":"deposit"}')).status, 200)
  assert.deepEqual(await due(), [8])
})

test('a name that is no gateway, and a body that is too large, are refused', async (t) => {
  const { send } = await api(t)
  const unknown = await send('bank', '{}')
  assert.deepEqual([unknown.status, JSON.parse(unknown.text).code], [404, 'gateway_not_found'])
  assert.equal((await send('http', 'x'.repeat(300_000))).status, 413)
})

/** A request that has sent its head and waits with its body; what it is answered. */
function slowly(t: TestContext, url: string, path: string, length: number) {
  const request = http.request(`${url}/api/v1/gateways/${path}/notices`, {
    method: 'POST',
    headers: { 'content-length': length },
    agent: new http.Agent(),
  })
  t.after(() => request.destroy())
  request.on('error', () => undefined)
  const status = new Promise<number>((resolve) => {
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
  })
  request.flushHeaders()
  return { request, status }
}

test('what a head tells is refused before any body is read', async (t) => {
  const { url } = await api(t)
  assert.equal(await slowly(t, url, 'bank', 100).status, 404)
  assert.equal(await slowly(t, url, 'http', 300_000).status, 413)
})

test('bodies of one caller take so much room at once, which is free again when they end', async (t) => {
  const { url, send, due } = await api(t)
  const body = '{"payment_id":8,"type":"deposit"}'
  const full = 256 * 1_024
  const held = [1, 2, 3, 4].map(() => slowly(t, url, 'http', full))
  // Heads arrive in no order, so it is asked until all of them have.
  let answer = await send('http', body)
  while (answer.status !== 429 || answer.headers.get('retry-after') !== '1') {
    answer = await send('http', '{"payment_id":99,"type":"deposit"}')
  }
  const text = await (await fetch(`${url}/metrics`)).text()
  assert.match(text, /payments_gateway_notices_total{gateway="http",verdict="crowded"} [1-9]/)
  for (const { request } of held) request.destroy()
  while (answer.status !== 200) answer = await send('http', body)
  assert.deepEqual(await due(), [8])
})

test('bodies that were read one after the other leave their room, on every way in', async (t) => {
  const { send } = await noticed(t, (raw) => readHttpNotice(raw.body))
  const large = `"${'x'.repeat(250_000)}"`
  for (let at = 0; at < 6; at += 1) assert.deepEqual(await send(large), [400, undefined])
})
