import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idBlocks } from '../src/adapters/id-blocks.ts'
import { placed, type Driver } from '../src/adapters/shard-session.ts'
import { Unavailable, type Statement } from '../src/ports.ts'
import { manualClock } from './harness.ts'

/** A home side with a sequence for each name, which can be away. */
function world() {
  const clock = manualClock()
  const last = new Map<unknown, number>()
  const asked: number[] = []
  let away: Error | null = null
  /** Those whom it keeps waiting; null: nobody, as it answers. */
  let hanging: (() => void)[] | null = null
  const run = async (_statement: unknown, [name, count]: readonly unknown[]) => {
    asked.push(Number(count))
    const waiting = hanging
    if (waiting !== null) await new Promise<void>((resolve) => void waiting.push(resolve))
    if (away !== null) throw away
    const from = last.get(name) ?? 0
    last.set(name, from + Number(count))
    const numbers = Array.from({ length: Number(count) }, (_, index) => from + index + 1)
    return [{ numbers: numbers.join() }]
  }
  const blocks = idBlocks({ home: { run: run as Driver['run'] }, elapsedMs: clock.elapsedMs })
  return {
    clock,
    blocks,
    asked,
    fall: (error: Error | null = new Unavailable('away')) => void (away = error),
    hang: () => void (hanging = []),
    /** It is well again, and answers those whom it kept waiting. */
    answer(): void {
      away = null
      for (const go of hanging ?? []) go()
      hanging = null
    },
    take: (count: number, shard: number | null = 0) => blocks.take('payment_ids', count, shard),
  }
}

/** The sizes of the blocks that were asked for, without reserves. */
const RESERVE = 5_000
const blocksOf = (asked: readonly number[]) => asked.filter((count) => count !== RESERVE)

test('no number is given twice, whoever asks at the same time, and each answer ascends', async () => {
  const { take, clock } = world()
  const all: bigint[] = []
  for (let round = 0; round < 20; round += 1) {
    const answers = await Promise.all([3, 1, 40, 7].map((count) => take(count)))
    for (const numbers of answers) {
      assert.deepEqual(
        numbers,
        numbers.toSorted((one, other) => Number(one - other)),
      )
      all.push(...numbers)
    }
    clock.advance(130)
  }
  assert.deepEqual([all.length, new Set(all).size], [20 * 51, 20 * 51])
})

test('a block is about a second of the traffic, and at most a thousand unless more are asked for', async () => {
  const { take, clock, asked } = world()
  await take(10)
  for (let time = 0; time < 30; time += 1) {
    clock.advance(100)
    await take(10)
  }
  const sizes = blocksOf(asked).splice(1)
  assert.ok(sizes.length < 10, `${sizes.length} blocks for 30 batches`)
  assert.ok(Math.max(...sizes) <= 200)
  asked.length = 0
  for (let time = 0; time < 50; time += 1) {
    clock.advance(10)
    await take(400)
  }
  assert.equal(Math.max(...blocksOf(asked)), 1_000)
  await take(2_500)
  assert.ok(Math.max(...blocksOf(asked)) <= 2_500)
})

test('what is left of a block after a second is not used any more, so ids follow time', async () => {
  const { take, clock, asked } = world()
  await take(100)
  clock.advance(1_000)
  const [before = 0n] = await take(1)
  clock.advance(1_000)
  asked.length = 0
  const [after = 0n] = await take(1)
  assert.equal(blocksOf(asked).length, 1)
  assert.ok(after > before + 1n, `${before}, ${after}`)
})

test('while the home side is away numbers are of a reserve, which every shard may use whole', async () => {
  const { take, blocks, clock, fall } = world()
  await blocks.fill()
  const seen = await take(5)
  clock.advance(1_000)
  fall()
  const ids = new Set<bigint>()
  for (const shard of [0, 1, 2]) {
    for (let taken = 0; taken < RESERVE; taken += 500) {
      for (const number of await take(500, shard)) ids.add(number * 3n + BigInt(shard))
    }
    await assert.rejects(take(1, shard), /is away, and no ids are left in reserve/)
    await assert.rejects(take(1, shard), Unavailable)
  }
  assert.equal(ids.size, 3 * RESERVE)
  fall(null)
  clock.advance(1_000)
  // It is asked beside, so the first who asks finds nothing yet.
  await assert.rejects(take(1), Unavailable)
  await new Promise((resolve) => setImmediate(resolve))
  const back = await take(5)
  assert.equal(new Set([...back, ...seen]).size, 10)
  for (const number of back) assert.ok(!ids.has(number * 3n), 'a number of the reserve again')
  // There is a new reserve, of other numbers.
  clock.advance(1_000)
  fall()
  for (const number of await take(100)) assert.ok(!ids.has(number * 3n))
})

test('once the home side has not answered, nobody waits for it until it has, however long it hangs', async () => {
  const { take, blocks, clock, fall, hang, answer, asked } = world()
  await blocks.fill()
  fall()
  asked.length = 0
  await take(1)
  assert.equal(asked.length, 1)
  // From now on it does not answer at all, and is asked beside by one at a time.
  hang()
  for (let time = 0; time < 90; time += 1) {
    clock.advance(100)
    await take(1)
  }
  assert.equal(asked.length, 2)
  answer()
  await new Promise((resolve) => setImmediate(resolve))
  // From then on numbers are of blocks again, which are newer than those of the reserve.
  const [number = 0n] = await take(1)
  assert.ok(number > BigInt(RESERVE), `${number}`)
})

test('a fault that is no outage is told, and takes no reserve', async () => {
  const { take, blocks, fall } = world()
  await blocks.fill()
  fall(new Error('the sequence is gone'))
  await assert.rejects(take(1), /the sequence is gone/)
})

test('ids of several servers tell their shard, and each statement goes to its server', async () => {
  const { blocks } = world()
  const told: string[] = []
  const server = (name: string): Driver => {
    const run = <Row>(statement: Statement<Row>, values: readonly unknown[]) => {
      told.push(`${name} ${statement.name} ${values.join()}`)
      return Promise.resolve([])
    }
    return { run, transaction: (work) => work({ run, write: run }) }
  }
  const servers = [
    { first: 0, last: 1, driver: server('one') },
    { first: 2, last: 2, driver: server('two') },
  ]
  const db = placed(
    { home: server('home'), servers, numbers: blocks },
    { shards: 3, currency: 'USD' },
  )
  assert.deepEqual(db.servers, [
    { first: 0, last: 1 },
    { first: 2, last: 2 },
  ])
  for (const id of [3n, 4n, 5n]) {
    await db.of(id).run({ name: 'own', text: '' }, [id])
    const ids = await db.of(id).transaction((tx) => tx.ids('payment_ids', 2))
    assert.deepEqual(
      ids.map((one) => db.of(one).number),
      [Number(id) - 3, Number(id) - 3],
    )
  }
  await db.global.run({ name: 'all', text: '', sharded: false }, ['v'])
  assert.deepEqual(told, ['one own 0,3', 'one own 1,4', 'two own 2,5', 'home all v'])
  assert.equal(new Set(await db.userIds(50)).size, 50)
})
