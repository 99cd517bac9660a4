import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { every } from '../src/queue/every.ts'
import { manualClock } from './harness.ts'

/** A clock whose sleepers wake when they are told to, or when their signal aborts. */
function sleepyClock() {
  const sleeps: { readonly ms: number; wake: () => void }[] = []
  const sleep = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      sleeps.push({ ms, wake: resolve })
      if (signal?.aborted) resolve()
      signal?.addEventListener('abort', () => resolve())
    })
  return { clock: { ...manualClock(), sleep }, sleeps }
}

test('a turn comes at once, then after each wait, and at once while there is more to do', async () => {
  const { clock, sleeps } = sleepyClock()
  const more = [true, true, false, false]
  let turns = 0
  const loop = every(clock, 250, async () => more[turns++] ?? false)
  await turn()
  assert.equal(turns, 3)
  assert.deepEqual(
    sleeps.map(({ ms }) => ms),
    [250],
  )
  sleeps[0]?.wake()
  await turn()
  assert.equal(turns, 4)
  await loop.stop()
  assert.equal(turns, 4)
})

test('an error ends no loop: it is told, and the next turn comes in its time', async () => {
  const { clock, sleeps } = sleepyClock()
  const errors: unknown[] = []
  let turns = 0
  const loop = every(
    clock,
    1_000,
    async () => {
      turns += 1
      throw new Error(`turn ${turns}`)
    },
    (error) => errors.push(error),
  )
  await turn()
  sleeps[0]?.wake()
  await turn()
  await loop.stop()
  assert.deepEqual(errors.map(String), ['Error: turn 1', 'Error: turn 2'])
})

test('who wakes a loop during its turn is heard after it', async () => {
  const { clock } = sleepyClock()
  let turns = 0
  let end = (): void => undefined
  const loop = every(clock, 1_000, async () => {
    turns += 1
    if (turns === 1) await new Promise<void>((resolve) => (end = resolve))
  })
  loop.wake()
  end()
  await turn()
  assert.equal(turns, 2)
  loop.wake()
  await turn()
  assert.equal(turns, 3)
  await loop.stop()
})

test('a turn may say how long to rest, and who wakes the loop cuts that short', async () => {
  const { clock, sleeps } = sleepyClock()
  let rest: number | boolean = 7_000
  let turns = 0
  const loop = every(clock, 1_000, () => {
    turns += 1
    return Promise.resolve(rest)
  })
  await turn()
  assert.equal(sleeps.at(-1)?.ms, 7_000)
  rest = false
  loop.wake()
  await turn()
  assert.deepEqual([turns, sleeps.at(-1)?.ms], [2, 1_000])
  await loop.stop()
})

test('stopping waits for the turn in progress, tells it, and waits for no sleep', async () => {
  const { clock, sleeps } = sleepyClock()
  let end = (): void => undefined
  let told = false
  const loop = every(clock, 1_000, async (stopping) => {
    stopping.addEventListener('abort', () => (told = true))
    await new Promise<void>((resolve) => (end = resolve))
    return true
  })
  let stopped = false
  const stopping = loop.stop().then(() => (stopped = true))
  await turn()
  assert.deepEqual([told, stopped], [true, false])
  end()
  await stopping
  assert.equal(sleeps.length, 0)

  const asleep = every(clock, 1_000, async () => undefined)
  await turn()
  assert.equal(sleeps.length, 1)
  await asleep.stop()
})
