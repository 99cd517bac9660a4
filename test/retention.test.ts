import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withShards } from '../src/each-shard.ts'
import { feed } from '../src/events/feed.ts'
import { pageOfEvents } from '../src/events/read.ts'
import { Unavailable } from '../src/ports.ts'
import { forgettingTurn } from '../src/process/retention.ts'
import { start } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { verify } from '../src/verify/verify.ts'
import { dropEndpoint } from '../src/webhooks/endpoints.ts'
import { dropOldEvents } from '../src/webhooks/drop-old-events.ts'
import { query } from './databases.ts'
import { want } from './events-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { somebodyElse, someoneWaits } from './operators.ts'
import { carriedOut, delivered, found, START } from './replay-kit.ts'
import { serve } from './serve.ts'
import { BY, delivering, receiver, states, status, succeed } from './webhooks-kit.ts'

const DAY_MS = 86_400_000
const KEEP_DAYS = 30

/** Drop what is old in every shard, until nothing older is left. Returns the turns that it took. */
async function dropped(world: TestWorld): Promise<number> {
  let turns = 0
  for (const shard of world.db.shards) {
    let after: bigint | null = 0n
    while (after !== null) {
      after = await dropOldEvents(shard, after, KEEP_DAYS)
      turns += 1
    }
  }
  return turns
}

async function counts(world: TestWorld) {
  const [row] = await world.sql<Record<'events' | 'deliveries' | 'attempts', bigint>>(
    `select
       (select count(*) from events) as events,
       (select count(*) from deliveries) as deliveries,
       (select count(*) from delivery_attempts) as attempts`,
  )
  return [row?.events, row?.deliveries, row?.attempts].map(Number)
}

test('events older than they are kept go with their deliveries and attempts, and younger ones stay', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world, 5)
  await delivered(turn)
  world.clock.advance(KEEP_DAYS * DAY_MS)
  await succeed(world, 3)
  await delivered(turn)
  await dropped(world)
  assert.deepEqual(await counts(world), [8, 8, 8], 'thirty days are not more than thirty days')
  world.clock.advance(1)
  await dropped(world)
  assert.deepEqual(await counts(world), [3, 3, 3])
})

test('what is on its way stays until it has arrived or was given up, unless its endpoint was removed', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(500))
  const [kept, removed] = [await endpoint(to.url), await endpoint(to.url)]
  await succeed(world, 2)
  await turn()
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  await dropEndpoint(world.db, removed.id, BY)
  await world.sql(
    `update deliveries set state = 'failed', ended_at = now()
     where endpoint_id = $1 and event_id = (select min(event_id) from deliveries)`,
    [kept.id],
  )
  await dropped(world)
  assert.deepEqual(await states(world), [
    { state: 'pending', attempts: 1 },
    { state: 'pending', attempts: 1 },
  ])
  to.answers.splice(0, 1, status(200))
  await delivered(turn)
  await dropped(world)
  assert.deepEqual(await counts(world), [0, 0, 0])
})

test('a thousand events are dropped in one turn at most, behind those that stay', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.succeeded'])
  await world.sql(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
     select 0, n, n, 'payment.succeeded', 1, '{}', timestamptz '2029-01-01', n
     from generate_series(1, 2500) n`,
  )
  await world.sql('update event_wants set position = 2500')
  await world.sql(
    `insert into webhook_subscriptions (shard, endpoint_id, version, types)
     values (0, 9, 1, '{payment.succeeded}')`,
  )
  await world.sql(
    `insert into deliveries
       (shard, event_id, endpoint_id, payment_id, position, run_at, created_at)
     select 0, n, 9, n, n, now(), now() from generate_series(1, 1500) n`,
  )
  assert.equal(await dropped(world), 3)
  assert.deepEqual(await counts(world), [1_500, 1_500, 0])
  await world.sql(`update deliveries set state = 'failed', ended_at = now()`)
  assert.equal(await dropped(world), 2)
  assert.deepEqual(await counts(world), [0, 0, 0])
})

test('who was passed over while it was on its way is dropped once it has arrived, by the same process', async (t) => {
  const world = await testWorld(t)
  await world.sql(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
     select 0, n, n, 'payment.succeeded', 1, '{}', timestamptz '2029-01-01', n
     from generate_series(1, 1500) n`,
  )
  await world.sql(
    `insert into webhook_subscriptions (shard, endpoint_id, version, types)
     values (0, 9, 1, '{payment.succeeded}')`,
  )
  await world.sql(
    `insert into deliveries
       (shard, event_id, endpoint_id, payment_id, position, run_at, created_at)
     values (0, 1, 9, 1, 1, now(), now())`,
  )
  const turn = forgettingTurn(world.db, KEEP_DAYS, (error) => assert.fail(String(error)))
  assert.deepEqual([await turn(), await turn()], [true, false])
  assert.deepEqual(await counts(world), [1, 1, 0])
  await world.sql(`update deliveries set state = 'delivered', ended_at = now()`)
  await turn()
  assert.deepEqual(await counts(world), [0, 0, 0])
})

test('a page behind a cursor of what is gone says so, and goes on with what is kept at once', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.succeeded'])
  await succeed(world, 2)
  await feed(world.db)
  const first = await pageOfEvents(world.db, [0n], null, 1)
  assert.deepEqual([first.next, first.dropped], [[1n], false])
  await world.sql(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
     select 0, 1000000 + n, n, 'payment.succeeded', 1, '{}', timestamptz '2030-01-01', n
     from generate_series(3, 2000) n`,
  )
  await world.sql('update event_wants set position = 50000')
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  await succeed(world)
  await feed(world.db)
  await dropped(world)
  const page = await pageOfEvents(world.db, first.next, null, 10)
  assert.deepEqual(
    page.events.map(({ position }) => position),
    [50_001n],
    'what is gone takes no pages',
  )
  assert.equal(page.dropped, true)
  const next = await pageOfEvents(world.db, page.next, null, 10)
  assert.deepEqual([next.events, next.next, next.dropped], [[], [50_001n], false])
})

test('who begins without a cursor is not told of what is gone, and who has an old one is', async (t) => {
  const { call, database } = await serve(t)
  await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
  const [before, ...none] = [await call('GET', '/events')]
  assert.deepEqual([before.body['dropped'], none], [false, []])
  await query(database, 'update event_wants set position = 7, dropped = 7')
  const asked = `/events?after=${String(before.body['next_cursor'])}`
  assert.equal((await call('GET', asked)).body['dropped'], true)
  const fresh = await call('GET', '/events')
  assert.equal(fresh.body['dropped'], false)
  const next = await call('GET', `/events?after=${String(fresh.body['next_cursor'])}`)
  assert.equal(next.body['dropped'], false)
})

test('an event that is sent again right now is not dropped under its delivery', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 2)
  await delivered(turn)
  const [{ first = 0n } = {}] = await world.sql<{ first: bigint }>(
    'select min(id) as first from events',
  )
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  const { snapshot } = await found(world, id)
  const other = await somebodyElse(t, world)
  await other.lock('events', first)
  await dropped(world)
  assert.deepEqual(await counts(world), [1, 1, 1], 'the one that somebody has is left alone')
  await start(world.world, snapshot, { ...START, endpointId: id })
  const sending = carriedOut(world)
  await someoneWaits(world)
  await other.release()
  await sending
  const run = await readRun(world.db.global, snapshot, id)
  assert.deepEqual([run?.carriedOut, run?.skipped], [1, 1], 'what is gone is skipped')
  await dropped(world)
  assert.deepEqual(await states(world), [{ state: 'pending', attempts: 0 }])
  await delivered(turn)
  await dropped(world)
  assert.deepEqual(await counts(world), [0, 0, 0])
})

test('verify misses no event that was dropped for its age, and still misses a younger one', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.*'])
  await succeed(world, 2)
  await feed(world.db)
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  await succeed(world)
  await feed(world.db)
  await dropped(world)
  const broken = async () => {
    const { rules } = await verify(world)
    return rules.filter(({ violations }) => violations > 0).map(({ rule }) => rule)
  }
  assert.deepEqual(await broken(), [])
  await world.sql('delete from events')
  assert.deepEqual(await broken(), ['event_missing'])
})

test('of events that are dropped together the newest says what verify has not to miss, and the furthest what a cursor has', async (t) => {
  const world = await testWorld(t)
  await want(world, ['payment.*'])
  for (let days = 0; days < 3; days += 1) {
    await succeed(world)
    await feed(world.db)
    world.clock.advance(DAY_MS)
  }
  world.clock.advance(KEEP_DAYS * DAY_MS)
  await dropped(world)
  assert.deepEqual((await counts(world))[0], 0)
  const { rules } = await verify(world)
  assert.deepEqual(
    rules.filter(({ violations }) => violations > 0),
    [],
  )
  for (const [after, isDropped] of [
    [1n, true],
    [2n, true],
    [3n, false],
  ] as const) {
    const page = await pageOfEvents(world.db, [after], null, 10)
    assert.equal(page.dropped, isDropped, `behind ${after}`)
  }
})

test('what an endpoint waits for is looked at again without a lock, and goes once it has ended', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(500))
  await endpoint(to.url)
  await succeed(world, 2)
  await turn()
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  let transactions = 0
  const { shards } = withShards(world.db, (shard) => ({
    ...shard,
    transaction(...how) {
      transactions += 1
      return shard.transaction(...how)
    },
  }))
  const drop = async () => {
    for (const shard of shards) await dropOldEvents(shard, 0n, KEEP_DAYS)
    return [transactions, ...(await counts(world)).slice(0, 1)]
  }
  await world.sql('update webhook_subscriptions set deliver = false')
  assert.deepEqual(await drop(), [0, 2])
  await world.sql(
    `update deliveries set state = 'failed', ended_at = now()
     where event_id = (select min(event_id) from deliveries)`,
  )
  assert.deepEqual(await drop(), [1, 1], 'its neighbour is still waited for')
})

test('while the home side or a shard is away, what is old everywhere else is forgotten', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world, 4)
  await delivered(turn)
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  const [before = 0] = await counts(world)
  assert.equal(before, 4)
  const away = () => Promise.reject(new Unavailable('away'))
  const told: unknown[] = []
  const home = { ...world.db, global: { run: away } }
  await forgettingTurn(home, KEEP_DAYS, (error) => told.push(error))()
  assert.deepEqual([(await counts(world))[0], told.length], [0, 1])

  const asked: string[] = []
  const ill = withShards(world.db, (shard) => ({ ...shard, run: away, transaction: away }))
  const global: typeof ill.global = {
    run(statement, values) {
      asked.push(statement.name)
      return world.db.global.run(statement, values)
    },
  }
  await forgettingTurn({ ...ill, global }, KEEP_DAYS, (error) => told.push(error))()
  assert.deepEqual([asked.length, told.length], [1, 3])
})

test('what had to wait and is dropped late takes back nothing of what is said to be gone', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(500))
  const { id } = await endpoint(to.url)
  await succeed(world, 2)
  await turn()
  await world.sql(
    `update deliveries set state = 'failed', ended_at = now() where position = $1`,
    [2],
  )
  world.clock.advance((KEEP_DAYS + 1) * DAY_MS)
  const isDropped = async (after: bigint) =>
    (await pageOfEvents(world.db, [after], null, 10)).dropped
  await dropped(world)
  assert.equal(await isDropped(1n), true, 'the second is gone')
  await dropEndpoint(world.db, id, BY)
  await dropped(world)
  assert.deepEqual((await counts(world))[0], 0)
  assert.equal(await isDropped(1n), true, 'the first went behind it')
})
