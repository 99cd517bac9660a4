import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withShards } from '../src/each-shard.ts'
import { feed } from '../src/events/feed.ts'
import { Unavailable, type Db } from '../src/ports.ts'
import { planReplay, readReplay } from '../src/runs/events.ts'
import { start, step } from '../src/runs/run.ts'
import type { Bounds } from '../src/runs/matching.ts'
import { readRun } from '../src/runs/read-store.ts'
import { settleDelivered } from '../src/webhooks/deliver.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import { somebodyElse, someoneWaits } from './operators.ts'
import { ANY, carriedOut, delivered, found, START } from './replay-kit.ts'
import { delivering, receiver, states, status, succeed } from './webhooks-kit.ts'

test('a step of a replay that is repeated after a crash sends nothing twice and counts the same', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 3)
  await delivered(turn)
  to.received.splice(0)
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, endpointId: id })
  const { global } = world.db
  const cut: Db = {
    ...world.db,
    global: {
      run: (given, values) =>
        given.name === 'redrives_advance'
          ? Promise.reject(new Unavailable('away'))
          : global.run(given, values),
    },
  }
  await assert.rejects(step({ ...world.world, db: cut }, null), Unavailable)
  world.clock.advance(30_000)
  await delivered(turn)
  assert.equal(await step(world.world, null), 3)
  world.clock.advance(1_000)
  await delivered(turn)
  assert.equal(to.received.length, 3)
  const ended = await readRun(global, snapshot, id)
  assert.deepEqual([ended?.state, ended?.position, ended?.carriedOut], ['done', 3, 3])
})

test('what is under way while it is replayed is sent once more, and its old call says nothing', async (t) => {
  const { world, turn, claimAndSend, own, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world)
  const [first] = await claimAndSend()
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, endpointId: id })
  await step(world.world, null)
  await settleDelivered(own, first === undefined ? [] : [first])
  assert.deepEqual(await states(world), [{ state: 'pending', attempts: 0 }])
  await delivered(turn)
  assert.equal(to.received.length, 2)
  assert.equal((await readReplay(world.db, id, snapshot))?.delivered, 1)
})

test('a key that started a replay is refused to another endpoint, and to a redrive', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const [one, other] = [await endpoint(to.url), await endpoint(to.url)]
  await succeed(world)
  await feed(world.db)
  const { snapshot } = await found(world, one.id)
  const under = { ...START, under: { apiKey: 'ops', key: 'k' } }
  const asked = { ...under, endpointId: one.id }
  assert.equal((await start(world.world, snapshot, asked)).kind, 'run')
  const refusal = {
    code: 'idempotency_key_reuse',
    errors: [{ field: 'path', code: 'differs' }],
  } as const
  const reused = { kind: 'refused', refusal }
  assert.deepEqual(await start(world.world, snapshot, { ...asked, endpointId: other.id }), reused)
  assert.deepEqual(await start(world.world, snapshot, under), reused)
  const same = await start(world.world, snapshot, asked)
  assert.ok(same.kind === 'run' && same.replayed)
})

test('a shard that is ill keeps back its own events of a replay alone, and they follow', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 12)
  await delivered(turn)
  to.received.splice(0)
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, ratePerSecond: 3, endpointId: id })
  const ill = withShards(world.db, (shard) => ({
    ...shard,
    run: (given, values) =>
      shard.number === 1 ? Promise.reject(new Unavailable('away')) : shard.run(given, values),
  }))
  const errors: unknown[] = []
  for (let steps = 0; steps < 12; steps += 1) {
    await step({ ...world.world, db: ill }, null, (error) => errors.push(error))
    world.clock.advance(1_000)
  }
  await delivered(turn)
  const own = await world.sql<{ shard: number; count: bigint }>(
    'select shard, count(*) from events group by shard order by shard',
  )
  const counts = own.map(({ count }) => Number(count))
  assert.equal(to.received.length, counts[0])
  assert.ok(errors.length > 0, 'it is said that a shard is ill')
  const halfway = await readRun(world.db.global, snapshot, id)
  assert.deepEqual([halfway?.state, halfway?.position, halfway?.total], ['running', counts[0], 12])
  await carriedOut(world)
  await delivered(turn)
  assert.equal(new Set(to.received.map((one) => one.id)).size, 12)
  assert.equal(to.received.length, 12, 'none is sent twice')
  const ended = await readRun(world.db.global, snapshot, id)
  assert.deepEqual([ended?.state, ended?.carriedOut, ended?.skipped], ['done', 12, 0])
})

test('more events than fit into one replay are found by the next one, which goes on where it says', async (t) => {
  const { world, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  for (let payment = 0; payment < 11; payment += 1) {
    await succeed(world)
    world.clock.advance(1_000)
  }
  while ((await feed(world.db)) > 0) continue
  const idsOf = async (snapshot: bigint) => {
    const [row] = await world.sql<{ ids: string[] }>(
      'select event_ids::text[] as ids from redrives where id = $1',
      [snapshot],
    )
    return row?.ids ?? []
  }
  for (const bounds of [
    { events: 4, looks: 100 },
    { events: 100, looks: 1 },
  ]) {
    const seen = new Set<string>()
    let createdAfter: Date | null = null
    for (let replays = 0; replays < 11; replays += 1) {
      const dry = await found(world, id, { createdAfter, bounds })
      assert.ok(dry.count <= bounds.events && dry.matching >= dry.count)
      for (const event of await idsOf(dry.snapshot)) seen.add(event)
      createdAfter = dry.until
      if (createdAfter === null) break
    }
    assert.equal(seen.size, 11)
  }
  const all = await found(world, id)
  assert.deepEqual([all.count, all.matching, all.until], [11, 11, null])
})

test('a dry run reads the events of its time alone, a look at a time, wherever some are gone', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  const all = 45_000
  await world.sql(
    `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
     select 0, n, n, 'payment.succeeded', 1, '{}',
       timestamptz '2029-12-01' + n * interval '1 second', n
     from generate_series(5001, ${all}) n where n not between 20001 and 29000`,
  )
  await world.sql(`update event_wants set position = ${all}`)
  const at = (second: number) => new Date(Date.UTC(2029, 11, 1) + second * 1_000)
  const endpointNow = await readEndpoint(world.db.global, id)
  assert.ok(endpointNow !== null)
  const read: number[] = []
  const counted = withShards(world.db, (shard) => ({
    ...shard,
    async run(given, values) {
      const rows = await shard.run(given, values)
      if (given.name === 'replayed_look') read.push(rows.length)
      return rows
    },
  }))
  const dry = (createdAfter: Date | null, createdBefore: Date | null) => {
    read.splice(0)
    return planReplay(counted, endpointNow, { ...ANY, createdAfter, createdBefore }, 'jane')
  }
  const few = await dry(at(33_000), at(33_010))
  assert.deepEqual([few.count, few.oldestAt, few.newestAt], [10, at(33_000), at(33_009)])
  assert.deepEqual(read, [10, 0])
  assert.equal((await dry(at(19_990), at(29_005))).count, 15)
  assert.equal((await dry(null, at(1_000))).count, 0)
  assert.equal((await dry(at(60_000), null)).count, 0)
  const whole = await dry(null, null)
  assert.deepEqual([whole.count, whole.until], [31_000, null])
  assert.ok(Math.max(...read) <= 10_000, 'never more at once')
})

test('a dry run and a progress leave out a shard that is ill, and name it', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 8)
  await delivered(turn)
  const own = await readEndpoint(world.db.global, id)
  assert.ok(own !== null)
  const ill = withShards(world.db, (shard) => ({
    ...shard,
    run: (given, values) =>
      shard.number === 1 ? Promise.reject(new Unavailable('away')) : shard.run(given, values),
  }))
  const [row] = await world.sql<{ count: bigint }>('select count(*) from events where shard = 0')
  const dry = await planReplay(ill, own, ANY, 'jane')
  assert.deepEqual([dry.count, dry.missing], [Number(row?.count), [1]])
  await start(world.world, dry.snapshot, { ...START, endpointId: id })
  await carriedOut(world)
  await delivered(turn)
  const seen = await readReplay(ill, id, dry.snapshot)
  assert.deepEqual([seen?.delivered, seen?.missing], [dry.count, [1]])
})

test('results of deliveries are written in the order of the key, as a replay locks them', async (t) => {
  const { world, own, claimAndSend, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world, 2)
  const done = await claimAndSend()
  const events = done.map(({ result }) => result.eventId).sort((one, other) => Number(one - other))
  const [first = 0n, last = 0n] = events
  const newestFirst = done.toSorted((one, other) =>
    Number(other.result.eventId - one.result.eventId),
  )
  // In the table the later one comes first as well, in case it is read from there.
  await world.sql('update deliveries set position = position where event_id = $1', [first])
  await world.sql('analyze deliveries')
  const other = await somebodyElse(t, world)
  await other.lock('deliveries', first)
  const writing = settleDelivered(own, newestFirst)
  await someoneWaits(world)
  const free = await world.sql<object>(
    'select from deliveries where event_id = $1 for update skip locked',
    [last],
  )
  await other.release()
  assert.deepEqual(await writing, [])
  assert.equal(free.length, 1, 'the later one is not locked while the earlier one is awaited')
  assert.deepEqual(
    (await states(world)).map(({ state }) => state),
    ['delivered', 'delivered'],
  )
})

test('a shard that falls ill in the middle of a dry run is left out from then on, and named', async (t) => {
  const { world, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 8)
  while ((await feed(world.db)) > 0) continue
  const [row] = await world.sql<{ well: bigint }>(
    'select count(*) filter (where shard = 0) as well from events',
  )
  const well = Number(row?.well)
  // Those of the shard are the oldest, so that it is the first to be read on, and by itself.
  await world.sql("update events set created_at = created_at - interval '1 minute' where shard = 1")
  const own = await readEndpoint(world.db.global, id)
  assert.ok(own !== null)
  const dry = (bounds: Bounds, ill: readonly number[], falls: (name: string) => boolean) => {
    const db = withShards(world.db, (shard) => {
      let looks = 0
      return {
        ...shard,
        run(given, values) {
          const time = given.name === 'replayed_look' ? (looks += 1) : ''
          return ill.includes(shard.number) && falls(`${given.name} ${time}`.trim())
            ? Promise.reject(new Unavailable('away'))
            : shard.run(given, values)
        },
      }
    })
    return planReplay(db, own, { ...ANY, bounds }, 'jane')
  }
  const [all, few] = [
    { events: 100, looks: 100 },
    { events: 2, looks: 100 },
  ]
  const left = async (...[bounds, falls]: [Bounds, string]) => {
    const { count, matching, missing } = await dry(bounds, [1], (name) => name === falls)
    return [count, matching, missing]
  }
  assert.deepEqual(await left(all, 'replayed_look 1'), [well, well, [1]])
  // What was found before is sent again all the same.
  assert.deepEqual(await left(all, 'replayed_look 2'), [8, 8, [1]])
  assert.deepEqual(await left({ events: 100, looks: 1 }, 'replayed_next'), [8, 8, [1]])
  assert.deepEqual(await left(few, 'replayed_next'), [2, 2 + well, [1]])
  const both = dry(all, [0, 1], (name) => name === 'replayed_look 2')
  await assert.rejects(both, Unavailable)
})
