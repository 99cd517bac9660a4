import { Overloaded } from './ports.ts'

/** Joins what arrives together into batches, one batch at a time, in order of arrival. */
export interface Batcher<Item, Answer> {
  /** Throws `Overloaded` at once when the queue is full; otherwise the item's own answer. */
  submit(item: Item): Promise<Answer>
  /** Items that wait for a batch, those in the running batch not counted. */
  waiting(): number
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

interface Waiting<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/**
 * Make a batcher around `run`, which answers N items with N answers in order. While a batch runs, the
 * next one gathers, so batches grow with the load by themselves; an item that finds nobody running
 * waits only until the event loop has taken in what arrived with it. A batch that throws fails all
 * its items, so `run` reports what concerns one item as a value.
 */
export function batcher<Item, Answer>(
  run: (items: Item[]) => Promise<readonly Answer[]>,
  limits: { readonly sizeMax: number; readonly waitingMax: number },
): Batcher<Item, Answer> {
  let queue: Waiting<Item, Answer>[] = []
  let running = false
  let idlers: (() => void)[] = []

  const settle = async (batch: readonly Waiting<Item, Answer>[]): Promise<void> => {
    try {
      const answers = await run(batch.map((waiting) => waiting.item))
      if (answers.length !== batch.length) throw new Error('a batch has one answer per item')
      batch.forEach((waiting, index) => waiting.resolve(answers[index] as Answer))
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }

  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.slice(0, limits.sizeMax)
      queue = queue.slice(limits.sizeMax)
      await settle(batch)
    }
    running = false
    for (const done of idlers) done()
    idlers = []
  }

  return {
    submit(item) {
      if (queue.length >= limits.waitingMax) return Promise.reject(new Overloaded())
      return new Promise((resolve, reject) => {
        queue.push({ item, resolve, reject })
        if (running) return
        running = true
        setImmediate(() => void drain())
      })
    },
    waiting: () => queue.length,
    idle: () =>
      running ? new Promise((resolve) => idlers.push(() => resolve())) : Promise.resolve(),
  }
}
