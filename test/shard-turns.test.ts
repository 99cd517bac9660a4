import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shardTurns } from '../src/queue/shard-turns.ts'
import { sessions } from '../src/adapters/shard-session.ts'
import type { LookForWork } from '../src/each-shard.ts'
import { Unavailable, type Shard } from '../src/ports.ts'
import { manualClock } from './harness.ts'

const POLL_MS = 100
const MINUTE_MS = 60_000

/** Shards that nobody is to ask anything, and turns with them. */
function turnsWith(
  count: number,
  look: (shard: Shard) => Promise<unknown> = never,
  lookForWork?: LookForWork,
) {
  const no = () => Promise.reject(new Error('nobody asks'))
  const { shards, servers } = sessions(
    { run: no, transaction: no },
    { currency: 'USD', shards: count },
  )
  const clock = manualClock()
  const ill: number[] = []
  const chance = { value: 0 }
  const turns = shardTurns({
    shards,
    servers,
    ...(lookForWork === undefined ? {} : { lookForWork }),
    clock,
    random: () => chance.value,
    pauseMs: POLL_MS,
    look,
    onIll: ({ number }) => ill.push(number),
  })
  return { turns, clock, shards, ill, chance }
}

const never = () => Promise.reject(new Error('nobody looks'))
const numbers = (shards: readonly Shard[]) => shards.map(({ number }) => number)
/** Let what was begun come to its end: nothing of it waits for time. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/** How many statements a loop needs in a minute in which there is nothing to do. */
function askedInAMinute(count: number, chance = 0.999_999): number {
  const { turns, clock, chance: set } = turnsWith(count)
  set.value = chance
  let asked = 0
  for (let ms = 0; ms < MINUTE_MS; ms += POLL_MS) {
    for (const shard of turns.due()) {
      asked += 1
      turns.asked(shard, false)
    }
    clock.advance(POLL_MS)
  }
  return asked
}

test('a process without work asks each of many shards every two seconds at most', () => {
  // Five that double, and then one in two seconds: thirty-one a minute instead of six hundred.
  const each = askedInAMinute(64) / 64
  assert.ok(each <= 35, `${each} statements a shard and minute`)
  assert.ok(each >= 25, `${each} statements a shard and minute: nobody looks any more`)
  // At least three quarters of a pause are kept, whatever chance says.
  assert.ok(askedInAMinute(64, 0) / 64 <= 70)
})

test('however many shards there are, what a process without work asks for grows slower', () => {
  const alone = askedInAMinute(1)
  assert.equal(alone, MINUTE_MS / POLL_MS)
  assert.ok(askedInAMinute(4) <= alone * 1.2)
  assert.ok(askedInAMinute(20) <= alone * 1.3)
})

test('one look a server tells which of many shards to ask, and the others rest together', async () => {
  const busy = new Set([3, 40])
  let looks = 0
  const { turns, clock, chance } = turnsWith(64, never, () => {
    looks += 1
    return Promise.resolve([...busy])
  })
  chance.value = 0.999_999
  let asked = 0
  for (let ms = 0; ms < MINUTE_MS; ms += POLL_MS) {
    for (const shard of await turns.next()) {
      assert.ok(busy.has(shard.number))
      asked += 1
      turns.asked(shard, true)
    }
    clock.advance(POLL_MS)
  }
  assert.ok(looks <= 35, `${looks} looks`)
  assert.ok(looks >= 25, `${looks} looks: nobody looks any more`)
  assert.equal(asked, (2 * MINUTE_MS) / POLL_MS)
  busy.clear()
  busy.add(7)
  let ms = 0
  for (; !numbers(await turns.next()).includes(7); ms += POLL_MS) clock.advance(POLL_MS)
  assert.ok(ms <= 2_000, `found after ${ms} ms`)
  turns.wake()
  assert.deepEqual(numbers(await turns.next()), [7])
})

test('whoever waits as long as the shards rest finds one due, and a wake ends the rest', async () => {
  const { turns, clock, chance } = turnsWith(64, never, () => Promise.resolve([]))
  chance.value = 0.123
  for (let look = 0; look < 20; look += 1) {
    assert.equal(turns.due().length, 64, `look ${look}`)
    await turns.next()
    const restMs = turns.restMs()
    assert.ok(restMs > 0 && Number.isInteger(restMs) && restMs <= 2_001, `${restMs} ms`)
    assert.equal(turns.due().length, 0)
    clock.advance(restMs)
  }
  await turns.next()
  turns.wake()
  assert.equal(turns.restMs(), 0)
  assert.equal(turnsWith(1).turns.restMs(), 0)
})

test('a shard that is woken while its server is looked at does not rest after the look', async () => {
  let during = () => {}
  const { turns, shards } = turnsWith(64, never, () => {
    during()
    return Promise.resolve([])
  })
  during = () => turns.wake(shards[5])
  assert.deepEqual(await turns.next(), [])
  during = () => undefined
  assert.deepEqual(numbers(turns.due()), [5])
})

test('a look that finds a shard without work is an answer: its next failure is a first one', async () => {
  const found: number[] = []
  const { turns, clock, shards, ill } = turnsWith(
    64,
    () => Promise.resolve(),
    () => Promise.resolve(found),
  )
  const shard = shards[5] as Shard
  for (let outage = 1; outage <= 8; outage += 1) {
    turns.failed(shard, new Unavailable('away'))
    clock.advance(250)
    turns.due()
    await settled()
    await turns.next()
    assert.equal(ill.length, outage)
    clock.advance(2_000)
  }
})

test('where the look fails, every shard is asked itself', async () => {
  const { turns } = turnsWith(4, never, () => Promise.reject(new Unavailable('away')))
  assert.deepEqual(numbers(await turns.next()), [0, 1, 2, 3])
})

test('a shard that had work is asked at the next turn, and one that is woken at once', () => {
  const { turns, clock, shards } = turnsWith(4)
  for (let turn = 0; turn < 5; turn += 1) {
    for (const shard of turns.due()) turns.asked(shard, shard.number === 1)
    clock.advance(POLL_MS / 4)
  }
  assert.deepEqual(numbers(turns.due()), [1])
  turns.wake(shards[3])
  assert.deepEqual(numbers(turns.due()), [1, 3])
  turns.wake()
  assert.deepEqual(numbers(turns.due()), [0, 1, 2, 3])
})

test('each process has times of its own, and begins with another shard', () => {
  const other = [0, 0.5].map((chance) => {
    const { turns, clock, shards, chance: set } = turnsWith(8)
    set.value = chance
    const first = numbers(turns.due())[0]
    for (const shard of shards) turns.asked(shard, false)
    let ms = 0
    for (; turns.due().length === 0; ms += 1) clock.advance(1)
    return [first, ms]
  })
  assert.deepEqual(other, [
    [0, 75],
    [4, 88],
  ])
})

test('a shard that is ill is looked at beside the work, and asked when it answers', async () => {
  const looks: number[] = []
  let well = false
  const { turns, clock, shards, ill } = turnsWith(3, ({ number }) => {
    looks.push(number)
    return well ? Promise.resolve() : Promise.reject(new Unavailable('away'))
  })
  turns.failed(shards[1] as Shard, new Unavailable('away'))
  turns.wake()
  assert.deepEqual(numbers(turns.due()), [0, 2])
  assert.deepEqual(looks, [])
  clock.advance(250)
  assert.deepEqual(numbers(turns.due()), [0, 2])
  // One look at a time.
  turns.due()
  assert.deepEqual(looks, [1])
  await settled()
  turns.due()
  assert.deepEqual(looks, [1])
  well = true
  clock.advance(1_000)
  turns.due()
  await settled()
  assert.deepEqual(
    [numbers(turns.due()), looks],
    [
      [0, 1, 2],
      [1, 1],
    ],
  )
  assert.deepEqual(ill, [1])
})

test('a shard that answers looks and fails at the work is left alone for longer each time', async () => {
  const { turns, clock, shards, ill } = turnsWith(2, () => Promise.resolve())
  const [, shard] = shards as [Shard, Shard]
  const rests: number[] = []
  for (let time = 0; time < 9; time += 1) {
    turns.failed(shard, new Unavailable('away'))
    let ms = 0
    for (; !turns.due().includes(shard); ms += 50) {
      clock.advance(50)
      await settled()
    }
    rests.push(ms)
  }
  // The look itself takes one turn.
  const wanted = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
  assert.deepEqual(
    rests,
    wanted.map((ms) => ms + 50),
  )
  assert.deepEqual(ill, [1])
  turns.asked(shard, true)
  turns.failed(shard, new Unavailable('away'))
  assert.deepEqual(ill, [1, 1])
})
