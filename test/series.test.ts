import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { redrive } from '../src/dead-letters/redrive.ts'
import { eachServer, whole } from '../src/each-shard.ts'
import type { Shard } from '../src/ports.ts'
import { seededRandom } from '../src/domain/random.ts'
import {
  LATENCY_BOUNDS_MS,
  LATENCY_CLASSES,
  plusClasses,
  quantileMs,
  SPANS,
  type SeriesSpan,
} from '../src/domain/series.ts'
import { series, type Series } from '../src/metrics/series.ts'
import { foldCounts, forgetHours, rollUpMinutes } from '../src/metrics/series-store.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { CALM, FAST, until } from './process-kit.ts'
import { countedOf } from './series-kit.ts'
import { serve } from './serve.ts'
import { busyHistory, randomDrafts } from './verify-history.ts'

const HOUR_MS = 3_600_000

async function assertAgrees(world: TestWorld, span: SeriesSpan): Promise<Series> {
  const found = await series(world, span)
  const steps = await countedOf(world, found.times, found.stepSeconds)
  assert.deepEqual(
    found.times.map((time, at) => ({
      time,
      accepted: found.accepted[at],
      succeeded: found.succeeded[at],
      failed: found.failed[at],
      unknown: found.unknown[at],
      amount: found.currencies.reduce((sum, { amounts }) => sum + (amounts[at] ?? 0n), 0n),
    })),
    steps,
    span,
  )
  const ended = steps.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0)
  assert.equal(
    found.latency.reduce((sum, count) => sum + count, 0),
    ended,
  )
  for (const name of ['succeeded', 'failed', 'unknown'] as const) {
    const parts = found.times.map((_, at) =>
      found.gateways.reduce((sum, own) => sum + (own[name][at] ?? 0), 0),
    )
    assert.deepEqual(parts, found[name], `${name} by gateway`)
  }
  return found
}

for (const shards of [1, 3]) {
  test(`the series of a week are what SQL finds among its payments, on ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const random = seededRandom(7)
    const users = [await world.user(900_000n), await world.user(5_000n), await world.user(0n)]
    const share = (of: number) => random() < of
    for (let step = 0; step < 7 * 24; step += 1) {
      world.gateway.script = share(0.3) ? ['declined'] : share(0.2) ? ['lost_reply'] : ['success']
      world.gateway.lookups = share(0.3) ? { kind: 'no_answer', reason: 'timeout' } : null
      await world.accept(randomDrafts(random, users, 1 + Math.floor(random() * 4)))
      world.clock.advance(Math.floor(random() * 90_000))
      await world.work()
      if (share(0.05)) await redriveOne(world)
      world.clock.advance(HOUR_MS)
      // Some are folded, and what was written since is not yet.
      if (step % 60 === 59) for (const shard of world.db.shards) await foldCounts(shard)
      if (step % 24 === 23) await eachServer(world.db, rollUpMinutes)
    }
    for (const span of Object.keys(SPANS) as SeriesSpan[]) await assertAgrees(world, span)
    const week = await assertAgrees(world, '7d')
    const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)
    assert.ok(total(week.accepted) > 200 && total(week.failed) > 20, 'a busy week')
    const [row] = await world.sql<{ folded: bigint }>(
      'select count(*) as folded from payment_series_steps',
    )
    assert.ok((row?.folded ?? 0n) > 50n, 'most was folded')
  })
}

/** Redrive a payment that failed: the new one is accepted as others are. */
async function redriveOne(world: TestWorld): Promise<void> {
  const [letter] = await world.sql<{ payment: bigint }>(
    `select payment_id as payment from dead_letters where state = 'open' and class = 'failed' limit 1`,
  )
  if (letter === undefined) return
  await redrive(world.world, JANE, [
    { letterId: await openLetter(world, letter.payment), delayMs: 0 },
  ])
}

test('minutes are told apart to the last payment, whatever became of it', async (t) => {
  const world = await testWorld(t)
  await busyHistory(world, 3)
  for (const span of ['15m', '1h'] as const) await assertAgrees(world, span)
  const before = await series(world, '1h')
  assert.ok(before.unknown.some((count) => count > 0))
  for (const shard of world.db.shards) await foldCounts(shard)
  assert.deepEqual(await series(world, '1h'), before, 'folding changes nothing')
})

test('each step shows how long its payments took from acceptance to the end', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(0n)
  const took = async (ms: number) => {
    await world.accept([{ type: 'deposit', userId, amount: 100n, idempotencyKey: null }])
    world.clock.advance(ms)
    await world.work()
  }
  for (const ms of [50, 150, 150, 150]) await took(ms)
  const found = await series(world, '15m')
  assert.deepEqual(found.latency, [1, 3, ...Array<number>(LATENCY_CLASSES - 2).fill(0)])
  assert.equal(found.p50Ms.at(-1), quantileMs([1, 3], 0.5))
  assert.deepEqual(found.gateways[0]?.p95Ms.at(-1), quantileMs([1, 3], 0.95))
  assert.deepEqual(found.gateways[0]?.latency, found.latency)
  assert.equal(found.p50Ms.at(-2), null)
})

test('what no chart shows any more is deleted', async (t) => {
  const world = await testWorld(t)
  await world.sql(`
    insert into payment_series_steps
    select
      0, 3600, timestamptz '2030-01-01' - n * interval '1 hour', 'http', '', 100, 90, 10, 0,
      1000000, null
    from generate_series(1, 8 * 24) n`)
  await forgetHours(world.db.of(0n))
  const [kept] = await world.sql<{ oldest: Date }>(
    'select min(begins_at) as oldest from payment_series_steps',
  )
  assert.deepEqual(kept?.oldest, new Date('2029-12-24T22:00:00Z'))
})

/** All minutes, rolled up as far as they can be; how many statements it took. */
async function rollAllUp({ db }: TestWorld): Promise<number> {
  let turns = 1
  while (await rollUpMinutes(db.shards[0] as Shard, { first: 0, last: db.shards.length - 1 })) {
    turns += 1
  }
  return turns
}

/** The ages of the rows of a series, in minutes, by how many seconds they are of. */
async function ages(world: TestWorld) {
  const rows = await world.sql<{ seconds: number; age: number }>(
    `select seconds, (extract(epoch from $1::timestamptz - begins_at) / 60)::float8 as age
     from (
       select 60 as seconds, minute as begins_at from payment_series
       union all
       select seconds, begins_at from payment_series_steps
     ) part order by begins_at desc`,
    [world.clock.now()],
  )
  const of = (seconds: number) =>
    rows.filter((row) => row.seconds === seconds).map(({ age }) => age)
  return { minutes: of(60), tens: of(600), hours: of(3_600), count: rows.length }
}

test('minutes become steps of ten after two hours and hours after 26, and add up to the same', async (t) => {
  const world = await testWorld(t)
  await world.sql(`
    insert into payment_series
    select
      0, timestamptz '2030-01-01' - n * interval '1 minute', 'http', '', n, 2 * n, 3 * n, 4 * n,
      5 * n, array_fill(n, array[${LATENCY_CLASSES}])
    from generate_series(1, 3 * 1440) n`)
  const before = await Promise.all(
    (Object.keys(SPANS) as SeriesSpan[]).map((span) => series(world, span)),
  )
  assert.equal(await rollAllUp(world), 3, 'at most 2,000 rows at a time')
  const after = await Promise.all(
    (Object.keys(SPANS) as SeriesSpan[]).map((span) => series(world, span)),
  )
  assert.deepEqual(after, before)
  const every = (step: number, count: number, from: number) =>
    Array.from({ length: count }, (_, at) => from + at * step)
  const { minutes, tens, hours } = await ages(world)
  assert.deepEqual(minutes, every(1, 120, 1))
  assert.deepEqual(tens, every(10, 138, 130))
  assert.deepEqual(hours, every(60, 47, 26 * 60))
  // What is of a day's chart today is of a week's tomorrow.
  world.clock.advance(HOUR_MS)
  const week = await series(world, '7d')
  await rollAllUp(world)
  assert.deepEqual(await series(world, '7d'), week)
  const later = await ages(world)
  assert.deepEqual(later.minutes, every(1, 60, 61))
  assert.deepEqual(later.tens, every(10, 144, 130))
})

test('what is counted late is added to what its minute was rolled up into', async (t) => {
  const world = await testWorld(t)
  const minutesAgo = [70, 80, 119, 121, 24 * 60, 25 * 60 + 1, 26 * 60 - 1, 26 * 60 + 1, 6 * 1440]
  const late = async (fold: boolean) => {
    for (const age of minutesAgo) {
      await world.sql(
        `insert into payment_counts
           (shard, minute, gateway, succeeded, failed, in_doubt, amount, latency)
         select
           0, $1::timestamptz - $2 * interval '1 minute', 'http', 1, 0, 0, 7,
           array_fill(1, array[${LATENCY_CLASSES}])
         from generate_series(1, 12)`,
        [world.clock.now(), age],
      )
    }
    if (fold) for (const shard of world.db.shards) await foldCounts(shard)
  }
  const sums = async () => {
    const all = []
    for (const span of Object.keys(SPANS) as SeriesSpan[]) all.push(await series(world, span))
    return all
  }
  await late(false)
  const counted = await sums()
  for (const shard of world.db.shards) await foldCounts(shard)
  assert.deepEqual(await sums(), counted, 'folding changes nothing')
  await rollAllUp(world)
  assert.deepEqual(await sums(), counted, 'rolling up changes nothing')
  await late(true)
  const rows = (await ages(world)).count
  await rollAllUp(world)
  assert.equal((await ages(world)).count, rows, 'no row is left beside that of its step')
  const twice = await sums()
  const total = (all: Series | undefined) => all?.succeeded.reduce((sum, one) => sum + one, 0)
  assert.deepEqual([total(twice[3]), total(counted[3])], [9 * 24, 9 * 12])
})

test('a roll-up that dies changes nothing, and two at once never take a row twice', async (t) => {
  const world = await testWorld(t)
  await world.sql(`
    insert into payment_series
    select
      0, timestamptz '2030-01-01' - n * interval '1 minute', 'http', '', 1, 1, 0, 0, 1, null
    from generate_series(1, 7 * 1440) n`)
  const before = await series(world, '7d')
  const shard = world.db.of(0n)
  const only = { first: 0, last: 0 }
  const dying = shard.transaction(async (tx) => {
    await rollUpMinutes(tx, only)
    throw new Error('dies')
  })
  await assert.rejects(dying, /dies/)
  assert.equal((await ages(world)).count, 7 * 1440)
  const other = world.connect(2).of(0n)
  for (let turn = 0; turn < 6; turn += 1) {
    const both = [shard, other].flatMap((one) => [rollUpMinutes(one, only), foldCounts(one)])
    await Promise.all(both)
    assert.deepEqual(await series(world, '7d'), before)
  }
  assert.equal(await rollAllUp(world), 1)
  assert.ok((await ages(world)).count < 500)
})

/** Minutes of three days on every shard, and the same of the last hours not folded yet. */
const ON_ALL_SHARDS = `
  insert into payment_series
  select
    shard, timestamptz '2030-01-01' - n * interval '1 minute', 'http', '', n, 2 * n, 3 * n, 4 * n,
    5 * n, array_fill(n, array[${LATENCY_CLASSES}])
  from generate_series(1, 3 * 1440) n
  cross join generate_series(0, 3) shard`

const COUNTS_ON_ALL_SHARDS = `
  insert into payment_counts
    (shard, minute, gateway, succeeded, failed, in_doubt, amount, latency)
  select
    shard, timestamptz '2030-01-01' - n * interval '1 minute', 'http', 1, 2, 3, 7,
    array_fill(1, array[${LATENCY_CLASSES}])
  from generate_series(1, 160) n
  cross join generate_series(0, 3) shard`

test('the minutes of all shards of a server become rows of its first, and add up to the same', async (t) => {
  const world = await testWorld(t, { shards: 4 })
  await world.sql(ON_ALL_SHARDS)
  const spans = Object.keys(SPANS) as SeriesSpan[]
  const before = await Promise.all(spans.map((span) => series(world, span)))
  const halves = [
    { first: 0, last: 2 },
    { first: 3, last: 3 },
  ]
  const db = { ...world.db, servers: halves }
  for (let turn = 0; turn < 10; turn += 1) await eachServer(db, rollUpMinutes)
  assert.deepEqual(await Promise.all(spans.map((span) => series({ ...world, db }, span))), before)
  const kept = () =>
    world.sql<{ shard: number; minutes: number; steps: number }>(
      `select shard, count(*) filter (where fine)::int as minutes,
         count(*) filter (where not fine)::int as steps
       from (
         select shard, true as fine from payment_series
         union all
         select shard, false from payment_series_steps
       ) part
       group by shard order by shard`,
    )
  // What the others have of before the last 75 minutes becomes steps at once.
  assert.deepEqual(await kept(), [
    { shard: 0, minutes: 120, steps: 190 },
    { shard: 1, minutes: 3, steps: 0 },
    { shard: 2, minutes: 3, steps: 0 },
    { shard: 3, minutes: 120, steps: 185 },
  ])
  // All of them are on one server now.
  await rollAllUp(world)
  assert.deepEqual(await Promise.all(spans.map((span) => series(world, span))), before)
  assert.deepEqual(
    (await kept()).map(({ steps }) => steps),
    [190, 0, 0, 0],
  )
})

test('whoever reads while shards are folded and added up sees each payment once', async (t) => {
  const world = await testWorld(t, { shards: 4 })
  await world.sql(ON_ALL_SHARDS)
  await world.sql(COUNTS_ON_ALL_SHARDS)
  const before = await Promise.all([series(world, '1h'), series(world, '7d')])
  const two = [world.connect(2), world.connect(2)]
  for (let turn = 0; turn < 8; turn += 1) {
    const works = two.map(async (db) => {
      const rolled = eachServer(db, rollUpMinutes)
      await Promise.all(db.shards.map((shard) => foldCounts(shard)))
      whole(await rolled)
    })
    const reads = [series(world, '1h'), series(world, '7d'), series(world, '1h')]
    const [hour, week, again] = await Promise.all(reads)
    assert.deepEqual([hour, week, again], [...before, before[0]])
    await Promise.all(works)
  }
  assert.deepEqual(await Promise.all([series(world, '1h'), series(world, '7d')]), before)
})

test('the series of a service are those of its payments, and a span that there is not is refused', async (t) => {
  const { call } = await serve(t, FAST)
  await call('PUT', '/mock-gateway/faults', { ...CALM })
  await call('POST', '/users', { balance: 0 })
  await call('POST', '/payments/deposit', { user_id: 1, deposit: '12.50' })
  await until('the payment has ended', async () => {
    const { body } = await call('GET', '/payments/1')
    return body['status'] === 'success' || body['status'] === 'failed'
  })
  const { status, body } = await call('GET', '/series?span=15m')
  assert.equal(status, 200)
  const sum = (list: unknown) => (list as number[]).reduce((all, one) => all + one, 0)
  assert.equal(sum(body['accepted']), 1)
  assert.equal(sum(body['succeeded']) + sum(body['failed']), 1)
  assert.equal((body['times'] as number[]).length, 15)
  for (const span of ['2m', '', '1h%00']) {
    const refused = await call('GET', `/series?span=${span}`)
    assert.deepEqual([refused.status, refused.body['code']], [400, 'query_invalid'])
  }
})

test('a quantile lies in the class that holds it, and no class is lost when parts are added', () => {
  const classes = fc.array(fc.nat(1_000), {
    minLength: LATENCY_CLASSES,
    maxLength: LATENCY_CLASSES,
  })
  fc.assert(
    fc.property(
      classes,
      classes,
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (one, other, q) => {
        const all = plusClasses(one, other)
        const total = all.reduce((sum, count) => sum + count, 0)
        const found = quantileMs(all, q)
        if (total === 0) return assert.equal(found, null)
        assert.ok(found !== null)
        let counted = 0
        const holds = all.findIndex((count) => (counted += count) >= q * total && count > 0)
        assert.ok(found >= (LATENCY_BOUNDS_MS[holds - 1] ?? 0), `${found} in class ${holds}`)
        assert.ok(found <= (LATENCY_BOUNDS_MS[holds] ?? found), `${found} in class ${holds}`)
        return undefined
      },
    ),
  )
  assert.equal(quantileMs([10], 0.5), 50)
  assert.equal(quantileMs([0, 10], 0.5), 150)
  assert.equal(quantileMs([...Array<number>(LATENCY_CLASSES - 1).fill(0), 4], 0.5), 3_600_000)
})
