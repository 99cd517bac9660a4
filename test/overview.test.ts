import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { readShare } from '../src/adapters/read-share.ts'
import { overview, sharedOverview, type Overview } from '../src/overview/overview.ts'
import { sharedAnswer } from '../src/overview/shared-answer.ts'
import type { Db, Shard } from '../src/ports.ts'
import { keepRecent } from '../src/verify/runs-store.ts'
import { manualClock, openDb, raw, testWorld, type TestWorld } from './harness.ts'
import { accepted, declined, lost } from './operators.ts'
import { until } from './process-kit.ts'
import { serve } from './serve.ts'

const CLOSED = {
  gateway: 'http',
  operation: 'charge',
  breaker: 'closed',
  misconfigured: false,
  reason: null,
} as const

function look(world: TestWorld): Promise<Overview> {
  const { db, clock } = world
  return overview({ db, clock, routes: () => [CLOSED], workerAlive: () => true })
}

/** The database as if it had so many shards, all of which are its first one. */
function ofShards(db: Db, count: number): Db {
  return { ...db, shards: Array.from({ length: count }, () => db.shards[0] as Shard) }
}

const NOTHING = { count: 0, amount: 0n, oldestAt: null }

for (const shards of [1, 3]) {
  test(`an overview sums up what is open, by currency and with its age, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const start = world.clock.now()
    const empty = await look(world)
    assert.deepEqual(empty.queue, { due: 0, leased: 0, waiting: 0, oldestDueAt: null })
    assert.deepEqual(empty.atRisk, [
      { currency: 'USD', unknown: NOTHING, pending: NOTHING, held: 0n },
    ])

    world.gateway.script = ['pending']
    await accepted(world, 'withdraw', 2)
    await world.work()
    await lost(world, 'deposit')
    await declined(world, 'deposit')
    world.gateway.script = ['success']
    await accepted(world, 'deposit', 3)
    const dueAt = world.clock.now()
    world.clock.advance(500)

    const { queue, atRisk, letters } = await look(world)
    assert.deepEqual([queue.due >= 3, queue.oldestDueAt !== null], [true, true])
    assert.ok((queue.oldestDueAt ?? start) <= dueAt)
    const [usd, ...others] = atRisk
    assert.deepEqual(others, [])
    assert.deepEqual([usd?.unknown.count, usd?.unknown.amount], [1, 5_000n])
    assert.deepEqual(usd?.pending, { count: 2, amount: 10_000n, oldestAt: start })
    assert.equal(usd?.held, 10_200n)
    assert.deepEqual([letters.unknown.count, letters.failed.count], [1, 1])
  })
}

test('amounts in other currencies are sums of their own, behind those of the books', async (t) => {
  const world = await testWorld(t)
  await lost(world, 'withdraw')
  await world.sql(`update dead_letters set currency = 'JPY'`)
  await world.sql(`update users set currency = 'JPY'`)
  const { atRisk } = await look(world)
  assert.deepEqual(
    atRisk.map(({ currency, unknown, held }) => [currency, unknown.amount, held > 0n]),
    [
      ['USD', 0n, false],
      ['JPY', 5_000n, true],
    ],
  )
})

test('lately is five minutes, of all and of each gateway', async (t) => {
  const world = await testWorld(t)
  await declined(world, 'deposit')
  world.clock.advance(6 * 60_000)
  world.gateway.script = ['success']
  await accepted(world, 'deposit', 3)
  await world.work()
  world.clock.advance(30_000)
  const found = await look(world)
  assert.equal(found.accepted, 3)
  assert.equal(found.seconds, 270 + ((world.clock.now().getTime() / 1_000 - 30) % 60))
  const { p50Ms, p95Ms, ...counts } = found.lately
  assert.deepEqual(counts, { succeeded: 3, failed: 0, unknown: 0 })
  assert.ok(p50Ms !== null && p95Ms !== null && p50Ms <= p95Ms)
  assert.deepEqual(found.gateways, [{ ...CLOSED, lately: found.lately }])
})

test('an endpoint at which something did not arrive is failing, one that was not called is not', async (t) => {
  const world = await testWorld(t)
  const delivery = (endpoint: number, event: number, attempts: number, state = 'pending') =>
    world.sql(
      `insert into deliveries
         (shard, event_id, endpoint_id, payment_id, position, state, run_at, attempts, created_at,
          ended_at)
       values (0, $2, $1, 1, $2, $4::text, '2030-01-01', $3,
         timestamptz '2030-01-01' + $2::bigint * interval '1 s',
         case when $4::text <> 'pending' then timestamptz '2030-01-01' end)`,
      [endpoint, event, attempts, state],
    )
  await delivery(1, 1, 0)
  await delivery(2, 2, 3)
  await delivery(2, 3, 1)
  await delivery(3, 4, 5, 'failed')
  const { webhooks } = await look(world)
  assert.deepEqual(webhooks, {
    endpoints: 0,
    disabled: 0,
    failing: 1,
    deliveries: 2,
    oldestAt: new Date('2030-01-01T00:00:02Z'),
    at: [{ endpointId: 2n, count: 2, oldestAt: new Date('2030-01-01T00:00:02Z') }],
  })
})

/** A shared overview, and how often it was read. */
async function sharedRead(t: TestContext) {
  const world = await testWorld(t)
  const state = { reads: 0, broken: false }
  const read = sharedOverview({
    ...world,
    workerAlive() {
      state.reads += 1
      if (state.broken) throw new Error('away')
      return true
    },
    routes: () => [],
  })
  return { world, state, read }
}

test('however many ask, an overview is read once a second, whether or not it fails', async (t) => {
  const { world, state, read } = await sharedRead(t)
  await Promise.all([read(), read(), read()])
  assert.equal(state.reads, 1)
  world.clock.advance(999)
  await read()
  assert.equal(state.reads, 1)
  world.clock.advance(1)
  state.broken = true
  await assert.rejects(read(), /away/)
  state.broken = false
  world.clock.advance(999)
  await assert.rejects(read(), /away/)
  assert.equal(state.reads, 2)
  world.clock.advance(1)
  await read()
  assert.equal(state.reads, 3)
})

test('an answer that takes long is not asked for again meanwhile, and is kept from its end', async () => {
  const clock = manualClock()
  const asked: { resolve: (said: string) => void; reject: (error: Error) => void }[] = []
  const read = sharedAnswer(clock, 5_000, () => {
    return new Promise<string>((resolve, reject) => void asked.push({ resolve, reject }))
  })
  const first = read()
  clock.advance(60_000)
  const second = read()
  assert.equal(asked.length, 1)
  asked[0]?.resolve('a')
  assert.deepEqual(await Promise.all([first, second]), ['a', 'a'])
  clock.advance(4_999)
  assert.equal(await read(), 'a')
  clock.advance(1)
  const third = read()
  assert.equal(asked.length, 2)
  clock.advance(60_000)
  asked[1]?.reject(new Error('away'))
  await assert.rejects(third, /away/)
  clock.advance(999)
  await assert.rejects(read(), /away/)
  clock.advance(1)
  void read()
  assert.equal(asked.length, 3, 'what failed is kept for a second at most')
})

test('what is held is summed over all users every thirty seconds at most', async (t) => {
  const { world, read } = await sharedRead(t)
  const heldNow = async () => (await read()).atRisk[0]?.held
  assert.equal(await heldNow(), 0n)
  world.gateway.script = ['pending']
  await accepted(world, 'withdraw', 1)
  world.clock.advance(29_999)
  assert.equal(await heldNow(), 0n)
  world.clock.advance(1_000)
  assert.equal(await heldNow(), 5_100n)
})

test('an overview of many shards asks one statement at a time', async (t) => {
  const { db, clock } = await testWorld(t)
  const reads = readShare(ofShards(db, 64), { runningMax: 1, waitingMax: 0 })
  const found = await overview({ db: reads, clock, routes: () => [], workerAlive: () => true })
  assert.equal(found.accepted, 0)
})

test('the newest check of the books is shown, whoever made it', async (t) => {
  const { call, database } = await serve(t)
  const books = async () => (await call('GET', '/overview')).body['books']
  assert.deepEqual(await books(), { recent: null, full: null, running: null })
  const { global: db } = openDb(t, database)
  const report = { complete: true, duration_ms: 1, violations: 2, rules: [{}, {}, {}] }
  await keepRecent(db, new Date('2030-01-01T00:00:00Z'), report)
  const [row] = await db.run(
    raw<{ id: bigint; ended: Date }>(`select id, ended_at as ended from verifications`),
    [],
  )
  const shown = await until('it is read again', async () => {
    const { recent } = (await books()) as { recent: object | null }
    return recent
  })
  assert.deepEqual(shown, {
    verification_id: Number(row?.id),
    ended_at: row?.ended.toISOString(),
    rules: 3,
    violations: 2,
    complete: true,
  })
})

test('what is polled is not sent again while it is the same', async (t) => {
  const { url, call } = await serve(t)
  await call('POST', '/users', { balance: 10 })
  for (const path of ['/users/1', '/users', '/payments', '/dlq', '/series', '/session']) {
    const first = await call('GET', path)
    const etag = first.headers.get('etag') ?? ''
    assert.match(etag, /^"[\w-]{27}"$/, path)
    const again = await fetch(`${url}/api/v1${path}`, { headers: { 'if-none-match': etag } })
    assert.deepEqual([again.status, await again.text()], [304, ''], path)
    assert.equal(again.headers.get('etag'), etag)
    assert.equal(again.headers.get('cache-control'), 'no-store')
    assert.notEqual(again.headers.get('x-request-id'), null)
  }
  const before = (await call('GET', '/users')).headers.get('etag') ?? ''
  await call('POST', '/users', { balance: 10 })
  const after = await call('GET', '/users', undefined, { 'if-none-match': before })
  assert.equal(after.status, 200)
  for (const path of ['/users/99', '/nothing']) {
    const none = await call('GET', path, undefined, { 'if-none-match': '*' })
    assert.deepEqual([none.status, none.headers.get('etag')], [404, null])
  }
})
