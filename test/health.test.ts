import assert from 'node:assert/strict'
import fastify from 'fastify'
import { test, type TestContext } from 'node:test'
import {
  cachedProbe,
  healthRoutes,
  probeRoutes,
  type DatabaseState,
  type RouteHealth,
} from '../src/http/health.ts'
import { manualClock } from './harness.ts'

/** What a process knows of itself; everything is well. */
const WELL = {
  database: 'ok' as DatabaseState,
  accepting: true,
  worker: true as boolean | null,
  workedMs: 0,
  breakers: ['closed', 'closed'] as readonly RouteHealth['breaker'][],
}

function routesOf(breakers: typeof WELL.breakers): RouteHealth[] {
  return (['charge', 'payout'] as const).map((operation, index) => ({
    gateway: 'http',
    operation,
    breaker: breakers[index] ?? 'closed',
    misconfigured: index === 1,
    reason: index === 1 ? 'http_401' : null,
  }))
}

async function ask(t: TestContext, path: string, known: Partial<typeof WELL>) {
  const now = { ...WELL, ...known }
  const probes = {
    database: () => Promise.resolve(now.database),
    accepting: () => now.accepting,
    worker: () => now.worker,
  }
  const app = fastify()
  t.after(() => app.close())
  const routes = { routes: () => routesOf(now.breakers), workedMs: () => now.workedMs }
  await app.register(healthRoutes({ ...probes, ...routes }))
  await app.register(probeRoutes(probes))
  const answer = await app.inject(path)
  return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() }
}

const HEALTH: readonly (readonly [
  known: Partial<typeof WELL>,
  status: string,
  worker: string,
  breaker: string,
])[] = [
  [{}, 'ok', 'ok', 'closed'],
  [{ database: 'read_only' }, 'degraded', 'ok', 'closed'],
  [{ database: 'unavailable' }, 'degraded', 'ok', 'closed'],
  [{ database: 'partly' }, 'degraded', 'ok', 'closed'],
  [{ worker: false }, 'degraded', 'stalled', 'closed'],
  [{ accepting: false }, 'degraded', 'ok', 'closed'],
  [{ breakers: ['closed', 'half_open'] }, 'degraded', 'ok', 'half_open'],
  [{ breakers: ['open', 'half_open'] }, 'degraded', 'ok', 'open'],
  [{ breakers: ['half_open', 'open'] }, 'degraded', 'ok', 'open'],
  [{ worker: null, workedMs: 29_999 }, 'ok', 'ok', 'closed'],
  [{ worker: null, workedMs: 30_000 }, 'ok', 'none', 'closed'],
  [{ worker: null, workedMs: Infinity }, 'ok', 'none', 'closed'],
  // A worker of this process is the one that is spoken of.
  [{ worker: false, workedMs: 0 }, 'degraded', 'stalled', 'closed'],
]

test('health is ok only while database, worker, gateways and the process itself are', async (t) => {
  for (const [known, status, worker, breaker] of HEALTH) {
    const { status: code, body } = await ask(t, '/health', known)
    const { database = 'ok', breakers = WELL.breakers } = known
    assert.equal(code, 200)
    const servers = database === 'partly' ? 'some' : 'all'
    const shown = database === 'partly' ? 'ok' : database
    const gateways = routesOf(breakers)
    assert.deepEqual(
      body,
      { status, database: shown, servers, worker, gateway_breaker: breaker, gateways },
      JSON.stringify(known),
    )
  }
})

const PROBES: readonly (readonly [
  path: string,
  known: Partial<typeof WELL>,
  code: number,
  status: string,
])[] = [
  ['/livez', {}, 200, 'ok'],
  ['/livez', { worker: null }, 200, 'ok'],
  ['/livez', { worker: false }, 503, 'stalled'],
  // An outage of the database, or a stop, is no reason to restart.
  ['/livez', { database: 'unavailable', accepting: false }, 200, 'ok'],
  ['/readyz', {}, 200, 'ok'],
  ['/readyz', { worker: false }, 200, 'ok'],
  ['/readyz', { database: 'read_only' }, 503, 'database_read_only'],
  ['/readyz', { database: 'unavailable' }, 503, 'no_database'],
  // Some of several servers are enough.
  ['/readyz', { database: 'partly' }, 200, 'ok'],
  ['/readyz', { accepting: false }, 503, 'stopping'],
  ['/readyz', { accepting: false, database: 'unavailable' }, 503, 'stopping'],
]

test('alive is a process whose worker turns, ready one that accepts and whose database takes writes', async (t) => {
  for (const [path, known, code, status] of PROBES) {
    const answer = await ask(t, path, known)
    assert.deepEqual([answer.status, answer.body], [code, { status }], `${path} ${status}`)
  }
})

test('the database is asked about its health once a second, however often we are', async () => {
  const clock = manualClock()
  let asked = 0
  const states: DatabaseState[] = ['read_only', 'ok']
  const probe = cachedProbe(() => {
    asked += 1
    return Promise.resolve(states.shift() ?? 'unavailable')
  }, clock)
  assert.deepEqual(await Promise.all([probe(), probe()]), ['read_only', 'read_only'])
  clock.advance(999)
  assert.equal(await probe(), 'read_only')
  assert.equal(asked, 1)
  clock.advance(1)
  assert.equal(await probe(), 'ok')
  clock.advance(999)
  assert.equal(await probe(), 'ok')
  assert.equal(asked, 2)
})
