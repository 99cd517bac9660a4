import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { refuses } from './bad-input.ts'
import { cloneDatabase, query } from './databases.ts'
import { complete, type OpenApi } from './openapi.ts'
import { API, CALM, FAST, get, MOCK, post, range, send, until } from './process-kit.ts'
import { dataFolder, launch, powerCut, type Running } from './programs.ts'
import { turnGateway } from '../tools/client.ts'

interface Payment {
  readonly payment_id: number
  readonly status: string
  readonly attempts: number
}

interface Audit {
  readonly executed: number
  readonly charged_twice_count: number
}

const SETTLED = ['success', 'failed', 'unknown']

/** Wait until a payment needs no more waiting for. */
function settled(api: string, id: unknown): Promise<Payment> {
  return until(`payment ${String(id)} is settled`, async () => {
    const payment = await get<Payment>(`${api}/payments/${String(id)}`)
    return SETTLED.includes(payment.status) && payment
  })
}

/** Wait until payments, at most 500, have all come to success. */
function allSucceed(api: string, ids: readonly unknown[]): Promise<unknown> {
  return until(`${ids.length} payments succeed`, async () => {
    const list = await get<{ data: Payment[] }>(`${api}/payments?status=success&limit=500`)
    const done = new Set<unknown>(list.data.map(({ payment_id: id }) => id))
    return ids.every((id) => done.has(id))
  })
}

/** The four examples of the original README, to the letter; only the port is ours. */
const EXAMPLES = [
  `curl -X POST http://localhost:8000/api/v1/users/ \\
  -H 'Content-Type: application/json' \\
  -d '{"balance": 1000}'`,
  `curl -X POST http://localhost:8000/api/v1/payments/deposit \\
  -H 'Content-Type: application/json' \\
  -H 'Idempotency-Key: 123e4567-e89b-12d3-a456-426614174000' \\
  -d '{"user_id": 1, "deposit": 200}'`,
  `curl -X POST http://localhost:8000/api/v1/payments/withdraw \\
  -H 'Content-Type: application/json' \\
  -d '{"user_id": 1, "amount": 50}'`,
  'curl http://localhost:8000/api/v1/payments/1',
]

const hasCurl = process.platform !== 'win32' && spawnSync('curl', ['--version']).status === 0

/** Run an example with curl, or send what curl would. */
async function example(text: string, port: string): Promise<Record<string, unknown>> {
  const command = text.replace('localhost:8000', `localhost:${port}`)
  if (hasCurl) {
    const { stdout } = await promisify(execFile)('sh', ['-c', command])
    return JSON.parse(stdout) as Record<string, unknown>
  }
  const url = /http:\S+/.exec(command)?.[0] ?? ''
  const body = /-d '([^']+)'/.exec(command)?.[1]
  const headers = [...command.matchAll(/-H '([^:]+): ([^']+)'/g)].map(([, name, value]) => [
    name,
    value,
  ])
  const method = body === undefined ? 'GET' : 'POST'
  return (await send(url, method, body, Object.fromEntries(headers))).json
}

/** API, gateway and a database of their own, for workers to join. */
async function without(
  t: Parameters<typeof launch>[0],
  env: Readonly<Record<string, string>> = {},
) {
  // Longer than any call takes here, so that no retry blurs what is counted.
  const patient = { GATEWAY_TIMEOUT_SECONDS: '5' }
  const database = { DATABASE_URL: await cloneDatabase(t), ...FAST, ...patient, ...env }
  const [api, gateway] = await Promise.all([
    launch(t, 'api', database),
    launch(t, 'mock-gateway', {}),
  ])
  const mock = gateway.url + MOCK
  await turnGateway(mock, CALM)
  const workerEnv = { ...database, PAYMENT_GATEWAY_URL: mock, GATEWAY_LOOKUP: 'consistent' }
  const worker = (more = {}) => launch(t, 'worker', { ...workerEnv, ...more })
  return { api: api.url + API, mock, worker, url: database.DATABASE_URL }
}

/** Open a user and deposit `count` times; returns the payments' ids. */
async function deposits(api: string, count: number): Promise<unknown[]> {
  const user = await post(`${api}/users`, { balance: 0 })
  const body = { user_id: user.json['id'], deposit: 10 }
  const replies = await Promise.all(range(count).map(() => post(`${api}/payments/deposit`, body)))
  for (const reply of replies) assert.equal(reply.status, 202, reply.text)
  return replies.map((reply) => reply.json['payment_id'])
}

/** Wait until the gateway has taken in `count` requests. */
function called(mock: string, count: number): Promise<unknown> {
  return until(`the gateway has ${count} requests`, async () => {
    const journal = await get<{ data: unknown[] }>(`${mock}/journal?limit=500`)
    return journal.data.length >= count
  })
}

/** One counter of one process, from its Prometheus metrics. */
async function counter({ url }: Running, name: string): Promise<number> {
  const { text } = await send(`${url}/metrics`, 'GET')
  return Number(new RegExp(`^${name}\\S* (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
}

/** A service on a database of its own, whose gateway says yes. */
async function calm(t: Parameters<typeof launch>[0]) {
  const url = await cloneDatabase(t)
  const env = { DATABASE_URL: url, DATA_DIR: await dataFolder(t), ...FAST }
  const service = await launch(t, 'start', env)
  await turnGateway(service.url + MOCK, CALM)
  const user = async (balance: number) =>
    (await post(`${service.url + API}/users`, { balance })).json['id']
  return { service, api: service.url + API, mock: service.url + MOCK, url, user }
}

type Calm = Awaited<ReturnType<typeof calm>>

const OVER_HTTP = {
  '30 concurrent withdrawals of 900 from 1,000: one is paid out': async ({
    api,
    mock,
    user,
  }: Calm) => {
    const before = await get<Audit>(`${mock}/audit`)
    const body = { user_id: await user(1_000), amount: 900 }
    const replies = await Promise.all(range(30).map(() => post(`${api}/payments/withdraw`, body)))
    const yes = replies.filter((reply) => reply.status === 202)
    const no = replies.filter((reply) => reply.status === 402)
    assert.deepEqual([yes.length, no.length], [1, 29])
    for (const { json } of no) {
      assert.deepEqual([json['code'], json['required']], ['insufficient_funds', 918])
    }
    assert.equal((await settled(api, yes[0]?.json['payment_id'])).status, 'success')
    assert.equal((await get<Audit>(`${mock}/audit`)).executed, before.executed + 1)
    const left = await get<Record<string, unknown>>(`${api}/users/${String(body.user_id)}`)
    assert.deepEqual([left['id'], left['balance'], left['held']], [body.user_id, 82, 0])
  },

  '200 concurrent requests with one key: one payment, 200 same answers': async ({
    api,
    user,
  }: Calm) => {
    const body = { user_id: await user(0), deposit: 10 }
    const replies = await Promise.all(
      range(200).map(() => post(`${api}/payments/deposit`, body, 'the-same')),
    )
    const answers = new Set(replies.map(({ status, text }) => `${status} ${text}`))
    assert.equal(answers.size, 1, [...answers].join('\n'))
    assert.equal(replies[0]?.status, 202)
    const replayed = replies.filter(({ headers }) => headers['idempotent-replayed'] === 'true')
    assert.equal(replayed.length, 199)
    const list = await get<{ data: unknown[] }>(`${api}/payments?user_id=${String(body.user_id)}`)
    assert.equal(list.data.length, 1)
  },

  'a key with another amount is refused, and the field is named': async ({ api, user }: Calm) => {
    const body = { user_id: await user(0), deposit: 10 }
    const first = await post(`${api}/payments/deposit`, body, 'reused')
    const second = await post(`${api}/payments/deposit`, { ...body, deposit: 11 }, 'reused')
    assert.equal(second.status, 422)
    const { code, errors, payment_id: id } = second.json
    assert.equal(code, 'idempotency_key_reuse')
    assert.equal(id, first.json['payment_id'])
    assert.deepEqual(errors, [{ pointer: '/deposit', code: 'differs' }])
  },

  'a slash at the end of a path makes no difference': async ({ api, user }: Calm) => {
    const id = await user(5)
    for (const path of ['/health', '/dlq', '/metrics', `/users/${String(id)}`, '/payments']) {
      const [bare, slashed] = [await send(api + path, 'GET'), await send(`${api}${path}/`, 'GET')]
      assert.deepEqual([bare.status, slashed.status], [200, 200], path)
    }
    const body = { user_id: id, deposit: 1 }
    assert.equal((await post(`${api}/payments/deposit/`, body)).status, 202)
  },

  'another method than those of a path is answered with 405 and Allow': async ({
    api,
    service,
  }: Calm) => {
    const cases: [string, string, string][] = [
      ['DELETE', `${api}/payments/1`, 'GET, HEAD, OPTIONS, PATCH'],
      ['PUT', `${api}/users/`, 'GET, HEAD, OPTIONS, POST'],
      ['POST', `${service.url}/livez`, 'GET, HEAD, OPTIONS'],
    ]
    for (const [method, path, allow] of cases) {
      const reply = await send(path, method)
      assert.equal(reply.status, 405, `${method} ${path}`)
      assert.equal(reply.headers['allow'], allow)
    }
  },

  'no bad input is answered with 500, or leaves a trace': async ({ url, user, service }: Calm) => {
    await refuses(service.url, url, Number(await user(1_000)))
  },

  'the docs are there, and the OpenAPI document is complete': async ({ service }: Calm) => {
    const page = await send(`${service.url}/docs`, 'GET')
    assert.equal(page.status, 200)
    assert.match(page.text, /swagger/i)
    complete(await get<OpenApi>(`${service.url}/openapi.json`))
  },
}

const TESTS = {
  'a first start serves the examples of the README, and keeps the data': async (t: TestContext) => {
    const env = { DATA_DIR: await dataFolder(t) }
    const service = await launch(t, 'start', env)
    for (const link of [API, '/docs', '/metrics', `${API}/mock-gateway`]) {
      assert.ok(service.stdout().includes(service.url + link), link)
    }
    const { port } = new URL(service.url)
    const answers = []
    for (const text of EXAMPLES) answers.push(await example(text, port))
    const [user, deposit, withdrawal, payment] = answers
    const made = { user_id: 1, status: 'processing' }
    assert.deepEqual(user, { id: 1, balance: 1000 })
    assert.deepEqual(deposit, { payment_id: 1, ...made, deposit: 200 })
    assert.deepEqual(withdrawal, { payment_id: 2, ...made, withdraw: 50 })
    assert.deepEqual({ ...payment, ...made }, { ...payment, payment_id: 1, ...made })

    const seen = [await settled(service.url + API, 1), await settled(service.url + API, 2)]
    // A stop that takes longer than its limit ends with another code.
    assert.equal((await service.end('SIGTERM')).code, 0)

    const again = await launch(t, 'start', env)
    for (const { payment_id: id, attempts } of seen) {
      assert.ok((await get<Payment>(`${again.url}${API}/payments/${id}`)).attempts >= attempts)
    }
    assert.equal((await again.end('SIGINT')).code, 0)
  },

  'an api, two workers and a gateway share one queue as processes of their own': async (
    t: TestContext,
  ) => {
    const { api, mock, worker } = await without(t)
    // Slow calls, few at a time: no worker can take everything before the other has begun.
    await turnGateway(mock, { latency_ms: 50 })
    const workers = await Promise.all(range(2).map(() => worker({ WORKER_CONCURRENCY: '8' })))
    const ids = await deposits(api, 200)
    await allSucceed(api, ids)
    const handled = await Promise.all(
      workers.map((one) => counter(one, 'payments_gateway_success_total')),
    )
    assert.ok(Math.min(...handled) > 0, `handled ${handled.join(' and ')}`)
    assert.equal(
      handled.reduce((sum, count) => sum + count, 0),
      200,
    )
    const { executed, charged_twice_count: twice } = await get<Audit>(`${mock}/audit`)
    assert.deepEqual({ executed, twice }, { executed: 200, twice: 0 })
  },

  'a worker killed in 200 calls is replaced when its leases end, and never before': async (
    t: TestContext,
  ) => {
    const { api, mock, worker, url } = await without(t, {
      WORKER_PROCESSING_TIMEOUT_SECONDS: '14',
      GATEWAY_TIMEOUT_SECONDS: '4',
    })
    // Nobody gets a reply, and half of the charges are executed.
    await turnGateway(mock, { timeout_before: 0.5, timeout_after: 0.5, timeout_ms: 60_000 })
    const ids = await deposits(api, 200)
    const first = await worker()
    await called(mock, 200)
    assert.equal((await first.end('SIGKILL')).signal, 'SIGKILL')
    await turnGateway(mock, CALM)
    await worker()
    await allSucceed(api, ids)
    const { executed, charged_twice_count: twice } = await get<Audit>(`${mock}/audit`)
    assert.deepEqual({ executed, twice }, { executed: 200, twice: 0 })

    // `call` 0 is the lost claim, stamped with the end of its lease; the next worker's follow.
    const [late] = await query<{ count: number; early: number; ms: number }>(
      url,
      `select
         count(*)::int as count,
         count(*) filter (where next.started_at < lost.started_at)::int as early,
         max(extract(epoch from next.started_at - lost.started_at) * 1000)::float8 as ms
     from payment_attempts lost
     join payment_attempts next
       on next.payment_id = lost.payment_id and next.fence = lost.fence + 1 and next.call = 1
     where lost.call = 0 and lost.reason = 'worker_lost'`,
    )
    assert.deepEqual([late?.count, late?.early], [200, 0])
    t.diagnostic(`claimed again ${Math.round(late?.ms ?? 0)} ms after the lease`)
  },

  'a worker that is told to stop finishes its calls and ends with 0': async (t: TestContext) => {
    const { api, mock, worker, url } = await without(t)
    await turnGateway(mock, { latency_ms: 500 })
    const ids = await deposits(api, 50)
    const only = await worker()
    await called(mock, 50)
    assert.equal((await only.end('SIGTERM')).code, 0)
    const rows = await query<{ status: string; attempts: number; count: number }>(
      url,
      'select status, attempts, count(*)::int as count from payments group by 1, 2',
    )
    assert.deepEqual(rows, [{ status: 'success', attempts: 1, count: ids.length }])
  },

  'a service killed together with its database has lost no accepted payment': async (
    t: TestContext,
  ) => {
    const folder = await dataFolder(t)
    const env = { DATA_DIR: folder, ...FAST, GATEWAY_TIMEOUT_SECONDS: '0.5' }
    const service = await launch(t, 'start', { ...env, WORKER_PROCESSING_TIMEOUT_SECONDS: '4' })
    const api = service.url + API
    await turnGateway(service.url + MOCK, { ...CALM, latency_ms: 100 })
    const user = await post(`${api}/users`, { balance: 0 })
    const body = { user_id: user.json['id'], deposit: 1 }
    const accepted: unknown[] = []
    const unanswered: string[] = []
    // Clients that go on until the service is gone.
    const client = async (number: number) => {
      for (let count = 0; ; count += 1) {
        const key = `${number}-${count}`
        const reply = await post(`${api}/payments/deposit`, body, key).catch(() => null)
        if (reply === null) return void unanswered.push(key)
        assert.equal(reply.status, 202, reply.text)
        accepted.push(reply.json['payment_id'])
      }
    }
    const clients = range(20).map((number) => client(number))
    await until('some payments are accepted', () => accepted.length >= 300)
    const killed = service.end('SIGKILL')
    await powerCut(folder)
    await Promise.all([killed, ...clients])

    const again = await launch(t, 'start', { ...env, WORKER_PROCESSING_TIMEOUT_SECONDS: '4' })
    await turnGateway(again.url + MOCK, CALM)
    const retried = await Promise.all(
      unanswered.map((key) => post(`${again.url + API}/payments/deposit`, body, key)),
    )
    for (const reply of retried) assert.equal(reply.status, 202, reply.text)
    const ids = [...accepted, ...retried.map((reply) => reply.json['payment_id'])]
    assert.equal(new Set(ids).size, ids.length)
    await allSucceed(again.url + API, ids)
    const { executed, charged_twice_count: twice } = await get<Audit>(`${again.url + MOCK}/audit`)
    assert.deepEqual({ executed, twice }, { executed: ids.length, twice: 0 })
    assert.equal((await again.end('SIGTERM')).code, 0)
  },

  'over HTTP': async (t: TestContext) => {
    const calmed = await calm(t)
    for (const [name, work] of Object.entries(OVER_HTTP)) await t.test(name, () => work(calmed))
    assert.equal((await calmed.service.end('SIGTERM')).code, 0)
  },
}

// Two at a time: most of it is waiting for processes to start and for leases to end.
describe('processes', { concurrency: 2 }, () => {
  for (const [name, work] of Object.entries(TESTS)) test(name, work)
})
