import { Overloaded } from '../ports.ts'

/** Joins what arrives together into batches, in order of arrival. */
export interface Batcher<Item, Answer> {
  /** Throws `Overloaded` at once when the queue is full; otherwise the item's own answer. */
  submit(item: Item): Promise<Answer>
  /**
   * The same for several items of one lane, which share a batch and its fate: the answers in order,
   * or promises of those that take longer than the batch. More than a batch takes are refused as
   * `Overloaded`; the caller cuts them up.
   */
  submitAll(items: readonly Item[]): Promise<readonly Later<Answer>[]>
  /** Items that wait for a batch, those in running batches not counted. */
  waiting(): number
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

/** An answer, or the promise of one that takes longer than its batch. */
export type Later<Answer> = Answer | Promise<Answer>

/** Items that came together: one, or several of one caller. */
interface Waiting<Item, Answer> {
  readonly items: readonly Item[]
  readonly lane: number
  readonly resolve: (answers: readonly Later<Answer>[], first: number) => void
  readonly reject: (error: unknown) => void
}

interface BatcherLimits<Item> {
  /** Items of a batch. */
  readonly sizeMax: number
  /** Items that may wait; further ones are refused. */
  readonly waitingMax: number
  /** Which of `lanes` an item belongs to; by default there is one. */
  readonly laneOf?: (item: Item) => number
  readonly lanes?: number
}

/**
 * Make a batcher around `run`, which answers N items with N answers in order. While a batch runs,
 * the next one gathers, so batches grow with the load by themselves; an item that finds nobody
 * running waits only until the event loop has taken in what arrived with it.
 *
 * Items of one lane are taken in order. A lane's next batch begins when its last one has ended, or
 * earlier, when that calls `next`. As long as everything fits into a batch, all lanes share it;
 * when more is waiting, lanes have batches of their own side by side. A batch that throws fails all
 * its items, so `run` reports what concerns one item as a value; what takes longer for one item
 * than for its neighbours is answered by a promise, for which nobody else waits.
 */
export function batcher<Item, Answer>(
  run: (items: Item[], next: () => void) => Promise<readonly Later<Answer>[]>,
  limits: BatcherLimits<Item>,
): Batcher<Item, Answer> {
  const { sizeMax, waitingMax, laneOf = () => 0 } = limits
  const line = openLine<Item, Answer>(limits.lanes ?? 1, sizeMax)
  // In each lane one batch reads and decides, and beside those one is being written.
  const runningMax = (limits.lanes ?? 1) + 1
  let running = 0
  let scheduled = false
  let idlers: (() => void)[] = []

  const begin = (): void => {
    const batch = running < runningMax ? line.take() : []
    if (batch.length === 0) return
    running += 1
    let open = false
    const next = (): void => {
      if (open) return
      open = true
      line.release(batch)
      begin()
    }
    void settle(run, batch, next).then(() => {
      running -= 1
      next()
      begin()
      if (running + line.waiting() === 0) for (const done of idlers.splice(0)) done()
    })
    // What did not fit may run beside it, in another lane.
    begin()
  }

  const enter = (entry: Waiting<Item, Answer>): void => {
    line.push(entry)
    if (scheduled || running === runningMax) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      begin()
    })
  }

  return {
    submit(item) {
      if (line.waiting() >= waitingMax) return Promise.reject(new Overloaded())
      return new Promise((resolve, reject) => {
        const own = (answers: readonly Later<Answer>[], first: number) =>
          resolve(answers[first] as Later<Answer>)
        enter({ items: [item], lane: laneOf(item), resolve: own, reject })
      })
    },
    submitAll(items) {
      const [first] = items
      if (first === undefined) return Promise.resolve([])
      const full = line.waiting() + items.length > waitingMax || items.length > sizeMax
      if (full) return Promise.reject(new Overloaded())
      return new Promise((resolve, reject) => {
        const own = (answers: readonly Later<Answer>[], from: number) =>
          resolve(answers.slice(from, from + items.length))
        enter({ items, lane: laneOf(first), resolve: own, reject })
      })
    },
    waiting: line.waiting,
    idle: () =>
      running + line.waiting() > 0
        ? new Promise((resolve) => idlers.push(resolve))
        : Promise.resolve(),
  }
}

/** What waits, by lane. */
interface Line<Entry> {
  push(entry: Entry): void
  /**
   * The entries of the next batch; their lanes are busy from then on. Empty: no free lane has any.
   */
  take(): Entry[]
  /** The lanes of a batch are free again. */
  release(batch: readonly Entry[]): void
  /** Items that wait. */
  waiting(): number
}

function openLine<Item, Answer>(count: number, sizeMax: number): Line<Waiting<Item, Answer>> {
  type Entry = Waiting<Item, Answer>
  const lanes = Array.from({ length: count }, () => ({
    busy: false,
    since: 0,
    queue: [] as Entry[],
  }))
  let turns = 0
  let waiting = 0

  return {
    push(entry) {
      lanes[entry.lane]?.queue.push(entry)
      waiting += entry.items.length
    },
    take() {
      const free = lanes.filter(({ busy, queue }) => !busy && queue.length > 0)
      // The lane whose turn is longest ago first, so that a full one starves nobody.
      free.sort((one, other) => one.since - other.since)
      const batch: Entry[] = []
      let room = sizeMax
      for (const lane of free) {
        const entries = takeUpTo(lane.queue, room)
        if (entries.length === 0) continue
        lane.busy = true
        lane.since = turns += 1
        for (const { items } of entries) room -= items.length
        batch.push(...entries)
      }
      waiting -= sizeMax - room
      return batch
    },
    release(batch) {
      for (const { lane } of batch) (lanes[lane] as (typeof lanes)[number]).busy = false
    },
    waiting: () => waiting,
  }
}

/**
 * Remove and return entries from the front, at most `room` items; what came together stays
 * together.
 */
function takeUpTo<Entry extends { readonly items: readonly unknown[] }>(
  queue: Entry[],
  room: number,
): Entry[] {
  let size = 0
  let count = 0
  for (const { items } of queue) {
    size += items.length
    if (size > room) break
    count += 1
  }
  return queue.splice(0, count)
}

/** Run a batch and give everyone their answers. Never rejects. */
async function settle<Item, Answer>(
  run: (items: Item[], next: () => void) => Promise<readonly Later<Answer>[]>,
  batch: readonly Waiting<Item, Answer>[],
  next: () => void,
): Promise<void> {
  const items: Item[] = []
  for (const each of batch) for (const item of each.items) items.push(item)
  try {
    const answers = await run(items, next)
    if (answers.length !== items.length) throw new Error('a batch has one answer per item')
    let first = 0
    for (const each of batch) {
      each.resolve(answers, first)
      first += each.items.length
    }
  } catch (error) {
    for (const each of batch) each.reject(error)
  }
}
