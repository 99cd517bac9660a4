import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { charge, claim } from '../src/charging/charge.ts'
import { eachServer } from '../src/each-shard.ts'
import type { Shard } from '../src/ports.ts'
import { settle } from '../src/charging/settle.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { seededRandom } from '../src/domain/random.ts'
import { LATENCY_CLASSES, SPANS, type SeriesSpan } from '../src/domain/series.ts'
import { seriesRoutes } from '../src/metrics/series-routes.ts'
import { series } from '../src/metrics/series.ts'
import { foldCounts, forgetHours, rollUpMinutes } from '../src/metrics/series-store.ts'
import { acceptAll, LEASE_MS, testWorld, type ActingWorld, type TestWorld } from './harness.ts'
import { JANE, openLetter, server } from './operators.ts'
import { countedOf, type Step } from './series-kit.ts'
import { randomDrafts } from './verify-history.ts'

const MINUTE_MS = 60_000

interface Answered {
  readonly step_seconds: number
  readonly times: readonly number[]
  readonly accepted: readonly number[]
  readonly succeeded: readonly number[]
  readonly failed: readonly number[]
  readonly unknown: readonly number[]
  readonly currencies: readonly { readonly amounts: readonly number[] }[]
}

/** Ask the API for a span, as a chart does, and compare every step with the payments. */
async function asker(t: TestContext, world: TestWorld) {
  const app = await server(t, world)
  await app.register(seriesRoutes({ books: 'USD', read: (span) => series(world, span) }))
  return async (span: SeriesSpan): Promise<readonly Step[]> => {
    const answer = await app.inject(`/series?span=${span}`)
    assert.equal(answer.statusCode, 200)
    const body = answer.json<Answered>()
    assert.equal(body.times.length, SPANS[span].seconds / SPANS[span].stepSeconds)
    const shown = body.times.map((time, at) => ({
      time,
      accepted: body.accepted[at],
      succeeded: body.succeeded[at],
      failed: body.failed[at],
      unknown: body.unknown[at],
      amount: Number(body.currencies[0]?.amounts[at] ?? 0),
    }))
    const steps = await countedOf(world, body.times, body.step_seconds)
    // Charts have floats, in major units.
    const due = steps.map((step) => ({ ...step, amount: Number(step.amount) / 100 }))
    assert.deepEqual(shown, due, span)
    return steps
  }
}

/** Processes of one service, each with connections of its own to one database. */
function processesOf(world: TestWorld, count: number) {
  return Array.from({ length: count }, () => {
    const own: ActingWorld = { ...world.world, db: world.connect(2) }
    return { own, accept: acceptAll(own.db, { bps: 200, min: 0n }) }
  })
}

/** Where a process dies in a round of work; what it began is then somebody else's. */
const DEATHS = ['claimed', 'charged', 'settled', null, null, null] as const

async function round(own: ActingWorld, dies: (typeof DEATHS)[number]): Promise<void> {
  const claims = await claim(own, 1_000)
  if (dies === 'claimed') return
  const settlements = await Promise.all(claims.map((claimed) => charge(own, claimed)))
  if (dies === 'charged') return
  await settle(own, settlements)
  // It dies before it hears that this was written, and whoever goes on says it once more.
  if (dies === 'settled') await settle(own, settlements)
}

/** So much within a minute that it is folded twice: what comes later is added to what is there. */
async function rush(
  world: TestWorld,
  [first]: ReturnType<typeof processesOf>,
  users: readonly bigint[],
): Promise<void> {
  assert.ok(first !== undefined)
  const random = seededRandom(users.length)
  world.gateway.script = ['success']
  for (let half = 0; half < 2; half += 1) {
    for (let count = 0; count < 101; count += 1) await first.accept(randomDrafts(random, users, 4))
    await round(first.own, null)
    for (const shard of world.db.shards) await foldCounts(shard)
  }
}

async function redriveOne(world: TestWorld): Promise<void> {
  const [letter] = await world.sql<{ payment: bigint }>(
    `select payment_id as payment from dead_letters where state = 'open' limit 1`,
  )
  if (letter === undefined) return
  const letterId = await openLetter(world, letter.payment)
  await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
}

test('the series of a week agree with SQL over 4 shards and 3 processes that die on the way', async (t) => {
  const world = await testWorld(t, { shards: 4 })
  const asked = await asker(t, world)
  const random = seededRandom(11)
  const share = (of: number) => random() < of
  const one = <Value>(of: readonly Value[]) => of[Math.floor(random() * of.length)] as Value
  const users: bigint[] = []
  for (const balance of [900_000n, 400_000n, 80_000n, 5_000n, 0n, 0n]) {
    users.push(await world.user(balance))
  }
  const processes = processesOf(world, 3)
  let deaths = 0
  // Eight days, so that the oldest is seen to leave.
  for (let hour = 0; hour < 8 * 24; hour += 1) {
    world.gateway.script = one([['success'], ['success'], ['declined'], ['lost_reply']])
    world.gateway.lookups = share(0.3) ? { kind: 'no_answer', reason: 'timeout' } : null
    await one(processes).accept(randomDrafts(random, users, 1 + Math.floor(random() * 4)))
    world.clock.advance(Math.floor(random() * 2_000))
    const dies = one(DEATHS)
    if (dies !== null) deaths += 1
    await round(one(processes).own, dies)
    world.clock.advance(LEASE_MS + Math.floor(random() * 5 * MINUTE_MS))
    await round(one(processes).own, null)
    if (share(0.1)) await redriveOne(world)
    // Two processes fold and roll up the same shard at once, and one forgets what is old.
    if (share(0.1)) {
      const two = processes.slice(0, 2).map(({ own }) => own.db)
      const folds = two.flatMap(({ shards }) => shards.map(foldCounts))
      await Promise.all([...folds, ...two.map((db) => eachServer(db, rollUpMinutes))])
      for (const shard of world.db.shards) await forgetHours(shard)
    }
    if (hour % 50 === 49) await rush(world, processes, users)
    world.clock.advance(Math.floor(random() * 100) * MINUTE_MS)
    if (hour % 48 === 47) for (const span of Object.keys(SPANS) as SeriesSpan[]) await asked(span)
  }
  assert.ok(deaths > 60, `${deaths} deaths`)
  const week = await asked('7d')
  const total = (name: 'accepted' | 'succeeded' | 'failed' | 'unknown') =>
    week.reduce((sum, step) => sum + step[name], 0)
  assert.ok(total('accepted') > 200 && total('succeeded') > 80, 'a busy week')
  assert.ok(total('failed') > 20 && total('unknown') > 5, 'a week with faults')
  while (await rollUpMinutes(world.db.shards[0] as Shard, { first: 0, last: 3 }));
  const shards = await world.sql<{ shard: number; accepted: bigint }>(
    'select shard, sum(accepted) as accepted from payment_series_steps group by shard',
  )
  assert.deepEqual(
    shards.map(({ shard }) => shard),
    [0],
    'the minutes of every shard were added up',
  )
  await asked('7d')
})

/** How many shards, and how many gateways there are times currencies. */
const SIZES = [
  { shards: 1, pairs: 1 },
  { shards: 3, pairs: 1 },
  { shards: 8, pairs: 9 },
  { shards: 64, pairs: 1 },
] as const

const bytesMax = ({ shards, pairs }: (typeof SIZES)[number]) =>
  pairs > 1 ? 10_000_000 : Math.min(10_000_000, 600_000 + 220_000 * shards)

/**
 * Of each minute what was accepted, and what ended at each pair of gateway and currency. Charts
 * have so many minutes, steps and hours of that; a shard has what is newer than three minutes.
 */
const rowsMax = ({ shards, pairs }: (typeof SIZES)[number]) => (445 + 5 * shards) * (pairs + 1)

/** Payments in every one of some minutes, on every shard, as folding leaves them. */
const BUSY = `
  insert into payment_series
  select
    shard, $1::timestamptz - n * interval '1 minute', case when pair > 0 then 'http' else '' end,
    case when pair > 1 then 'C' || pair else '' end, 100, 90, 10, 0, 1000000,
    case when pair > 0 then array_fill(8, array[${LATENCY_CLASSES}]) end
  from generate_series(0, $4::int - 1) n
  cross join generate_series(0, $2::int - 1) shard
  cross join generate_series(0, $3::int) pair`

/** Rows of counts that are not folded yet: so many are left alone on every shard. */
const UNFOLDED = `
  insert into payment_counts (shard, minute, gateway, succeeded, failed, in_doubt, amount, latency)
  select shard, $1, 'http', 90, 10, 0, 1000000, array_fill(8, array[${LATENCY_CLASSES}])
  from generate_series(1, 100) n
  cross join generate_series(0, $2::int - 1) shard`

for (const size of SIZES) {
  const { shards, pairs } = size
  test(`a week with payments in every minute takes less than ten megabytes, on ${shards} shards with ${pairs} gateways and currencies`, async (t) => {
    const world = await testWorld(t, { shards })
    const [session] = world.db.shards
    assert.ok(session !== undefined)
    // Eight days: what is deleted and rolled up leaves room behind, which is used again.
    const minutes = shards * pairs > 8 ? 20 : 60
    for (let minute = 0; minute < 8 * 1_440; minute += minutes) {
      world.clock.advance(minutes * MINUTE_MS)
      await world.sql(BUSY, [world.clock.now(), shards, pairs, minutes])
      while (await rollUpMinutes(session, { first: 0, last: shards - 1 }));
      if (minute % 60 === 0) await forgetHours(session)
      // As autovacuum does once a thousand rows are gone, at the latest a minute later.
      if (minute % Math.max(minutes, 60 * Math.floor(8 / (shards * pairs))) === 0) {
        await world.sql('vacuum payment_series')
        await world.sql('vacuum payment_series_steps')
      }
    }
    await world.sql(UNFOLDED, [world.clock.now(), shards])
    const [row] = await world.sql<{ rows: bigint; bytes: bigint }>(`
      select
        (select count(*) from payment_series) + (select count(*) from payment_series_steps) as rows,
        pg_total_relation_size('payment_series') + pg_total_relation_size('payment_series_steps')
          + pg_total_relation_size('payment_counts') as bytes`)
    assert.ok(row !== undefined)
    t.diagnostic(`${row.bytes} bytes, ${row.rows} rows`)
    assert.ok(row.rows < BigInt(rowsMax(size)), `${row.rows} rows`)
    assert.ok(row.bytes < bytesMax(size), `${row.bytes} bytes`)
  })
}
