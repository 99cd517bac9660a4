import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { batcher } from '../src/queue/batcher.ts'
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

test('lanes share a batch while everything fits, and have their own when it does not', async () => {
  const { batches, run, end } = controlled()
  const limits = { sizeMax: 3, waitingMax: 100, lanes: 2, laneOf: (item: number) => item % 2 }
  const { submit, submitAll, waiting } = batcher(run, limits)
  const few = [submit(1), submit(2)]
  await turn()
  assert.deepEqual(batches, [[2, 1]])
  const many = [submitAll([3, 5, 7]), submitAll([4, 6]), submitAll([9, 11])]
  await turn()
  assert.deepEqual(batches, [[2, 1]])
  end()
  await Promise.all(few)
  await turn()
  assert.deepEqual(batches.slice(1), [
    [4, 6],
    [3, 5, 7],
  ])
  assert.equal(waiting(), 2)
  end()
  end()
  await turn()
  end()
  const texts = (items: number[]) => items.map((item) => `answer ${item}`)
  assert.deepEqual(await Promise.all(many), [texts([3, 5, 7]), texts([4, 6]), texts([9, 11])])
})

test('items that come together are refused together when they are too many', async () => {
  const { run, end } = controlled()
  const { submitAll, waiting } = batcher(run, { sizeMax: 3, waitingMax: 4 })
  await assert.rejects(submitAll([1, 2, 3, 4]), Overloaded)
  const first = submitAll([1, 2])
  await assert.rejects(submitAll([3, 4, 5]), Overloaded)
  assert.equal(waiting(), 2)
  assert.deepEqual(await submitAll([]), [])
  await turn()
  end()
  assert.deepEqual(await first, ['answer 1', 'answer 2'])
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
