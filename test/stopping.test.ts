import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../src/adapters/clock.ts'
import { createMetrics } from '../src/adapters/metrics.ts'
import { loadConfig } from '../src/config/config.ts'
import { heard } from '../src/charging/heard.ts'
import { guardedGateway } from '../src/gateways/guarded.ts'
import { openGuards } from '../src/http/auth.ts'
import { buildServer } from '../src/http/server.ts'
import { closing } from '../src/process/closing.ts'
import type { Process } from '../src/process/shared.ts'
import { refuseWhenStopping } from '../src/process/start.ts'
import { openQuestions } from '../src/process/worker.ts'
import { openDb, raw, testWorld } from './harness.ts'
import { lost, somebodyElse } from './operators.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'

/**
 * A service whose gateway answers when it is told to, or not at all: as long as a call is in
 * flight, a stop waits for it, and the server is open.
 */
async function serveHeld(t: TestContext, timeoutSeconds: number) {
  const calls: ServerResponse[] = []
  const gateway = createServer((_request, response) => void calls.push(response))
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  t.after(() => gateway.close())
  const { port } = gateway.address() as AddressInfo
  const env = {
    PAYMENT_GATEWAY_URL: `http://127.0.0.1:${port}`,
    GATEWAY_TIMEOUT_SECONDS: String(timeoutSeconds),
    WORKER_PROCESSING_TIMEOUT_SECONDS: '200',
  }
  const service = await serve(t, env, { roles: { api: true, worker: true, mockGateway: false } })
  return { service, calls }
}

test('whoever comes while the process stops is told so, on both ways in', async (t) => {
  const { service, calls } = await serveHeld(t, 60)
  const user = (await service.call('POST', '/users', { balance: 0 })).body['id']
  const body = { user_id: user, deposit: 1 }
  await service.call('POST', '/payments/deposit', body)
  await until('the gateway is called', () => calls.length > 0)

  const stopping = service.stop()
  const plain = await service.call('POST', '/payments/deposit', body)
  const framework = await service.call('GET', `/users/${String(user)}`)
  for (const { status, headers, body: answer } of [plain, framework]) {
    assert.equal(status, 503)
    assert.equal(answer['code'], 'shutting_down')
    assert.ok(headers.get('content-type')?.startsWith('application/problem+json'))
    assert.ok(headers.get('retry-after'))
  }
  for (const response of calls) response.destroy()
  await stopping
})

test('a request on a connection that is still open while the server closes is told so', async () => {
  const app = await buildServer({
    logger: pino({ level: 'silent' }),
    bodyBytesMax: 1_024,
    version: '0',
    title: 'closing',
    documented: false,
    guards: openGuards(systemClock, { loopback: '127.0.0.1' }),
    connections: { max: 1_000, elapsedMs: systemClock.elapsedMs },
    onAnswer: () => undefined,
  })
  const process = { refusing: false }
  refuseWhenStopping(app, process)
  let answer = (): void => undefined
  const begun = new Promise<void>((resolve) => {
    app.get('/api/v1/slow', async () => {
      resolve()
      await new Promise<void>((done) => (answer = done))
      return { slow: true }
    })
  })
  const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const socket = connect(Number(url.port), url.hostname)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const request = `GET /api/v1/slow HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`
  socket.write(request)
  await begun

  process.refusing = true
  const closed = app.close()
  await until('nobody new is let in', () =>
    fetch(url).then(
      () => false,
      () => true,
    ),
  )
  socket.write(request)
  // It is read before the first answer leaves, and so answered on the same connection.
  await until('the second request is read', () => socket.bytesWritten === 2 * request.length)
  await new Promise((resolve) => setImmediate(resolve))
  answer()
  await Promise.all([closed, once(socket, 'close')])
  const [, first = '', second = ''] = text.split('HTTP/1.1 ')
  assert.match(first, /^200 /)
  assert.match(second, /^503 [^]*retry-after: 1\r\n[^]*"code":"shutting_down"/i)
})

test('a process that stops waits for what the gateway said out of turn to be written', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null
  const other = await somebodyElse(t, world)
  await other.lock('users', (await world.view(id)).payment.userId)
  const metrics = createMetrics({ role: 'test', version: '0', elapsedMs: () => 0 })
  t.after(() => metrics.close())
  const config = loadConfig({ SHUTDOWN_TIMEOUT_SECONDS: '30' })
  const log = pino({ level: 'silent' })
  // Nothing else of a process is asked for.
  const own = { config, log, metrics, tracer: null, db: world.db } as unknown as Process
  const stops = closing()
  const gateway = guardedGateway(world.gateway, world.clock, () => undefined)
  const gateways = config.gateways.map((of) => ({
    config: of,
    gateway,
    driver: gateway,
    heard: heard(world.clock, 0),
  }))
  await openQuestions(own, gateways, stops).refresh(id, () => true)

  let stopped = false
  const stopping = stops.close().then(() => (stopped = true))
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done))
  const early = stopped
  await other.release()
  await stopping
  assert.equal(early, false)
  assert.equal((await world.view(id)).status, 'success')
})

test('who waits for a payment is answered when the process stops, while it still serves', async (t) => {
  // The call ends before a wait does: who is not let go loses the connection then.
  const { service, calls } = await serveHeld(t, 20)
  const user = (await service.call('POST', '/users', { balance: 0 })).body['id']
  const made = await service.call('POST', '/payments/deposit', { user_id: user, deposit: 1 })
  await until('the gateway is called', () => calls.length > 0)
  const waiting = service.call('GET', `/payments/${String(made.body['payment_id'])}?wait=30`)
  const { global: db } = openDb(t, service.database)
  const looked = raw(`
    select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
      and query like '%(''success'', ''failed'') as final%'`)
  await until('somebody waits', async () => (await db.run(looked, [])).length > 0)

  const stopping = service.stop()
  const { status, body } = await waiting
  assert.deepEqual([status, body['status']], [200, 'processing'])
  for (const response of calls) response.destroy()
  await stopping
})
