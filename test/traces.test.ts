import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { acceptor } from '../src/payments/accept.ts'
import { fastPaymentRoutes } from '../src/payments/fast-routes.ts'
import { forgetTraces } from '../src/payments/traces-store.ts'
import type { Shard, Statement, Tx } from '../src/ports.ts'
import { testWorld } from './harness.ts'
import { collector, type ArrivedSpan } from './otlp-collector.ts'
import { FAST, until } from './process-kit.ts'
import { runClient, skipWithout } from './python.ts'
import { serve } from './serve.ts'
import { receiver, status } from './webhooks-kit.ts'

/** Who calls the API, as the head of a trace. */
const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
const NO_FEES = { bps: 0, mins: new Map() }
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`

/** What the gateway says to whatever it is asked. */
type Mood = 'success' | 'declined' | 'silent'

/** A gateway that says one thing to whatever it is asked, and keeps what it was sent. */
async function gateway(t: TestContext) {
  const calls: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = []
  let mood: Mood = 'success'
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const { url = '', headers } = request
      calls.push({ path: url, headers })
      const key = headers['idempotency-key'] ?? url.split('/').at(-1)
      const said = { success: 200, declined: 402, silent: 500 }[mood]
      const body = { status: mood, gateway_ref: 'ch_1', idempotency_key: key }
      response.writeHead(said, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, calls, say: (now: Mood) => void (mood = now) }
}

/** An API and a worker of their own, a gateway, and somebody who takes webhooks. */
async function tracedService(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const to = await collector(t)
  const charges = await gateway(t)
  const hooks = await receiver(t, status(204))
  const all = {
    ...FAST,
    OTEL_EXPORTER_OTLP_ENDPOINT: to.url,
    PAYMENT_GATEWAY_URL: charges.url,
    ...env,
  }
  const api = await serve(t, all, { roles: { api: true, worker: false, mockGateway: false } })
  const worker = await serve(t, all, {
    roles: { api: false, worker: true, mockGateway: false },
    database: api.database,
  })
  const { body: user } = await api.call('POST', '/users/', { balance: 1_000 })
  await api.call('POST', '/webhook-endpoints', { url: hooks.url, types: ['payment.succeeded'] })
  const pay = (body: object = {}, headers: Record<string, string> = {}) =>
    api.call('POST', '/payments/deposit', { user_id: user['id'], deposit: 200, ...body }, headers)
  /** All spans, when both processes have sent what they had. */
  const spans = async () => {
    await api.stop()
    await worker.stop()
    return to.spans()
  }
  return { to, charges, hooks, api, pay, spans }
}

const named = (spans: readonly ArrivedSpan[], name: string): ArrivedSpan => {
  const found = spans.filter((span) => span.name === name)
  assert.equal(found.length, 1, `one ${name} among ${spans.map((span) => span.name).join(', ')}`)
  return found[0] as ArrivedSpan
}

const placeOf = (headers: IncomingHttpHeaders | undefined) =>
  String(headers?.['traceparent']).split('-')

test('one payment is one trace: from its caller over API and worker to gateway and webhook', async (t) => {
  const { to, charges, hooks, pay, spans } = await tracedService(t)
  const { body } = await pay({}, { traceparent: TRACEPARENT })
  await until('the webhook has come', () => Promise.resolve(hooks.received.length > 0))
  const all = await spans()

  const asked = named(all, 'POST /payments/deposit')
  const charged = named(all, 'gateway execute charge')
  const told = named(all, 'webhook deliver')
  for (const { traceId } of [asked, charged, told]) assert.equal(traceId, CALLER.traceId)
  assert.equal(asked.parentSpanId, CALLER.spanId)
  assert.equal(charged.parentSpanId, asked.spanId)
  assert.equal(told.parentSpanId, asked.spanId)
  assert.deepEqual([asked.role, charged.role, told.role], ['api', 'worker', 'worker'])
  assert.equal(asked.attributes['http.response.status_code'], '202')
  assert.equal(charged.attributes['payments.payment_id'], String(body['payment_id']))

  // What gateway and receiver were told is where they stand in it.
  const sent = ['00', CALLER.traceId, charged.spanId, '01']
  assert.deepEqual(placeOf(charges.calls[0]?.headers), sent)
  assert.deepEqual(placeOf(hooks.received[0]?.headers), ['00', CALLER.traceId, told.spanId, '01'])

  for (const name of ['accept', 'claim', 'settle']) {
    const batch = named(all, name)
    assert.notEqual(batch.traceId, CALLER.traceId, 'a batch has many payments')
    assert.deepEqual(
      batch.links.map(({ traceId, spanId }) => [traceId, spanId]),
      [[CALLER.traceId, asked.spanId]],
    )
  }

  await t.test('as the official definitions of OTLP read it', SKIP, async () => {
    const file = join(process.env['TEST_FOLDER'] ?? tmpdir(), 'traces.jsonl')
    await fs.writeFile(file, to.bodies.join('\n'))
    const decoded = (await runClient('otlp_decode.py', file)) as Record<string, unknown>[]
    const one = (name: string) => decoded.find((span) => span['name'] === name)
    const inTrace = { service: 'payments', trace: CALLER.traceId, links: [], ends: true }
    const parent = asked.spanId
    const { spanId: span } = charged
    assert.equal(decoded.length, all.length)
    assert.deepEqual(one('POST /payments/deposit'), {
      ...inTrace,
      role: 'api',
      name: 'POST /payments/deposit',
      kind: 'SPAN_KIND_SERVER',
      span: asked.spanId,
      parent: CALLER.spanId,
    })
    const call = { ...inTrace, role: 'worker', kind: 'SPAN_KIND_CLIENT', parent }
    const charge = { ...call, name: 'gateway execute charge', span }
    assert.deepEqual(one('gateway execute charge'), charge)
    const hook = { ...call, name: 'webhook deliver', span: told.spanId }
    assert.deepEqual(one('webhook deliver'), hook)
    assert.deepEqual(one('settle')?.['links'], [asked.spanId])
  })
})

/** The official definitions of OTLP read what a collector got as it was read here. */
async function readsTheSame(
  t: TestContext,
  bodies: readonly string[],
  all: readonly ArrivedSpan[],
) {
  await t.test('as the official definitions of OTLP read it', SKIP, async () => {
    const file = join(process.env['TEST_FOLDER'] ?? tmpdir(), `${randomUUID()}.jsonl`)
    await fs.writeFile(file, bodies.join('\n'))
    const decoded = (await runClient('otlp_decode.py', file)) as Record<string, unknown>[]
    assert.deepEqual(
      decoded.map(({ name, trace, span, parent, links }) => [name, trace, span, parent, links]),
      all.map(({ name, traceId, spanId, parentSpanId = '', links }) => {
        return [name, traceId, spanId, parentSpanId, links.map((link) => link.spanId)]
      }),
    )
  })
}

const SKIP = { skip: skipWithout('opentelemetry.proto') }

test('every way to ask for a payment is traced, and a replay makes no second trace', async (t) => {
  const { api, charges, hooks, pay, spans } = await tracedService(t)
  const key = { 'idempotency-key': 'k1' }
  await pay({ reference: 'order-1' }, key)
  await pay({ reference: 'order-1' }, key)
  const item = { type: 'deposit', user_id: 1, amount: 5 }
  await api.call('POST', '/payments/batch', { payments: [item, item] })
  await until('all have ended', () => Promise.resolve(hooks.received.length === 3))
  const all = await spans()
  const traces = (name: string) =>
    all.filter((span) => span.name === name).map(({ traceId }) => traceId)
  const [first, second] = traces('POST /payments/deposit')
  const [batch] = traces('POST /payments/batch')
  assert.ok(first !== undefined && second !== undefined && first !== second)
  assert.deepEqual(traces('gateway execute charge').toSorted(), [first, batch, batch].toSorted())
  assert.deepEqual(traces('webhook deliver').toSorted(), [first, batch, batch].toSorted())
  assert.equal(charges.calls.length, 3)
})

/** A call that a request led to. */
const callOf = (all: readonly ArrivedSpan[], name: string, parent: ArrivedSpan | undefined) =>
  all.find((span) => span.name === name && span.parentSpanId === parent?.spanId)

const CALLERS = ['a', 'b', 'c'].map((letter) => letter.repeat(32))
const callerOf = (traceId = CALLER.traceId) => `00-${traceId}-${CALLER.spanId}-01`

test('a refund is a trace of its own: its request, its batch, its gateway call and its webhook', async (t) => {
  const { to, api, charges, hooks, pay, spans } = await tracedService(t)
  await pay({}, { traceparent: TRACEPARENT })
  await until('the deposit is told', () => Promise.resolve(hooks.received.length === 1))
  const body = { amount: 50, reason: 'returned' }
  const { body: refund } = await api.call('POST', '/payments/1/refunds', body, {
    traceparent: callerOf(CALLERS[0]),
  })
  await until('the refund is told', () => Promise.resolve(hooks.received.length === 2))
  const all = await spans()
  const asked = named(all, 'POST /payments/{id}/refunds')
  assert.equal(asked.traceId, CALLERS[0])
  assert.equal(asked.attributes['http.response.status_code'], '202')
  const called = callOf(all, 'gateway execute refund', asked)
  assert.equal(called?.attributes['payments.payment_id'], String(refund['payment_id']))
  assert.deepEqual(placeOf(charges.calls.at(-1)?.headers).slice(1, 3), [CALLERS[0], called?.spanId])
  const told = callOf(all, 'webhook deliver', asked)
  assert.deepEqual(placeOf(hooks.received[1]?.headers).slice(1, 3), [CALLERS[0], told?.spanId])
  assert.deepEqual(linksOf(named(all, 'accept refunds')), [[CALLERS[0], asked.spanId]])
  await readsTheSame(t, to.bodies, all)
})

const linksOf = ({ links }: ArrivedSpan) => links.map(({ traceId, spanId }) => [traceId, spanId])

test('what a redrive sends belongs to who asked for it, one letter or a run of them', async (t) => {
  const { to, api, charges, pay, spans } = await tracedService(t)
  charges.say('declined')
  for (const _ of [1, 2]) await pay({}, { traceparent: TRACEPARENT })
  const letters = async () => (await api.call('GET', '/dlq?state=open')).body as unknown as Letter[]
  await until('both have failed', async () => (await letters()).length === 2)
  charges.say('success')
  const [first, second] = (await letters()).toReversed()
  const as = (caller: number) => ({ traceparent: callerOf(CALLERS[caller]) })
  const reason = { reason: 'the card was replaced' }
  const { body: one } = await api.call('POST', `/dlq/${first?.id}/redrive`, reason, as(1))
  const filter = { filter: {}, dry_run: true }
  const { body: plan } = await api.call('POST', '/dlq/redrive', filter)
  const start = { snapshot: plan['snapshot'], ...reason }
  await api.call('POST', '/dlq/redrive', start, as(2))
  const made = [Number(one['new_payment_id']), Number(one['new_payment_id']) + 1]
  for (const id of made) {
    const ended = async () =>
      (await api.call('GET', `/payments/${id}`)).body['status'] === 'success'
    await until('it has been charged', ended)
  }
  const all = await spans()
  const asked = all.find(({ traceId, kind }) => traceId === CALLERS[1] && kind === SERVER)
  assert.equal(asked?.name, 'POST /dlq/{id}/redrive')
  const run = all.find(({ traceId, kind }) => traceId === CALLERS[2] && kind === SERVER)
  assert.equal(run?.name, 'POST /dlq/redrive')
  const calls = [asked, run].map((span) => callOf(all, 'gateway execute charge', span))
  assert.deepEqual(
    calls.map((call) => Number(call?.attributes['payments.payment_id'])),
    made,
  )
  assert.deepEqual(
    charges.calls.slice(-2).map(({ headers }) => placeOf(headers).slice(1, 3)),
    calls.map((call, at) => [CALLERS[at + 1], call?.spanId]),
  )
  const batches = all.filter(({ name }) => name === 'redrive').flatMap(linksOf)
  assert.deepEqual(
    batches,
    [asked, run].map((span) => [span?.traceId, span?.spanId]),
  )
  assert.equal(second?.state, 'open')
  await readsTheSame(t, to.bodies, all)
})

const SERVER = 2

interface Letter {
  readonly id: number
  readonly state: string
}

test('a question out of turn belongs to who asks it, and its answer to the payment', async (t) => {
  const once = { GATEWAY_MAX_ATTEMPTS: '1', GATEWAY_GIVE_UP_SECONDS: '0' }
  const { to, api, charges, hooks, pay, spans } = await tracedService(t, once)
  charges.say('silent')
  await pay({}, { traceparent: callerOf(CALLERS[0]) })
  const look = async (query = '', headers = {}) =>
    (await api.call('GET', `/payments/1${query}`, undefined, headers)).body['status']
  await until('nobody knows', async () => (await look()) === 'unknown')
  charges.say('success')
  const asking = { traceparent: callerOf(CALLERS[1]) }
  await until('it is known', async () => (await look('?refresh=true', asking)) === 'success')
  await until('the webhook has come', () => Promise.resolve(hooks.received.length === 1))
  const all = await spans()
  const answered = all.findLast(({ name }) => name === 'gateway lookup charge')
  assert.equal(answered?.traceId, CALLERS[1])
  const asked = all.find(({ spanId }) => spanId === answered?.parentSpanId)
  assert.equal(asked?.name, 'GET /payments/{id}')
  assert.deepEqual(
    all
      .filter(({ name }) => name === 'ask')
      .flatMap(linksOf)
      .at(-1),
    [CALLERS[1], asked?.spanId],
  )
  assert.equal(named(all, 'webhook deliver').traceId, CALLERS[0])
  const reads = all.filter(({ name }) => name === 'GET /payments/{id}')
  assert.ok(
    reads.every(({ traceId }) => traceId === CALLERS[1]),
    'who only reads is not traced',
  )
  await readsTheSame(t, to.bodies, all)
})

test('a look at a final payment belongs to the request for the payment', async (t) => {
  const { to, charges, pay, spans } = await tracedService(t, { GATEWAY_WATCH_SECONDS: '1' })
  await pay({}, { traceparent: TRACEPARENT })
  await until('it is looked at', () => Promise.resolve(charges.calls.length === 2))
  const all = await spans()
  const asked = named(all, 'POST /payments/deposit')
  const look = callOf(all, 'gateway lookup charge', asked)
  assert.deepEqual(placeOf(charges.calls[1]?.headers).slice(1, 3), [CALLER.traceId, look?.spanId])
  assert.deepEqual(linksOf(named(all, 'watch')), [[CALLER.traceId, asked.spanId]])
  await readsTheSame(t, to.bodies, all)
})

test('what is not sampled leaves no span, no row and no header', async (t) => {
  const { api, charges, hooks, pay, spans } = await tracedService(t)
  await pay({}, { traceparent: TRACEPARENT.replace(/01$/, '00') })
  await until('the webhook has come', () => Promise.resolve(hooks.received.length > 0))
  assert.equal(charges.calls[0]?.headers['traceparent'], undefined)
  assert.equal(hooks.received[0]?.headers['traceparent'], undefined)
  const { body } = await api.call('GET', '/payments/1')
  assert.equal(body['status'], 'success')
  assert.deepEqual(await spans(), [])
})

test('payments go on as ever while the collector is away, and what is lost is counted', async (t) => {
  const { to, api, hooks, pay } = await tracedService(t)
  to.close()
  await pay()
  await until('the webhook has come', () => Promise.resolve(hooks.received.length > 0))
  assert.equal((await api.call('GET', '/payments/1')).body['status'], 'success')
  await api.stop()
})

test('without a collector nothing is begun, kept, read or added to a request', async (t) => {
  const drafts: PaymentDraft[] = []
  const [route] = fastPaymentRoutes(
    (draft) => (drafts.push(draft), new Promise(() => undefined)),
    2,
  )
  const headers = { traceparent: TRACEPARENT }
  void route?.answer({ user_id: 1, deposit: 5 }, { headers, rawHeaders: [] }, 'id')
  assert.deepEqual(Object.keys(drafts[0] ?? {}), ['type', 'userId', 'amount', 'idempotencyKey'])

  const world = await testWorld(t)
  const user = await world.user(10_000n)
  const seen: string[] = []
  const draft: PaymentDraft = { type: 'deposit', userId: user, amount: 500n, idempotencyKey: null }
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  const accept = (traced: boolean) => {
    const watched = watching(shard, seen)
    return acceptor({ shard: watched, currency: 'USD', fees: NO_FEES, traced })
  }
  await accept(false)([{ ...draft, traceparent: TRACEPARENT }])
  const before = seen.splice(0)
  await accept(true)([draft])
  assert.deepEqual(seen, before, 'what is not traced sends the same statements')
  assert.deepEqual(await world.sql('select * from payment_traces'), [])
  await accept(true)([{ ...draft, traceparent: TRACEPARENT }])
  const [row] = await world.sql<{ traceparent: string }>('select * from payment_traces')
  assert.equal(row?.traceparent, TRACEPARENT)
})

/** A shard that notes which statements are sent. */
function watching(shard: Shard, seen: string[]): Shard {
  const note = <Row>(statement: Statement<Row>) => (seen.push(statement.name), statement)
  return {
    ...shard,
    transaction: (work, lockMs) =>
      shard.transaction((tx) => {
        const watched: Tx = {
          ...tx,
          run: (statement, values) => tx.run(note(statement), values),
          write: (statement, values) => tx.write(note(statement), values),
        }
        return work(watched)
      }, lockMs),
  }
}

test('after a week it is forgotten to which trace a payment belonged', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(10_000n)
  const [shard] = world.db.shards
  assert.ok(shard !== undefined)
  const accept = acceptor({ shard, currency: 'USD', fees: NO_FEES, traced: true })
  const draft = { type: 'deposit', userId: user, amount: 500n, idempotencyKey: null } as const
  const traces = async () => (await world.sql('select * from payment_traces')).length
  await accept([{ ...draft, traceparent: TRACEPARENT }])
  world.clock.advance(7 * 86_400_000 - 1_000)
  await accept([{ ...draft, traceparent: TRACEPARENT }])
  assert.equal(await forgetTraces(shard), false)
  assert.equal(await traces(), 2)
  world.clock.advance(2_000)
  await forgetTraces(shard)
  assert.equal(await traces(), 1)
})
