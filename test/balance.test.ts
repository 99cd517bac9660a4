import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedBalance, trialBalance, type BalanceWorld } from '../src/ledger/balance.ts'
import { addUp, postingsOfPayment } from '../src/ledger/store.ts'
import { Busy, Unavailable, type Db } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { books, testWorld, type TestWorld } from './harness.ts'
import { done } from './refunds-kit.ts'
import { busyHistory } from './verify-history.ts'

const AT = "'2030-01-01'::timestamptz"

type Balance = Awaited<ReturnType<typeof trialBalance>>

/** The balance of the books' currency, in which all accounts of these tests are. */
async function homeBalance(world: BalanceWorld) {
  const { asOf, currencies } = await trialBalance(world)
  const sums = currencies.get('USD')
  assert.ok(sums)
  return { asOf, ...sums }
}

const entriesOf = (balance: Balance | null) => balance?.currencies.get('USD')?.entries

/** A journal that takes several steps: so many entries of each of 100 users. */
async function journal(world: TestWorld, each: number): Promise<void> {
  await world.sql(`
    insert into postings select 0, u, n, 'settle', 98, 0, -100, 2, 0, ${AT}
    from generate_series(1, 100) u, generate_series(1, ${each}) n`)
}

for (const shards of [1, 3]) {
  test(`the trial balance is the sum of all entries, ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    await busyHistory(world, 1)
    const { asOf, entries, ...sums } = await homeBalance(world)
    const { available_stored: _, held_stored: __, ...expected } = await books(world)
    assert.deepEqual(sums, expected)
    const [counted] = await world.sql<{ count: number }>('select count(*)::int from postings')
    assert.equal(entries, counted?.count)
    assert.deepEqual(asOf, world.clock.now())
  })
}

test('every account is added up by itself, over all steps and shards', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await world.sql(`
    insert into postings (shard, user_id, payment_id, kind,
      user_available, user_held, gateway, fees, opening, losses, created_at)
    select shard, 0, n, 'settle', 1, 10, -100, 1000, 10000, -10911, ${AT}
    from generate_series(0, 1) shard, generate_series(1, 6000) n`)
  const { asOf: _, ...sums } = await homeBalance(world)
  assert.deepEqual(sums, {
    user: 12_000n,
    held: 120_000n,
    gateway: -1_200_000n,
    fees: 12_000_000n,
    opening: 120_000_000n,
    losses: -130_932_000n,
    entries: 12_000,
  })
})

test('the trial balance is of one moment, whatever is posted while it is added up', async (t) => {
  const world = await testWorld(t)
  await journal(world, 200)
  const before = await homeBalance(world)
  let writing = true
  let written = 0
  // Each transaction posts at both ends of the journal what comes to nothing together.
  const write = async () => {
    while (writing) {
      written += 1
      await world.sql(
        `insert into postings values
           (0, 0, $1, 'settle', -7, 0, 7, 0, 0, ${AT}),
           (0, 1000, $1, 'settle', 7, 0, -7, 0, 0, ${AT})`,
        [1_000_000 + written],
      )
    }
  }
  const writers = write()
  const seen = new Set<number>()
  for (let read = 0; read < 20; read += 1) {
    const { asOf: _, entries, ...sums } = await homeBalance(world)
    const { asOf: __, entries: ___, ...expected } = before
    assert.deepEqual(sums, expected)
    seen.add(entries)
  }
  writing = false
  await writers
  assert.ok(seen.size > 5, `${written} transactions beside it`)
})

test('a trial balance of several shards is of the earliest of their moments', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  const times: Date[] = []
  const advances = [0, -120_000, 60_000]
  const db = withShards(world.db, (shard) => ({
    ...shard,
    transaction(...how) {
      world.clock.advance(advances[times.length] ?? 0)
      times.push(world.clock.now())
      return shard.transaction(...how)
    },
  }))
  const { asOf } = await trialBalance({ db, clock: world.clock })
  assert.equal(times.length, 3)
  assert.deepEqual(asOf, times[1])
})

/** Count the statements that add up, and how many entries each was asked for. */
function watched(db: Db, limits: number[], slow: (limit: number) => boolean): Db {
  return withShards(db, (shard) => ({
    ...shard,
    transaction: (work) =>
      shard.transaction((tx) =>
        work({
          ...tx,
          run(statement, values) {
            if (statement.name !== 'postings_add_up') return tx.run(statement, values)
            const limit = Number(values[3])
            limits.push(limit)
            if (slow(limit)) throw new Busy('slow')
            return tx.run(statement, values)
          },
        }),
      ),
  }))
}

test('no statement of the trial balance reads more than a bounded number of entries, and steps shrink when they are too slow', async (t) => {
  const world = await testWorld(t)
  await journal(world, 600)
  const limits: number[] = []
  const db = watched(world.db, limits, (limit) => limit > 1_000)
  const balance = await homeBalance({ db, clock: world.clock })
  assert.equal(balance.user, 98n * 60_000n)
  assert.equal(balance.entries, 60_000)
  assert.ok(Math.max(...limits) <= 50_000)
  assert.ok(limits.filter((limit) => limit <= 1_000).length >= 60, `${limits.length} steps`)
  assert.ok(limits.length < 200, `no smaller than they have to be: ${limits.length} steps`)
})

test('a trial balance that is begun anew is of the new moment from its first entry on', async (t) => {
  const world = await testWorld(t)
  await journal(world, 200)
  const limits: number[] = []
  // The second step fails: what is behind the first one is of another snapshot by then.
  const db = watched(world.db, limits, () => limits.length === 2)
  const behind = withShards(db, (shard) => ({
    ...shard,
    async transaction(work) {
      if (limits.length > 0) {
        await world.sql(`insert into postings values
          (0, 0, 1, 'settle', -7, 0, 7, 0, 0, ${AT}),
          (0, 1000, 1, 'settle', 7, 0, -7, 0, 0, ${AT})`)
      }
      return await shard.transaction(work)
    },
  }))
  const { asOf: _, ...sums } = await homeBalance({ db: behind, clock: world.clock })
  const [user, entries] = [98n * 20_000n, 20_002]
  const none = { held: 0n, opening: 0n, losses: 0n }
  const expected = { user, ...none, gateway: -100n * 20_000n, fees: 2n * 20_000n }
  assert.deepEqual(sums, { ...expected, entries })
})

/** A clock on which adding up takes so long, and callers wait as long as `patience` says. */
function timed(world: TestWorld, tookMs: number, patience: Promise<void>) {
  let elapsedMs = 1_000_000
  const clock: BalanceWorld['clock'] = {
    ...world.clock,
    elapsedMs: () => elapsedMs,
    sleep: () => patience,
  }
  const counts = { begun: 0 }
  const db = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work) {
      counts.begun += 1
      const result = await shard.transaction(work)
      elapsedMs += tookMs
      return result
    },
  }))
  const later = (ms: number) => (elapsedMs += ms)
  return { world: { db, clock }, counts, later }
}

const NEVER = new Promise<void>(() => undefined)

test('callers at the same time share one addition, and each sees what was posted before it asked', async (t) => {
  const world = await testWorld(t)
  await journal(world, 1)
  const { world: slow, counts } = timed(world, 1, NEVER)
  const balances = sharedBalance(slow)
  const first = balances.read()
  const others = Array.from({ length: 50 }, () => balances.read())
  assert.equal(entriesOf(await first), 100)
  for (const balance of await Promise.all(others)) assert.equal(entriesOf(balance), 100)
  assert.equal(counts.begun, 2)
  await world.sql(`insert into postings values (0, 500, 1, 'settle', 98, 0, -100, 2, 0, ${AT})`)
  assert.equal(entriesOf(await balances.read()), 101)
  await balances.stop()
})

test('a balance that took long is kept nine times as long, so adding up costs a tenth of the time', async (t) => {
  const world = await testWorld(t)
  await journal(world, 1)
  const { world: slow, counts, later } = timed(world, 2_000, NEVER)
  const balances = sharedBalance(slow)
  await balances.read()
  for (let ms = 0; ms < 17_000; ms += 1_000) {
    later(1_000)
    await balances.read()
  }
  assert.equal(counts.begun, 1)
  later(1_000)
  await balances.read()
  assert.equal(counts.begun, 2)
})

test('a caller does not wait for ever, and the addition goes on without it', async (t) => {
  const world = await testWorld(t)
  await journal(world, 1)
  const { world: slow, counts } = timed(world, 20_000, Promise.resolve())
  const balances = sharedBalance(slow)
  assert.equal(await balances.read(), null)
  await balances.stop()
  assert.equal(entriesOf(await balances.read()), 100)
  assert.equal(counts.begun, 1)
})

test('a process that stops gives an addition up between two steps, and waits for the one in progress', async (t) => {
  const world = await testWorld(t)
  await journal(world, 200)
  const limits: number[] = []
  let stopping: Promise<void> | undefined
  const db = watched(world.db, limits, () => {
    stopping ??= balances.stop()
    return false
  })
  const balances = sharedBalance({ db, clock: { ...world.clock, sleep: () => NEVER } })
  const read = balances.read()
  await assert.rejects(read, Unavailable)
  await stopping
  assert.equal(limits.length, 1, 'it was begun in one step, and not begun anew')
})

test('an addition that fails is nobody’s failure but of those who asked for it', async (t) => {
  const world = await testWorld(t)
  await journal(world, 1)
  const line = { broken: true }
  const db = withShards(world.db, (shard) => ({
    ...shard,
    transaction: (work) =>
      line.broken ? Promise.reject(new Error('broken')) : shard.transaction(work),
  }))
  const balances = sharedBalance({ db, clock: { ...world.clock, sleep: () => NEVER } })
  const failing = balances.read()
  const behind = balances.read()
  line.broken = false
  await assert.rejects(failing, /broken/)
  assert.equal(entriesOf(await behind), 100)
  for (const read of [balances.read(), balances.read()]) assert.equal(entriesOf(await read), 100)
})

test('a step through the journal ends behind the last of the entries that it added up', async (t) => {
  const world = await testWorld(t)
  const [shard] = world.db.shards
  assert.ok(shard)
  const { id, userId } = await done(world, 'withdraw')
  const entries = await postingsOfPayment(shard, userId, id)
  assert.deepEqual(
    entries.map(({ kind }) => kind),
    ['hold', 'settle'],
    'the oldest first',
  )
  // That of the opening of the user, and these two.
  const { place, sums } = await shard.transaction((tx) => addUp(tx, null, 3))
  assert.deepEqual(place, { userId, paymentId: id, kind: 'settle' })
  assert.equal(sums[0]?.entries, 3)
})
