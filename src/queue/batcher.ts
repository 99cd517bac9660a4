import { Overloaded } from '../ports.ts'
import { openLine } from './line.ts'

/** Joins what arrives together into batches, in order of arrival. */
export interface Batcher<Item, Answer> {
  /** Throws `Overloaded` at once when the queue is full; otherwise the item's own answer. */
  submit(item: Item): Promise<Answer>
  /** Items that wait for a batch, those in running batches not counted. */
  waiting(): number
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

/** An answer, or the promise of one that takes longer than its batch. */
export type Later<Answer> = Answer | Promise<Answer>

interface BatcherLimits<Item> {
  /** Items of a batch. */
  readonly sizeMax: number
  /** Items that may wait; further ones are refused. */
  readonly waitingMax: number
  /**
   * What no two batches hold at the same time; null: nothing. Items of one key are taken in order.
   */
  readonly keyOf?: (item: Item) => bigint | null
  /** Batches that may be decided on side by side; by default one. */
  readonly sideBySide?: number
}

/**
 * Make a batcher around `run`, which answers N items with N answers in order. While a batch runs,
 * the next one gathers, so batches grow with the load by themselves; an item that finds nobody
 * running waits only until the event loop has taken in what arrived with it.
 *
 * The next batch begins when the last one has ended, or earlier, when that has called `next` and as
 * many wait as it has. When more is waiting than one batch takes, further ones begin beside it. No
 * two batches hold the same key: items of a key that a running batch holds wait until it has ended,
 * and all others pass them.
 *
 * A batch that throws fails all its items, so `run` reports what concerns one item as a value; what
 * takes longer for one item than for its neighbours is answered by a promise, for which nobody else
 * waits.
 */
export function batcher<Item, Answer>(
  run: (items: Item[], next: () => void) => Promise<readonly Later<Answer>[]>,
  limits: BatcherLimits<Item>,
): Batcher<Item, Answer> {
  const { sizeMax, waitingMax, keyOf = () => null, sideBySide = 1 } = limits
  const line = openLine<Waiting<Item, Answer>>(sizeMax, ({ item }) => keyOf(item))
  // Beside those that are being decided on, one is being written.
  const runningMax = sideBySide + 1
  let running = 0
  let deciding = 0
  let lastSize = 0
  let scheduled = false
  let idlers: (() => void)[] = []

  // A small batch beside a large one costs the database nearly as much as a large one.
  const mayBegin = (): boolean => {
    if (running === runningMax) return false
    if (deciding === 0) return running === 0 || line.takeable() >= lastSize
    return deciding < sideBySide && line.takeable() >= sizeMax
  }

  const begin = (): void => {
    while (mayBegin()) {
      const batch = line.take()
      if (batch.length === 0) return
      start(batch)
    }
  }

  const start = (batch: readonly Waiting<Item, Answer>[]): void => {
    running += 1
    deciding += 1
    lastSize = batch.length
    let open = false
    const next = (): void => {
      if (open) return
      open = true
      deciding -= 1
      begin()
    }
    void settle(run, batch, next).then(() => {
      running -= 1
      line.release(batch)
      next()
      begin()
      if (running + line.waiting() === 0) for (const done of idlers.splice(0)) done()
    })
  }

  return {
    submit(item) {
      if (line.waiting() >= waitingMax) return Promise.reject(new Overloaded())
      return new Promise((resolve, reject) => {
        line.push({ item, resolve, reject })
        if (scheduled || !mayBegin()) return
        scheduled = true
        setImmediate(() => {
          scheduled = false
          begin()
        })
      })
    },
    waiting: line.waiting,
    idle: () =>
      running + line.waiting() > 0
        ? new Promise((resolve) => idlers.push(resolve))
        : Promise.resolve(),
  }
}

interface Waiting<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Later<Answer>) => void
  readonly reject: (error: unknown) => void
}

/** Run a batch and give everyone their answers. Never rejects. */
async function settle<Item, Answer>(
  run: (items: Item[], next: () => void) => Promise<readonly Later<Answer>[]>,
  batch: readonly Waiting<Item, Answer>[],
  next: () => void,
): Promise<void> {
  try {
    const answers = await run(
      batch.map(({ item }) => item),
      next,
    )
    if (answers.length !== batch.length) throw new Error('a batch has one answer per item')
    batch.forEach(({ resolve }, index) => resolve(answers[index] as Later<Answer>))
  } catch (error) {
    for (const { reject } of batch) reject(error)
  }
}
