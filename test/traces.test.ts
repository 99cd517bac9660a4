import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Draft } from '../src/domain/acceptance.ts'
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

/** A gateway that executes whatever it is asked, and keeps what it was sent. */
async function gateway(t: TestContext) {
  const calls: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      calls.push({ path: request.url ?? '', headers: request.headers })
      const key = request.headers['idempotency-key']
      const body = { status: 'success', gateway_ref: 'ch_1', idempotency_key: key }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, calls }
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
  const drafts: Draft[] = []
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
  const draft: Draft = { type: 'deposit', userId: user, amount: 500n, idempotencyKey: null }
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
