import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { systemNames } from '../src/adapters/system-names.ts'

const LOCAL = [{ address: '127.0.0.1', family: 4 }]

/** A system that answers when it is told to, and which names it is being asked for. */
function system(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const under = new Map<string, () => void>()
  const names = systemNames((hostname) =>
    new Promise<typeof LOCAL>((resolve) => {
      under.set(hostname, () => resolve(LOCAL))
    }).finally(() => under.delete(hostname)),
  )
  const ask = async (...hostnames: string[]) => {
    for (const hostname of hostnames) void names(hostname)
    await turn()
    return [...under.keys()]
  }
  const passes = async (ms: number) => {
    t.mock.timers.tick(ms)
    await turn()
    return [...under.keys()]
  }
  const answers = async (...hostnames: string[]) => {
    for (const hostname of hostnames) under.get(hostname)?.()
    await turn()
    return [...under.keys()]
  }
  return { ask, passes, answers }
}

test('names that nobody answers for hold up one that the system knows for a second, and then no more', async (t) => {
  const { ask, passes, answers } = system(t)
  assert.deepEqual(await ask('slow1', 'slow2', 'localhost'), ['slow1', 'slow2'])
  assert.deepEqual(await passes(1_000), ['slow1', 'slow2', 'localhost'])
  assert.deepEqual(await answers('localhost', 'slow1', 'slow2'), [])

  assert.deepEqual(await ask('slow1', 'slow2', 'localhost', 'shop'), ['slow1', 'localhost', 'shop'])
  assert.deepEqual(await answers('localhost', 'shop'), ['slow1'])
  assert.deepEqual(await passes(10_000), ['slow1'], 'slow ones wait for each other')
  assert.deepEqual(await answers('slow1'), ['slow2'])
})

test('three names take threads of the process at most, whatever the system is asked for', async (t) => {
  const { ask, passes, answers } = system(t)
  const many = Array.from({ length: 10 }, (_, number) => `slow${number}`)
  assert.equal((await ask(...many)).length, 2)
  assert.equal((await passes(1_000)).length, 3)
  assert.equal((await passes(9_000)).length, 3)
  let seen = 0
  for (let left = await answers(); left.length > 0; left = await answers(...left)) {
    assert.ok(left.length <= 3)
    seen += left.length
  }
  assert.equal(seen, 10, 'each was asked for')
})

test('a name that was slow and is quick again is a quick one', async (t) => {
  const { ask, passes, answers } = system(t)
  await ask('late', 'slow')
  await passes(1_000)
  await answers('late', 'slow')
  await ask('late')
  await answers('late')
  assert.deepEqual(await ask('slow', 'late'), ['slow', 'late'])
})

test('a name that the system does not know gives its place to the next', async () => {
  const names = systemNames((hostname) =>
    hostname === 'shop' ? Promise.resolve(LOCAL) : Promise.reject(new Error('ENOTFOUND')),
  )
  const asked = ['gone1', 'gone2', 'gone3', 'shop'].map((hostname) => names(hostname))
  const ends = await Promise.allSettled(asked)
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected', 'fulfilled'],
  )
})
