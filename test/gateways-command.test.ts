import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { askGateway, lookAtGateways } from '../src/charging/gateway-look.ts'
import { scopeOf } from '../src/http/scopes.ts'
import { scriptedGateway, testWorld } from './harness.ts'
import { serveMock } from './mock-server.ts'
import { run } from './programs.ts'
import { profileOf } from './profiles.ts'
import { serve } from './serve.ts'

const PROMISES = { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' } as const

function gatewaysAt(url: string): Record<string, string> {
  return {
    GATEWAYS: 'http,bank',
    PAYMENT_GATEWAY_URL: url,
    GATEWAY_BANK_DRIVER: 'http',
    GATEWAY_BANK_URL: 'http://127.0.0.1:9',
    GATEWAY_BANK_OPERATIONS: 'payout',
    GATEWAY_BANK_CURRENCIES: 'EUR',
    GATEWAY_ROUTES: 'withdraw:EUR=bank,*=http',
  }
}

test('a look at gateways says what waits for each route, and why its breaker is open', async (t) => {
  const world = await testWorld(t)
  const bank = {
    name: 'bank',
    driver: 'http',
    profile: profileOf(PROMISES, { name: 'bank', operations: new Set(['payout'] as const) }),
    rules: [],
  }
  await world.sql(
    `insert into payment_tasks (shard, payment_id, gateway, operation, run_at)
     select 0, id, case when id > 2 then 'bank' else 'http' end, 'payout', $1
     from generate_series(1, 5) id`,
    [new Date(world.clock.now().getTime() - 7_000)],
  )
  await world.sql(
    `insert into gateway_breakers (gateway, operation, trips, cause, reason, opened_at, open_until)
     values ('bank', 'payout', 1, 'misconfigured', 'http_401', $1::timestamptz,
       $1::timestamptz + interval '5 s')`,
    [world.clock.now()],
  )
  const {
    looks: [look],
  } = await lookAtGateways(world.db, [bank])
  assert.deepEqual(look?.routes, [
    {
      operation: 'payout',
      breaker: 'open',
      misconfigured: true,
      reason: 'http_401',
      waiting: 3,
      oldestDueMs: 7_000,
    },
  ])
})

test('a gateway is asked once for each operation that it has, and charged for none', async (t) => {
  const world = await testWorld(t)
  const gateway = scriptedGateway()
  const asked = await askGateway(gateway, world.clock)
  assert.deepEqual(
    asked.map(({ operation, ok, outcome }) => [operation, ok, outcome]),
    [
      ['charge', true, 'not_found'],
      ['payout', true, 'not_found'],
      ['refund', true, 'not_found'],
    ],
  )
  assert.ok(gateway.calls.every(({ kind }) => kind === 'lookup'))
  gateway.lookups = { kind: 'misconfigured', reason: 'http_401' }
  const [refused] = await askGateway(gateway, world.clock)
  assert.deepEqual([refused?.ok, refused?.reason], [false, 'http_401'])
})

async function command(t: TestContext) {
  const { url } = await serveMock(t)
  const world = await testWorld(t)
  const env = { ...gatewaysAt(url), DATABASE_URL: world.url }
  return (...args: string[]) => run(t, ['gateways', ...args], env)
}

test('gateways are listed and tried in a terminal, while no API runs', async (t) => {
  const gateways = await command(t)
  const listed = await gateways('list', '--json')
  assert.equal(listed.code, 0, listed.stderr)
  const { data } = JSON.parse(listed.stdout) as { data: Record<string, unknown>[] }
  assert.deepEqual(
    data.map(({ name, driver, operations, currencies, rules }) => [
      name,
      driver,
      operations,
      currencies,
      rules,
    ]),
    [
      ['http', 'http', ['charge', 'payout', 'refund'], null, ['*:*=http']],
      ['bank', 'http', ['payout'], ['EUR'], ['withdraw:EUR=bank']],
    ],
  )
  assert.match((await gateways('list')).stdout, /^bank {2}driver http {2}payout {2}EUR$/m)
  const good = await gateways('test', 'http')
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /^charge {2}talks to us \(not_found, http 404; \d+ ms\)$/m)
  const bad = await gateways('test', 'bank', '--json')
  assert.equal(bad.code, 1)
  const answers = (JSON.parse(bad.stdout) as { data: Record<string, unknown>[] }).data
  assert.deepEqual([answers.length, answers[0]?.['ok']], [1, false])
  const none = await gateways('test', 'nobody')
  assert.deepEqual([none.code, none.stderr.includes('gateway_not_found')], [1, true])
})

test('the API shows the same, and asks a gateway for whoever may operate', async (t) => {
  const { url } = await serveMock(t)
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, gatewaysAt(url), { roles })
  const listed = await call('GET', '/gateways')
  assert.equal(listed.status, 200, listed.text)
  const data = listed.body['data'] as { name: string; routes: { breaker: string }[] }[]
  assert.deepEqual(
    data.map(({ name, routes }) => [name, routes.length, routes[0]?.breaker]),
    [
      ['http', 3, 'closed'],
      ['bank', 1, 'closed'],
    ],
  )
  const asked = await call('POST', '/gateways/http/test')
  assert.equal(asked.status, 200, asked.text)
  assert.ok((asked.body['data'] as { ok: boolean }[]).every(({ ok }) => ok))
  const none = await call('POST', '/gateways/nobody/test')
  assert.deepEqual([none.status, none.body['code']], [404, 'gateway_not_found'])
  assert.deepEqual(
    [
      scopeOf('/api/v1/gateways', 'GET'),
      scopeOf('/api/v1/gateways/:name/test', 'POST'),
      scopeOf('/api/v1/gateways/:name/notices', 'POST'),
    ],
    ['read', 'operate', 'gateway'],
  )
})
