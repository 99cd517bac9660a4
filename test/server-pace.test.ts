import assert from 'node:assert/strict'
import { test } from 'node:test'
import { paced } from '../src/adapters/server-pace.ts'
import { placed, type Driver } from '../src/adapters/shard-session.ts'
import { eachInTurn } from '../src/each-shard.ts'
import { CommitUnknown, ReadOnly, Unavailable, type Shard, type Unsharded } from '../src/ports.ts'
import { manualClock } from './harness.ts'

const CONNECT_MS = 5_000
const ASK: Unsharded<never> = { name: 'test_ask', sharded: false, text: 'select' }
const lost = (why: string) => new Unavailable('away', { cause: new Error(why) })
const unanswered = () => lost('Connection terminated due to connection timeout')

/** Two servers with 32 shards each; the second one does what is asked of it. */
function world() {
  const clock = manualClock()
  let fault: (() => Error) | null = null
  let costMs = 0
  let looks = 0
  let asked = 0
  /** Who waits for a look that has begun; null: looks end at once. */
  let held: (() => void)[] | null = null
  const answer = () => {
    asked += 1
    if (fault === null) return Promise.resolve([])
    clock.advance(costMs)
    return Promise.reject(fault())
  }
  const other = {
    run: answer as Driver['run'],
    transaction: answer as unknown as Driver['transaction'],
    async probe() {
      looks += 1
      if (held !== null) await new Promise<void>((go) => void held?.push(go))
      if (fault !== null) throw fault()
    },
  }
  const well: Driver = { run: () => Promise.resolve([]), transaction: (work) => work({} as never) }
  const servers = [
    { first: 0, last: 31, driver: well },
    { first: 32, last: 63, driver: paced(other, clock.elapsedMs) },
  ]
  const db = placed({ home: well, servers, numbers: null }, { currency: 'USD', shards: 64 })
  return {
    clock,
    shards: db.shards,
    fall: (why: () => Error = unanswered, ms = CONNECT_MS) => void ((fault = why), (costMs = ms)),
    rise: () => void (fault = null),
    hold: () => void (held = []),
    letGo() {
      for (const go of held ?? []) go()
      held = null
    },
    counts: () => ({ looks, asked }),
    /** One turn through all shards: how long it took, and how many could be asked. */
    async turn(shards: readonly Shard[] = db.shards) {
      const beganMs = clock.elapsedMs()
      const { done } = await eachInTurn(shards, (shard) => shard.run(ASK, []))
      await settled()
      return { tookMs: clock.elapsedMs() - beganMs, done: done.length }
    },
  }
}

/** Let what was begun come to its end: nothing of it waits for time. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a server that never answers costs one time limit, and then no turn anything', async () => {
  const { turn, fall, clock, counts } = world()
  assert.deepEqual(await turn(), { tookMs: 0, done: 64 })
  fall()
  assert.deepEqual(await turn(), { tookMs: CONNECT_MS, done: 32 })
  const { asked } = counts()
  for (let turns = 0; turns < 100; turns += 1) {
    assert.deepEqual(await turn(), { tookMs: 0, done: 32 })
    clock.advance(500)
  }
  assert.equal(counts().asked, asked, 'it is only looked at')
})

test('it is looked at at once, and then after pauses that double, up to two seconds', async () => {
  const { turn, fall, clock, counts } = world()
  fall()
  await turn()
  const fellMs = clock.elapsedMs()
  const lookedMs: number[] = []
  for (let looks = 0; clock.elapsedMs() - fellMs < 8_000; clock.advance(50)) {
    await turn()
    if (counts().looks > looks) lookedMs.push(clock.elapsedMs() - fellMs)
    looks = counts().looks
  }
  assert.deepEqual(lookedMs, [0, 250, 750, 1_750, 3_750, 5_750, 7_750])
})

test('nobody waits for a look, and there is one at a time', async () => {
  const { turn, fall, rise, hold, letGo, clock, counts } = world()
  fall()
  hold()
  await turn()
  rise()
  for (let turns = 0; turns < 10; turns += 1) {
    clock.advance(2_000)
    assert.deepEqual(await turn(), { tookMs: 0, done: 32 })
  }
  assert.equal(counts().looks, 1)
  letGo()
  await settled()
  assert.deepEqual(await turn(), { tookMs: 0, done: 64 }, 'it answered, so it is asked')
})

test('what is heard of a server at once, and what is wrong with one statement, keeps nobody away', async () => {
  const errors = [
    () => lost('connect ECONNREFUSED'),
    () => new ReadOnly('read-only'),
    () => lost('timeout exceeded when trying to connect'),
    () => new Error('a bug'),
  ]
  for (const error of errors) {
    const { turn, fall, counts } = world()
    fall(error, 0)
    await turn()
    await turn()
    assert.deepEqual(counts(), { looks: 0, asked: 64 })
  }
})

test('a statement that is given up makes everybody wait for a look, which finds the server well', async () => {
  const errors = [
    () => lost('Query read timeout'),
    () => new CommitUnknown('lost', { cause: new Error('Query read timeout') }),
    () => new Unavailable('away', { cause: Object.assign(new Error(), { code: 'EHOSTUNREACH' }) }),
  ]
  for (const error of errors) {
    const { turn, fall, rise, shards, counts } = world()
    fall(error, 1_000)
    assert.deepEqual(await turn(shards.slice(-1)), { tookMs: 1_000, done: 0 })
    assert.equal(counts().looks, 1)
    rise()
    // The first look was in vain, so the next one comes after its pause.
    assert.deepEqual((await turn()).done, 32)
  }
  const { turn, fall, rise, hold, letGo, shards } = world()
  fall(errors[0])
  hold()
  await turn(shards.slice(-1))
  rise()
  letGo()
  await settled()
  assert.equal((await turn()).done, 64)
})
