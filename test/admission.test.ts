import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { keepBreaker, closeBreaker, tripBreaker } from '../src/gateways/breaker-store.ts'
import { admissionRefusal, type RouteLoad } from '../src/domain/admission.ts'
import { GATEWAY, type PaymentType } from '../src/domain/payment.ts'
import { Unavailable, type Db } from '../src/ports.ts'
import { admission, type Admission } from '../src/payments/admission.ts'
import { withShards } from '../src/each-shard.ts'
import { openDb, testWorld, type TestWorld, raw } from './harness.ts'
import { lost } from './operators.ts'
import { until } from './process-kit.ts'
import { done } from './refunds-kit.ts'
import { serve } from './serve.ts'

const MINUTE = 60_000
const HOUR = 3_600_000
const POLICY = { ageMsMax: MINUTE, outageMsMax: HOUR, outageTasksMax: 3 }
const CALM: RouteLoad = {
  outageMs: null,
  oldestDueMs: 0,
  closedMs: null,
  waiting: 0,
}

const CASES: readonly (readonly [load: Partial<RouteLoad>, refusal: string | null])[] = [
  [{}, null],
  [{ oldestDueMs: MINUTE }, null],
  [{ oldestDueMs: MINUTE + 1 }, 'overloaded'],
  [{ oldestDueMs: HOUR, closedMs: MINUTE }, null],
  [{ oldestDueMs: HOUR, closedMs: MINUTE + 1 }, 'overloaded'],
  [{ outageMs: 0, oldestDueMs: 2 * HOUR, waiting: 2 }, null],
  [{ outageMs: HOUR, waiting: 2 }, null],
  [{ outageMs: HOUR + 1, waiting: 1 }, 'gateway_unavailable'],
  [{ outageMs: HOUR + 1, waiting: 0 }, null],
  [{ outageMs: 1, waiting: 3 }, 'gateway_unavailable'],
]

for (const [load, refusal] of CASES) {
  test(`with ${JSON.stringify(load)} it is ${refusal ?? 'accepted'}`, () => {
    assert.equal(admissionRefusal({ ...CALM, ...load }, POLICY), refusal)
  })
}

test('a limit of 0 refuses nothing', () => {
  const off = { ageMsMax: 0, outageMsMax: 0, outageTasksMax: 0 }
  const worst = { oldestDueMs: 1e12, waiting: 1e9 }
  assert.equal(admissionRefusal({ ...CALM, ...worst }, off), null)
  assert.equal(admissionRefusal({ ...CALM, ...worst, outageMs: 1e12 }, off), null)
})

async function gated(t: TestContext): Promise<{ world: TestWorld; gate: Admission; user: bigint }> {
  const world = await testWorld(t)
  const { db, clock } = world
  const gate = admission({ gateways: [GATEWAY], db, clock, policy: POLICY })
  await gate.look()
  return { world, gate, user: await world.user(1_000_000n) }
}

/** The same database, with the number of statements about no shard that it was asked. */
function watched(db: Db) {
  const seen = { asked: 0 }
  const run: Db['global']['run'] = (...how) => {
    seen.asked += 1
    return db.global.run(...how)
  }
  return { seen, db: { ...db, global: { run } } }
}

test('while nobody asks, it looks every five seconds only', async (t) => {
  const world = await testWorld(t)
  const { clock } = world
  const { seen, db } = watched(world.db)
  const gate = admission({ gateways: [GATEWAY], db, clock, policy: POLICY })
  const route = { gateway: GATEWAY, operation: 'charge' } as const
  const turns = async (count: number, ask: () => unknown) => {
    const before = seen.asked
    for (let turn = 0; turn < count; turn += 1) {
      ask()
      await gate.turn()
      clock.advance(1_000)
    }
    return seen.asked - before
  }
  assert.equal(await turns(21, () => null), 5)
  assert.equal(await turns(5, () => gate.refusal(route)), 5)
  assert.equal(await turns(5, () => gate.breaker(route)), 5)
  assert.equal(await turns(5, () => gate.workedMs()), 5)
})

function accept({ world, user }: { world: TestWorld; user: bigint }, type: PaymentType) {
  return world.accept([{ type, userId: user, amount: 100n, idempotencyKey: null }])
}

const WHY = { cause: 'charges', reason: 'timeout', pauseMs: 1_000, pauseMsMax: 1_000 } as const
const AGED = `update gateway_breakers set opened_at = now() - interval '2 hours'`
const CHARGES = { gateway: GATEWAY, operation: 'charge' } as const
const PAYOUTS = { gateway: GATEWAY, operation: 'payout' } as const

test('payments are refused while the oldest one could have been begun long ago, and then no more', async (t) => {
  const own = await gated(t)
  const { world, gate } = own
  await accept(own, 'deposit')
  world.clock.advance(MINUTE)
  await gate.look()
  assert.equal(gate.refusal(CHARGES), null)
  world.clock.advance(1)
  await gate.look()
  assert.equal(gate.refusal(CHARGES), 'overloaded')
  assert.equal(gate.refusal(PAYOUTS), null, 'nothing of the other operation waits')
  await world.work()
  await gate.look()
  assert.equal(gate.refusal(CHARGES), null)
})

test('the oldest payment of all shards counts, in whichever it is, and those of all wait together', async (t) => {
  for (const old of [0, 1]) {
    const world = await testWorld(t, { shards: 2 })
    const { db, clock } = world
    const gate = admission({ gateways: [GATEWAY], db, clock, policy: POLICY })
    await gate.look()
    await tripBreaker(db.global, PAYOUTS, WHY)
    clock.advance(HOUR)
    const put = (shard: number, operation: string, ageMs: number, id: number) =>
      world.sql(
        `insert into payment_tasks (shard, payment_id, operation, run_at) values ($1, $2, $3, $4)`,
        [shard, id, operation, new Date(clock.now().getTime() - ageMs)],
      )
    await put(old, 'charge', MINUTE + 1, 100)
    await put(1 - old, 'charge', 1, 101)
    await put(0, 'payout', 1, 102)
    await put(1, 'payout', 1, 103)
    await gate.look()
    assert.equal(gate.refusal(CHARGES), 'overloaded', `in shard ${old}`)
    assert.equal(gate.refusal(PAYOUTS), null)
    await put(old, 'payout', 1, 104)
    await gate.look()
    assert.equal(gate.refusal(PAYOUTS), 'gateway_unavailable')
  }
})

test('after a downtime an overdue task is no sign of too much work', async (t) => {
  const own = await gated(t)
  const { world } = own
  await accept(own, 'deposit')
  world.clock.advance(HOUR)
  const { db, clock } = world
  const fresh = admission({ gateways: [GATEWAY], db, clock, policy: POLICY })
  await fresh.look()
  assert.equal(fresh.refusal(CHARGES), null)
  world.clock.advance(MINUTE + 1)
  await fresh.look()
  assert.equal(fresh.refusal(CHARGES), 'overloaded', 'a minute later it is')
})

test('after an outage of the database an overdue task is no sign of too much work', async (t) => {
  const own = await gated(t)
  const { world } = own
  const { clock } = world
  const away = { now: false }
  const answer = <T>(read: () => Promise<T>) =>
    away.now ? Promise.reject(new Unavailable('away')) : read()
  const db: Db = {
    ...withShards(world.db, (shard) => ({
      ...shard,
      run: (statement, values) => answer(() => shard.run(statement, values)),
    })),
    global: { run: (statement, values) => answer(() => world.db.global.run(statement, values)) },
  }
  const gate = admission({ gateways: [GATEWAY], db, clock, policy: POLICY })
  await gate.look()
  await accept(own, 'deposit')
  clock.advance(HOUR)
  away.now = true
  await gate.look()
  away.now = false
  await gate.look()
  assert.equal(gate.refusal(CHARGES), null)
  clock.advance(MINUTE + 1)
  await gate.look()
  assert.equal(gate.refusal(CHARGES), 'overloaded', 'a minute later it is')
})

test('payments wait for a gateway that is out of reach, up to a time, and the others go on', async (t) => {
  const own = await gated(t)
  const { world, gate } = own
  const { db, clock } = world
  await accept(own, 'withdraw')
  await tripBreaker(db.global, PAYOUTS, WHY)
  clock.advance(HOUR)
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), null)
  clock.advance(1)
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), 'gateway_unavailable')
  assert.equal(gate.refusal(CHARGES), null)

  await closeBreaker(db.global, PAYOUTS)
  clock.advance(MINUTE)
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), null, 'what waited meanwhile has a minute to be begun')
  clock.advance(1)
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), 'overloaded')
})

test('only so many payments wait for a gateway that is out of reach', async (t) => {
  const own = await gated(t)
  const { world, gate } = own
  await tripBreaker(world.db.global, PAYOUTS, WHY)
  for (let payment = 1; payment <= 3; payment += 1) {
    await gate.look()
    assert.equal(gate.refusal(PAYOUTS), null)
    await accept(own, 'withdraw')
  }
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), 'gateway_unavailable')
})

test('the next payment is accepted where none waits, so that somebody finds out that the gateway is back', async (t) => {
  const own = await gated(t)
  const { world, gate } = own
  await tripBreaker(world.db.global, PAYOUTS, WHY)
  world.clock.advance(10 * HOUR)
  await gate.look()
  assert.equal(gate.refusal(PAYOUTS), null)
})

test('every way in refuses only the operation whose gateway is out of reach, and health says why', async (t) => {
  const roles = { api: true, worker: false, mockGateway: false }
  const own = await serve(t, { PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9' }, { roles })
  const { global: db } = openDb(t, own.database)
  const user = await own.call('POST', '/users', { balance: 100 })
  const user_id = Number(user.body['id'])
  const withdraw = (more: object = {}) =>
    own.call('POST', '/payments/withdraw', { user_id, amount: 1, ...more })
  assert.equal((await withdraw()).status, 202)
  const health = async () => (await own.call('GET', '/health')).body
  assert.equal((await health())['worker'], 'none')

  const wrong = { cause: 'misconfigured', reason: 'http_401' } as const
  await keepBreaker(db, GATEWAY, [{ operation: 'payout', answeredMs: null }])
  await tripBreaker(db, PAYOUTS, { ...wrong, pauseMs: HOUR, pauseMsMax: HOUR })
  await db.run(raw(AGED), [])
  await until('withdrawals are refused', async () => (await withdraw()).status === 503)
  const plain = await withdraw()
  assert.equal(plain.body['code'], 'gateway_unavailable')
  assert.ok(Number(plain.headers.get('retry-after')) > 0)
  const odd = await own.call('POST', '/payments/withdraw?', { user_id, amount: '1.00' })
  assert.equal(odd.body['code'], 'gateway_unavailable', 'through the framework as well')
  const deposit = await own.call('POST', '/payments/deposit', { user_id, deposit: 1 })
  assert.equal(deposit.status, 202)
  const items = ['deposit', 'withdraw', 'deposit'].map((type) => ({ type, user_id, amount: 1 }))
  const batch = await own.call('POST', '/payments/batch', { payments: items })
  const text = batch.text
  assert.equal(text.match(/"gateway_unavailable"/g)?.length, 1, text)
  assert.equal(text.match(/"processing"/g)?.length, 2, text)
  const sick = await health()
  assert.equal(sick['status'], 'degraded')
  assert.equal(sick['worker'], 'ok', 'some worker lives')
  assert.deepEqual((sick['gateways'] as object[])[1], {
    gateway: 'http',
    operation: 'payout',
    breaker: 'open',
    misconfigured: true,
    reason: 'http_401',
  })

  await closeBreaker(db, PAYOUTS)
  await until('withdrawals are accepted again', async () => (await withdraw()).status === 202)
  assert.equal((await health())['status'], 'ok')
})

test('refunds are refused while their own operation is out of reach, and by no other', async (t) => {
  const roles = { api: true, worker: false, mockGateway: false }
  const world = await testWorld(t)
  const { id, userId } = await done(world)
  const env = { PAYMENT_GATEWAY_URL: 'http://127.0.0.1:9', GATEWAY_OUTAGE_MAX: '1' }
  const { call } = await serve(t, env, { roles, database: world.url })
  const { global: db } = openDb(t, world.url)
  const charge = { gateway: GATEWAY, operation: 'charge' } as const
  const refund = { gateway: GATEWAY, operation: 'refund' } as const
  const long = { ...WHY, pauseMs: HOUR, pauseMsMax: HOUR }
  const refunded = () => call('POST', `/payments/${id}/refunds`, { amount: 0.01, reason: 'back' })
  const deposited = () =>
    call('POST', '/payments/deposit', { user_id: Number(userId), deposit: '0.01' })

  await tripBreaker(db, charge, long)
  await until('deposits are refused', async () => (await deposited()).status === 503)
  assert.equal((await refunded()).status, 202)
  await tripBreaker(db, refund, long)
  await closeBreaker(db, charge)
  await until('refunds are refused', async () => (await refunded()).status === 503)
  assert.equal((await refunded()).body['code'], 'gateway_unavailable')
  await until('deposits are accepted', async () => (await deposited()).status === 202)
})

test('nobody is asked out of turn while the operation of the payment is out of reach', async (t) => {
  const asked: string[] = []
  const gateway = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(500).end()
  })
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  t.after(() => gateway.close())
  const { port } = gateway.address() as AddressInfo
  const world = await testWorld(t)
  // Long before now, so that neither was asked about a moment ago.
  world.clock.advance(-10 * 365 * 24 * HOUR)
  const [charge, payout] = [await lost(world, 'deposit'), await lost(world, 'withdraw')]
  const { global: db } = openDb(t, world.url)
  await tripBreaker(db, PAYOUTS, { ...WHY, pauseMs: HOUR, pauseMsMax: HOUR })
  const env = { PAYMENT_GATEWAY_URL: `http://127.0.0.1:${port}` }
  const roles = { api: true, worker: false, mockGateway: false }
  const { call } = await serve(t, env, { roles, database: world.url })
  const breakerIs = (state: string) =>
    until(`the breaker of payouts is ${state}`, async () => {
      const { body } = await call('GET', '/health')
      return (body['gateways'] as { breaker: string }[])[1]?.breaker === state
    })
  await breakerIs('open')
  for (const id of [payout, charge]) await call('GET', `/payments/${id}?refresh=true`)
  const keyOf = async (id: bigint) => `/payments/${(await world.view(id)).payment.gatewayKey}`
  assert.deepEqual(asked, [await keyOf(charge)])
  await closeBreaker(db, PAYOUTS)
  await breakerIs('closed')
  await call('GET', `/payments/${payout}?refresh=true`)
  assert.deepEqual(asked, [await keyOf(charge), await keyOf(payout)])
})
