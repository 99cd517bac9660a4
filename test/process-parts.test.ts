import assert from 'node:assert/strict'
import type { FastifyInstance } from 'fastify'
import { test } from 'node:test'
import { loadConfig } from '../src/config/config.ts'
import { listen } from '../src/process/listen.ts'
import { httpHeaders } from '../src/process/drivers.ts'
import { checkGateways, termsOf } from '../src/process/routing.ts'
import { roleOf, usesDatabase, type Roles } from '../src/process/shared.ts'
import { testWorld } from './harness.ts'

const role = (api: boolean, worker: boolean, mockGateway: boolean): Roles => ({
  api,
  worker,
  mockGateway,
})

const ROLES = [
  [role(true, true, true), 'all', true, 'PORT'],
  [role(true, true, false), 'all', true, 'PORT'],
  [role(true, false, false), 'api', true, 'PORT'],
  [role(false, true, false), 'worker', true, 'WORKER_PORT'],
  [role(false, false, true), 'mock-gateway', false, 'MOCK_GATEWAY_PORT'],
] as const

/** A server that listens, or fails with such a code, and the levels that its log had. */
function server(level: string, code: string | null) {
  const log = { level }
  let meanwhile = ''
  const app = {
    log,
    listen({ host, port }: { host: string; port: number }) {
      meanwhile = log.level
      if (code === null) return Promise.resolve(`http://${host}:${port}`)
      return Promise.reject(Object.assign(new Error('raw'), { code }))
    },
  } as unknown as FastifyInstance
  return { app, levels: () => [meanwhile, log.level] }
}

const AT = { host: '127.0.0.1', port: 80 }

const SENTENCES: readonly (readonly [code: string, says: (setting: string) => string])[] = [
  [
    'EADDRINUSE',
    (setting) =>
      `Port 80 of 127.0.0.1 is in use: set ${setting} to a free port, or stop what listens there.`,
  ],
  [
    'EACCES',
    (setting) => `This account may not listen on port 80: set ${setting} to 1024 or above.`,
  ],
  [
    'EADDRNOTAVAIL',
    () =>
      'HOST=127.0.0.1 is no address of this machine: set HOST to one, or to 0.0.0.0 for all of them.',
  ],
  ['ENOTFOUND', () => 'HOST=127.0.0.1 is unknown: set HOST to an address of this machine.'],
  ['EAI_AGAIN', () => 'HOST=127.0.0.1 cannot be resolved: set HOST to an address of this machine.'],
  ['EWHATEVER', () => 'raw'],
]

test('what keeps a role from listening is said with the setting that mends it', async () => {
  for (const [roles, name, database, setting] of ROLES) {
    assert.deepEqual([roleOf(roles), usesDatabase(roles)], [name, database])
    for (const [code, says] of SENTENCES) {
      const { app } = server('info', code)
      await assert.rejects(listen(app, AT, roles), { message: says(setting) }, `${name} ${code}`)
    }
  }
})

test('the lines of the framework are held back while it begins to listen, and no longer', async () => {
  for (const [level, meanwhile] of [
    ['trace', 'warn'],
    ['debug', 'warn'],
    ['info', 'warn'],
    ['warn', 'warn'],
    ['error', 'error'],
    ['silent', 'silent'],
  ] as const) {
    const well = server(level, null)
    assert.equal(await listen(well.app, AT, ROLES[0][0]), 'http://127.0.0.1:80')
    assert.deepEqual(well.levels(), [meanwhile, level])
    const ill = server(level, 'EACCES')
    await assert.rejects(listen(ill.app, AT, ROLES[0][0]))
    assert.deepEqual(ill.levels(), [meanwhile, level])
  }
})

test('what a gateway can do, and what its calls carry, is as the settings say', () => {
  const env = {
    PAYMENT_GATEWAY_URL: 'https://gateway.test',
    GATEWAY_ECHO: 'required',
    GATEWAY_KEY_LIFE_SECONDS: '60',
    GATEWAY_TIMEOUT_SECONDS: '2',
    GATEWAY_LOOKUP: 'none',
  }
  const terms = (more: Record<string, string>) => termsOf(loadConfig({ ...env, ...more }))('http')
  const said = { keyLifeMs: 60_000, lookup: 'none', timeoutMs: 2_000 }
  for (const [given, repeats] of [
    ['true', 'first_answer'],
    ['false', 'may_execute_again'],
  ] as const) {
    const { keyLifeMs, lookup, timeoutMs, ...rest } = terms({ GATEWAY_IDEMPOTENT: given })
    assert.deepEqual({ keyLifeMs, lookup, timeoutMs }, said)
    assert.equal(rest.repeats, repeats)
  }
  const headers = (more: Record<string, string>) => {
    const [gateway] = loadConfig({ ...env, ...more }).gateways
    assert(gateway?.driver === 'http')
    return httpHeaders(gateway.settings)
  }
  assert.deepEqual(headers({}), [])
  const named = { GATEWAY_HEADERS: '{"x-version":"2","x-shop":"a"}' }
  assert.deepEqual(headers(named), ['x-version', '2', 'x-shop', 'a'])
  assert.deepEqual(headers({ ...named, GATEWAY_AUTHORIZATION: 'Bearer s' }), [
    'authorization',
    'Bearer s',
    'x-version',
    '2',
    'x-shop',
    'a',
  ])
})

const TWO = {
  GATEWAYS: 'http,bank',
  PAYMENT_GATEWAY_URL: 'https://gateway.test',
  GATEWAY_TIMEOUT_SECONDS: '2',
  GATEWAY_BANK_DRIVER: 'http',
  GATEWAY_BANK_URL: 'https://bank.test',
  GATEWAY_BANK_TIMEOUT_SECONDS: '7',
  GATEWAY_BANK_LOOKUP: 'none',
  GATEWAY_ROUTES: 'withdraw:*=bank,*=http',
}

test('each gateway has terms of its own, and of one that is gone nothing is assumed', () => {
  const terms = termsOf(loadConfig(TWO))
  const all = ['http', 'bank', 'gone'].map((name) => {
    const { timeoutMs, lookup, gone = false } = terms(name)
    return [timeoutMs, lookup === 'none', gone]
  })
  assert.deepEqual(all, [
    [2_000, false, false],
    [7_000, true, false],
    [2_000, true, true],
  ])
})

test('what waits for a gateway that is not configured is counted over all shards', async (t) => {
  const { db, sql } = await testWorld(t, { shards: 3 })
  for (const [shard, count] of [1, 4, 2].entries()) {
    await sql(
      `insert into payment_tasks (shard, payment_id, gateway, operation, run_at)
       select $1, 3 * n + $1, case when n > 1 then 'old' else 'older' end, 'payout', '2030-01-01'
       from generate_series(1, $2::int) n`,
      [shard, count],
    )
  }
  const told: string[] = []
  const log = { warn: (problem: unknown) => void told.push(String(problem)) }
  await checkGateways({ db, config: loadConfig(TWO), log })
  assert.deepEqual(told.toSorted(), [
    'GATEWAYS must name old until its payments are final: 4 of them wait for it',
    'GATEWAYS must name older until its payments are final: 3 of them wait for it',
  ])
})
