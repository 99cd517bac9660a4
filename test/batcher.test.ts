import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { seededRandom } from '../src/domain/random.ts'
import { batcher } from '../src/queue/batcher.ts'
import { reader } from '../src/queue/reader.ts'
import { Overloaded } from '../src/ports.ts'

/** A batch's work that ends when it is told to. */
function controlled() {
  const batches: number[][] = []
  const ends: ((fail?: Error) => void)[] = []
  const run = (items: number[]): Promise<string[]> => {
    batches.push(items)
    return new Promise((resolve, reject) => {
      ends.push((fail) => (fail ? reject(fail) : resolve(items.map((item) => `answer ${item}`))))
    })
  }
  return { batches, run, end: (fail?: Error) => ends.shift()?.(fail) }
}

const WIDE = { sizeMax: 100, waitingMax: 100 }

test('what arrives together is one batch, and each item gets its own answer', async () => {
  const { batches, run, end } = controlled()
  const { submit } = batcher(run, WIDE)
  const answers = Promise.all([submit(1), submit(2), submit(3)])
  await turn()
  end()
  assert.deepEqual(await answers, ['answer 1', 'answer 2', 'answer 3'])
  assert.deepEqual(batches, [[1, 2, 3]])
})

test('while a batch runs the next one gathers, and only one runs at a time', async () => {
  const { batches, run, end } = controlled()
  const { submit, waiting } = batcher(run, WIDE)
  const first = submit(1)
  await turn()
  const rest = Promise.all([submit(2), submit(3)])
  await turn()
  assert.deepEqual(batches, [[1]])
  assert.equal(waiting(), 2)
  end()
  await first
  await turn()
  assert.deepEqual(batches, [[1], [2, 3]])
  assert.equal(waiting(), 0)
  end()
  assert.deepEqual(await rest, ['answer 2', 'answer 3'])
})

test('no batch is larger than its limit, and the order of arrival is kept', async () => {
  const batches: number[][] = []
  const { submit } = batcher((items: number[]) => Promise.resolve((batches.push(items), items)), {
    sizeMax: 3,
    waitingMax: 100,
  })
  const items = Array.from({ length: 8 }, (_, index) => index)
  assert.deepEqual(await Promise.all(items.map(submit)), items)
  assert.deepEqual(batches, [
    [0, 1, 2],
    [3, 4, 5],
    [6, 7],
  ])
})

test('a batch that lets the next one begin has it run beside itself, and no third', async () => {
  const { batches, run, end } = controlled()
  const nexts: (() => void)[] = []
  const { submit } = batcher((items: number[], next) => (nexts.push(next), run(items)), WIDE)
  const answers = [submit(1)]
  await turn()
  answers.push(submit(2))
  await turn()
  assert.deepEqual(batches, [[1]])
  nexts[0]?.()
  assert.deepEqual(batches, [[1], [2]])
  answers.push(submit(3))
  nexts[1]?.()
  await turn()
  assert.deepEqual(batches, [[1], [2]])
  end()
  await answers[0]
  await turn()
  assert.deepEqual(batches, [[1], [2], [3]])
  end()
  end()
  assert.deepEqual(await Promise.all(answers), ['answer 1', 'answer 2', 'answer 3'])
})

/** Items whose key is their tens; what is below ten has none. */
const KEYED = {
  waitingMax: 10_000,
  sideBySide: 2,
  keyOf: (item: number) => (item < 10 ? null : BigInt(Math.floor(item / 10))),
}

test('while everything fits into a batch there is one, and when it does not they run side by side', async () => {
  const { batches, run, end } = controlled()
  const { submit, waiting } = batcher(run, { ...KEYED, sizeMax: 3 })
  const answers = [1, 2].map(submit)
  await turn()
  answers.push(...[3, 4].map(submit))
  await turn()
  assert.deepEqual(batches, [[1, 2]])
  answers.push(...[5, 6, 7, 8, 9].map(submit))
  await turn()
  // A third batch would be one too many.
  assert.deepEqual(batches, [
    [1, 2],
    [3, 4, 5],
  ])
  assert.equal(waiting(), 4)
  for (let ended = 0; ended < 4; ended += 1) {
    end()
    await turn()
  }
  assert.deepEqual(batches.slice(2), [[6, 7, 8], [9]])
  assert.deepEqual(
    await Promise.all(answers),
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((item) => `answer ${item}`),
  )
})

test('what needs a key that a running batch holds waits for its end, and all others pass it', async () => {
  const { batches, run, end } = controlled()
  const nexts: (() => void)[] = []
  const held = batcher((items: number[], next) => (nexts.push(next), run(items)), {
    ...KEYED,
    sizeMax: 3,
  })
  const answers = [10, 20].map(held.submit)
  await turn()
  answers.push(...[11, 30, 21, 5, 12, 31].map(held.submit))
  // It has been decided on; what it decided is not committed.
  nexts[0]?.()
  assert.deepEqual(batches, [
    [10, 20],
    [30, 5, 31],
  ])
  assert.equal(held.waiting(), 3)
  answers.push(...[13, 6, 7, 8].map(held.submit))
  nexts[1]?.()
  assert.deepEqual(batches[2], [6, 7, 8])
  end()
  await turn()
  nexts[2]?.()
  // In front of all that came later, in order.
  assert.deepEqual(batches[3], [11, 12, 13])
  nexts[3]?.()
  await turn()
  for (let ended = 0; ended < 4; ended += 1) {
    end()
    await turn()
  }
  assert.deepEqual(batches[4], [21])
  end()
  await Promise.all(answers)
})

test('beside a batch that is being written another begins when as many wait as it has', async () => {
  const { batches, run, end } = controlled()
  const nexts: (() => void)[] = []
  const { submit } = batcher((items: number[], next) => (nexts.push(next), run(items)), {
    sizeMax: 10,
    waitingMax: 100,
  })
  const answers = [1, 2, 3].map(submit)
  await turn()
  nexts[0]?.()
  answers.push(...[4, 5].map(submit))
  await turn()
  assert.deepEqual(batches, [[1, 2, 3]])
  answers.push(submit(6))
  await turn()
  assert.deepEqual(batches[1], [4, 5, 6])
  nexts[1]?.()
  answers.push(submit(7))
  await turn()
  end()
  await turn()
  // One is still being written, and fewer wait than it has.
  assert.equal(batches.length, 2)
  end()
  await turn()
  assert.deepEqual(batches[2], [7])
  end()
  await Promise.all(answers)
})

test('no two running batches ever hold the same key, and the items of a key keep their order', async () => {
  const random = seededRandom(7)
  const running = new Set<bigint>()
  const seen = new Map<bigint | null, number[]>()
  const items: number[] = []
  let largest = 0
  const { submit, idle } = batcher(
    async (batch: number[], next) => {
      const keys = new Set(batch.map((item) => BigInt(item % 5)).filter((key) => key > 0n))
      for (const key of keys) assert.ok(!running.has(key), `two batches hold ${key}`)
      for (const key of keys) running.add(key)
      largest = Math.max(largest, batch.length)
      for (let turns = random() * 4; turns > 0; turns -= 1) await turn()
      next()
      for (let turns = random() * 4; turns > 0; turns -= 1) await turn()
      for (const key of keys) running.delete(key)
      for (const item of batch) {
        const key = item % 5 === 0 ? null : BigInt(item % 5)
        seen.set(key, [...(seen.get(key) ?? []), item])
      }
      return batch.map((item) => item * 2)
    },
    {
      sizeMax: 16,
      waitingMax: 5_000,
      sideBySide: 3,
      keyOf: (item) => (item % 5 === 0 ? null : BigInt(item % 5)),
    },
  )
  const answers: Promise<number>[] = []
  for (let item = 0; item < 2_000; item += 1) {
    items.push(item)
    answers.push(submit(item))
    if (random() < 0.02) await turn()
  }
  assert.deepEqual(
    await Promise.all(answers),
    items.map((item) => item * 2),
  )
  await idle()
  assert.equal(largest, 16)
  for (const [key, own] of seen) {
    if (key !== null)
      assert.deepEqual(
        own,
        own.toSorted((one, two) => one - two),
        `key ${key}`,
      )
  }
  assert.equal([...seen.values()].flat().length, items.length)
})

test('when too many wait the next is refused at once, and the others are still answered', async () => {
  const { run, end } = controlled()
  const { submit } = batcher(run, { sizeMax: 10, waitingMax: 2 })
  const accepted = [submit(1), submit(2)]
  await assert.rejects(submit(3), Overloaded)
  await turn()
  const next = submit(4)
  end()
  assert.deepEqual(await Promise.all(accepted), ['answer 1', 'answer 2'])
  await turn()
  end()
  assert.equal(await next, 'answer 4')
})

const WRONG: readonly (readonly [name: string, run: (items: number[]) => Promise<string[]>])[] = [
  ['a batch that fails', () => Promise.reject(new Error('no'))],
  [
    'a batch that throws before it began',
    () => {
      throw new Error('no')
    },
  ],
  ['a batch with too few answers', (items) => Promise.resolve(items.slice(1).map(String))],
  ['a batch with too many answers', (items) => Promise.resolve([...items, 0].map(String))],
]

for (const [name, run] of WRONG) {
  test(`${name} fails all its items and no later one`, async () => {
    let broken = true
    const { submit, idle } = batcher(
      (items: number[]) => (broken ? run(items) : Promise.resolve(items.map(String))),
      WIDE,
    )
    const results = await Promise.allSettled([submit(1), submit(2)])
    assert.ok(
      results.every(({ status }) => status === 'rejected'),
      'results.every(({ status }) => status === rejected)',
    )
    broken = false
    assert.equal(await submit(3), '3')
    await idle()
  })
}

test('it is idle at once when nothing runs, and otherwise when the last batch has ended', async () => {
  const { run, end } = controlled()
  const { submit, idle } = batcher(run, { sizeMax: 1, waitingMax: 10 })
  await idle()
  const answers = [submit(1), submit(2)]
  let done = false
  const ended = idle().then(() => (done = true))
  await turn()
  end()
  await answers[0]
  await turn()
  assert.equal(done, false)
  end()
  await ended
  await Promise.all(answers)
})

test('thousands of items from everywhere are each answered once, in order', async () => {
  const seen: number[] = []
  const { submit, idle } = batcher(
    async (items: number[]) => {
      await turn()
      seen.push(...items)
      return items.map((item) => item * 2)
    },
    { sizeMax: 64, waitingMax: 10_000 },
  )
  const items = Array.from({ length: 5_000 }, (_, index) => index)
  const answers = items.map(async (item) => {
    if (item % 7 === 0) await turn()
    return submit(item)
  })
  assert.deepEqual(
    await Promise.all(answers),
    items.map((item) => item * 2),
  )
  await idle()
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    items,
  )
})

test('reads that come together are one, which asks for each id once', async () => {
  const asked: (readonly number[])[] = []
  const { submit } = reader<number, string>(WIDE, async (ids) => {
    asked.push(ids)
    return ids.map((id) => (id === 404 ? null : `row ${id}`))
  })
  const rows = await Promise.all([7, 8, 7, 404, 8, 7].map(submit))
  assert.deepEqual(rows, ['row 7', 'row 8', 'row 7', null, 'row 8', 'row 7'])
  assert.deepEqual(asked, [[7, 8, 404]])
  const { submit: few } = reader<number, string>(WIDE, async () => [])
  assert.equal(await few(1), null)
})

test('it is not idle while anything waits for a key, however few run', async () => {
  const { batches, run, end } = controlled()
  const nexts: (() => void)[] = []
  const { submit, idle } = batcher((items: number[], next) => (nexts.push(next), run(items)), {
    ...KEYED,
    sizeMax: 3,
  })
  const answers = [submit(10)]
  await turn()
  nexts[0]?.()
  answers.push(submit(20))
  await turn()
  nexts[1]?.()
  answers.push(submit(21))
  await turn()
  assert.deepEqual(batches, [[10], [20]])
  let done = false
  const ended = idle().then(() => (done = true))
  end()
  await turn()
  assert.equal(done, false)
  end()
  await turn()
  assert.deepEqual([batches.length, done], [3, false])
  end()
  await ended
  await Promise.all(answers)
})
