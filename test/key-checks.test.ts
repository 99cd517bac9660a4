import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { newKey, type NewKey } from '../src/domain/api-key.ts'
import { keyChecker } from '../src/keys/check.ts'
import { Busy, Unavailable, type Clock, type Runner } from '../src/ports.ts'
import { manualClock } from './harness.ts'

/** A checker over a table of keys that answers when it is told to. */
function world(
  keys: readonly NewKey[],
  clock: Clock = manualClock(),
  { knownMax = 10_000, outageMs = 0 }: { knownMax?: number; outageMs?: number } = {},
) {
  const table = new Map(keys.map((key) => [key.id, key]))
  const lookups: string[][] = []
  const waiting: (() => void)[] = []
  let failing: Error | null = null
  const db = {
    async run(_statement: unknown, [ids]: readonly unknown[]) {
      const wanted = ids as readonly string[]
      lookups.push([...wanted])
      await new Promise<void>((resolve) => waiting.push(resolve))
      if (failing !== null) throw failing
      const found = wanted.map((id) => table.get(id)).filter((key) => key !== undefined)
      return found.map(({ id, hash }) => ({ id, secretHash: hash, scopes: ['read'] }))
    },
  } as unknown as Runner
  const checker = keyChecker({ db, clock, knownMax, outageMs })
  return {
    checker,
    table,
    lookups,
    /** It fails from now on, if nothing else is said because it is away. */
    fail(how: boolean | Error): void {
      failing = how === true ? new Unavailable('away') : how === false ? null : how
    },
    /** Answer look-ups until `asked` is through. */
    async through<Answer>(asked: Promise<Answer>): Promise<Answer> {
      let over = false
      const end = () => void (over = true)
      asked.then(end, end)
      while (!over) {
        waiting.shift()?.()
        await new Promise((resolve) => setImmediate(resolve))
      }
      return asked
    },
  }
}

const fresh = () => newKey(randomBytes)
const times = (count: number) => Array.from({ length: count }, fresh)

test('a valid key that is not known is looked up once, however many requests wait for it', async () => {
  const key = fresh()
  const { checker, lookups, through } = world([key])
  const asked = Array.from({ length: 300 }, (_, index) => checker.check(key.token, index % 2 === 0))
  const answers = await through(Promise.all(asked))
  assert.ok(answers.every(({ ok }) => ok))
  assert.deepEqual(lookups, [[key.id]])
  assert.equal(checker.peek(key.token)?.ok, true)
})

test('one look-up runs at a time, and takes along whoever waits', async () => {
  const key = fresh()
  const { checker, lookups, through } = world([key])
  const guesses = times(1_200).map(({ token }) => checker.check(token))
  const answers = await through(Promise.all([...guesses, checker.check(key.token)]))
  assert.deepEqual(
    answers.map(({ ok }) => ok),
    [...guesses.map(() => false), true],
  )
  assert.deepEqual(
    lookups.map((ids) => ids.length),
    [1, 500, 500, 200],
  )
})

test('guesses of a suspect wait for each other and make one look-up', async () => {
  let wake = () => {}
  const clock = { ...manualClock(), sleep: () => new Promise<void>((resolve) => (wake = resolve)) }
  const { checker, lookups, through } = world([], clock)
  const guesses = times(400).map(({ token }) => checker.check(token, true))
  assert.deepEqual(lookups, [])
  const all = Promise.all(guesses)
  wake()
  await through(all)
  assert.equal(lookups.length, 1)
})

test('a key in use is renewed before it expires, and never unknown in between', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, lookups, through } = world([key], clock)
  await through(checker.check(key.token))
  for (let tick = 0; tick < 20; tick += 1) {
    clock.advance(1_600)
    assert.equal(checker.peek(key.token)?.ok, true)
    assert.equal(checker.peek(key.token)?.ok, true)
    await through(checker.check(key.token))
    await through(new Promise((resolve) => setImmediate(resolve)))
  }
  assert.equal(lookups.length, 21)
})

test('a revoked key is refused within three seconds, also one that is in use', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, table, through } = world([key], clock)
  await through(checker.check(key.token))
  table.clear()
  clock.advance(3_000)
  assert.equal((await through(checker.check(key.token))).ok, false)
})

test('what is known of a key is as old as its question, however long the answer took', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, through } = world([key], clock)
  const asked = checker.check(key.token)
  // Revoked a moment after it was asked for, it comes back as valid all the same.
  clock.advance(2_000)
  assert.equal((await through(asked)).ok, true)
  clock.advance(999)
  assert.equal(checker.peek(key.token)?.ok, true)
  clock.advance(1)
  assert.equal(checker.peek(key.token), null)
})

test('while the database cannot be asked nobody new is let in, and a known key is until it expires', async () => {
  const [key, other] = [fresh(), fresh()]
  const clock = manualClock()
  const { checker, through, fail } = world([key, other], clock)
  await through(checker.check(key.token))
  fail(true)
  clock.advance(2_000)
  assert.equal((await checker.check(key.token)).ok, true)
  await assert.rejects(through(checker.check(other.token)))
  clock.advance(1_000)
  await assert.rejects(through(checker.check(key.token)))
  fail(false)
  assert.equal((await through(checker.check(key.token))).ok, true)
})

test('whoever is in a hurry for a key that a suspect has asked for does not wait for the suspect', async () => {
  const key = fresh()
  const sleeping: (() => void)[] = []
  const clock = {
    ...manualClock(),
    sleep: () => new Promise<void>((resolve) => void sleeping.push(resolve)),
  }
  const { checker, lookups, through } = world([key], clock)
  const patient = checker.check(key.token, true)
  const others = times(2).map(({ token }) => checker.check(token, true))
  assert.equal((await through(checker.check(key.token))).ok, true)
  assert.deepEqual(lookups, [[key.id]])
  assert.equal((await patient).ok, true)
  assert.equal(sleeping.length, 1, 'suspects are collected together')
  sleeping.shift()?.()
  await through(Promise.all(others))
  assert.deepEqual(
    lookups.map((ids) => ids.length),
    [1, 2],
  )
  // The next ones are collected anew, without those of before.
  const next = checker.check(fresh().token, true)
  assert.equal(sleeping.length, 1)
  sleeping.shift()?.()
  assert.equal((await through(next)).ok, false)
  assert.deepEqual(
    lookups.map((ids) => ids.length),
    [1, 2, 1],
  )
})

test('a key that is not there any more is forgotten at once, and renewed by one question at a time', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, table, lookups, through } = world([key], clock)
  await through(checker.check(key.token))
  table.clear()
  clock.advance(1_499)
  assert.equal(checker.peek(key.token)?.ok, true)
  assert.equal(lookups.length, 1)
  clock.advance(1)
  for (const _ of [1, 2, 3]) assert.equal(checker.peek(key.token)?.ok, true)
  assert.equal(lookups.length, 2)
  await through(checker.check(fresh().token))
  assert.equal(checker.peek(key.token), null)
})

test('as many keys are remembered as there is room for, those that were looked up last', async () => {
  const clock = manualClock()
  const keys = times(4)
  const { checker, through } = world(keys, clock, { knownMax: 3 })
  const check = (some: readonly NewKey[]) =>
    through(Promise.all(some.map(({ token }) => checker.check(token))))
  await check(keys.slice(0, 3))
  // Old enough that it is asked for again when it is used.
  clock.advance(1_500)
  await check(keys.slice(0, 1))
  await check(keys.slice(3))
  const known = keys.map(({ token }) => checker.peek(token)?.ok === true)
  assert.deepEqual(known, [true, false, true, true])
})

test('while nobody can be asked a key that is known is believed, as long as it may be', async () => {
  const key = fresh()
  const stranger = fresh()
  const clock = manualClock()
  const { checker, table, fail, through } = world([key, stranger], clock, {
    outageMs: 300_000,
  })
  assert.equal((await through(checker.check(key.token))).ok, true)
  fail(true)
  clock.advance(3_000)
  // Whoever notices first waits for it; nobody does after that, and peeking is enough.
  assert.equal(checker.peek(key.token), null)
  assert.equal((await through(checker.check(key.token))).ok, true)
  for (let second = 0; second < 200; second += 2) {
    clock.advance(2_000)
    assert.equal(checker.peek(key.token)?.ok, true, `${second} s`)
    await through(Promise.resolve())
  }
  assert.equal(checker.peek(`${key.token.slice(0, -1)}x`)?.ok, false, 'with a wrong secret')
  await assert.rejects(through(checker.check(stranger.token)), Unavailable)
  clock.advance(97_000)
  assert.equal(checker.peek(key.token), null)
  await assert.rejects(through(checker.check(key.token)), Unavailable)

  // When it is back, one that was revoked meanwhile is refused as soon as ever.
  fail(false)
  assert.equal((await through(checker.check(key.token))).ok, true)
  table.delete(key.id)
  clock.advance(3_000)
  assert.equal(checker.peek(key.token), null)
  assert.equal((await through(checker.check(key.token))).ok, false)
})

test('once the database is back a revoked key is refused, also if nobody has asked since it failed', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, table, fail, through } = world([key], clock, { outageMs: 300_000 })
  assert.equal((await through(checker.check(key.token))).ok, true)
  fail(true)
  clock.advance(3_000)
  assert.equal((await through(checker.check(key.token))).ok, true)
  clock.advance(2_999)
  assert.equal(checker.peek(key.token)?.ok, true)
  await through(Promise.resolve())
  fail(false)
  table.clear()
  // Three seconds after the last look-up has failed, the next one is waited for.
  clock.advance(3_000)
  assert.equal(checker.peek(key.token), null)
  assert.equal((await through(checker.check(key.token))).ok, false)
})

test('nobody who is known waits for a look-up that began while the database was away and hangs', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, table, lookups, fail, through } = world([key], clock, { outageMs: 300_000 })
  assert.equal((await through(checker.check(key.token))).ok, true)
  fail(true)
  clock.advance(3_000)
  assert.equal((await through(checker.check(key.token))).ok, true)
  assert.equal(lookups.length, 2)
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1_000)
    assert.equal(checker.peek(key.token)?.ok, true, `${second} s`)
  }
  assert.equal(lookups.length, 3, 'one look-up is under way')
  fail(false)
  table.clear()
  await through(Promise.resolve())
  assert.equal(checker.peek(key.token), null)
})

test('a look-up that the database was too busy for is no outage: the key is not believed for longer', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, fail, through } = world([key], clock, { outageMs: 300_000 })
  assert.equal((await through(checker.check(key.token))).ok, true)
  fail(new Busy('slow'))
  clock.advance(3_000)
  await assert.rejects(through(checker.check(key.token)), Busy)
  assert.equal(checker.peek(key.token), null)
  fail(false)
  assert.equal((await through(checker.check(key.token))).ok, true)
})

test('a key is not believed for longer than ever where one server holds everything', async () => {
  const key = fresh()
  const clock = manualClock()
  const { checker, fail, through } = world([key], clock)
  assert.equal((await through(checker.check(key.token))).ok, true)
  fail(true)
  clock.advance(3_000)
  await assert.rejects(through(checker.check(key.token)), Unavailable)
  assert.equal(checker.peek(key.token), null)
})
