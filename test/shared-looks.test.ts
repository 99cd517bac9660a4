import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Shard } from '../src/ports.ts'
import { sharedLooks } from '../src/queue/shared-looks.ts'
import { manualClock } from './harness.ts'

const FRESH_MS = 500
/** Nobody asks it anything here. */
const SESSION = { number: 0 } as Shard
const SERVERS = [
  { first: 0, last: 31 },
  { first: 32, last: 63 },
] as const

/** Looks whose answers and number are known. */
function looked() {
  const clock = manualClock()
  const there = { work: [] as { loop: string; number: number }[], fails: false }
  const looks: (string | null)[] = []
  let chance = 0
  const shared = sharedLooks<string>(
    { clock, freshMs: FRESH_MS, random: () => (chance += 0.01) },
    (_, __, loop) => {
      looks.push(loop)
      return there.fails ? Promise.reject(new Error('away')) : Promise.resolve([...there.work])
    },
  )
  const ask = (loop: string, server: 0 | 1 = 0) =>
    Promise.resolve(shared.of(loop)(SESSION, SERVERS[server]))
  return { clock, there, looks, shared, ask }
}

test('one look at a server serves every loop once, while it is fresh', async () => {
  const { clock, looks, shared, ask } = looked()
  for (const loop of ['a', 'b', 'c']) assert.deepEqual(await ask(loop), [])
  assert.deepEqual(looks, [null])
  const before = shared.random()
  // A loop that asks again looks itself, and what it saw serves the others.
  await ask('b')
  assert.notEqual(shared.random(), before, 'they rest equally long until the next look')
  await ask('a')
  assert.equal(looks.length, 2)
  clock.advance(FRESH_MS + 1)
  await ask('c')
  assert.equal(looks.length, 3)
  await ask('a', 1)
  assert.equal(looks.length, 4, 'another server is another look')
})

test('each loop is told of its own work, and one that has work looks for itself alone', async () => {
  const { there, looks, ask } = looked()
  there.work = [
    { loop: 'a', number: 3 },
    { loop: 'b', number: 7 },
    { loop: 'a', number: 9 },
  ]
  assert.deepEqual(await ask('a'), [3, 9])
  assert.deepEqual(await ask('b'), [7])
  assert.deepEqual(await ask('c'), [])
  assert.deepEqual(looks, [null])
  there.work = []
  assert.deepEqual(await ask('a'), [])
  assert.deepEqual(looks, [null, 'a'])
  await ask('a')
  assert.deepEqual(looks, [null, 'a', null])
})

test('after a wake nobody is told what was seen before it', async () => {
  const { there, looks, shared, ask } = looked()
  await ask('a')
  there.work = [{ loop: 'b', number: 5 }]
  shared.forget()
  assert.deepEqual(await ask('b'), [5])
  assert.equal(looks.length, 2)
})

test('a look that fails is told to whoever waits for it, and to nobody after', async () => {
  const { there, looks, ask } = looked()
  there.fails = true
  await assert.rejects(ask('a'), /away/)
  there.fails = false
  assert.deepEqual(await ask('b'), [])
  assert.equal(looks.length, 2)
})
