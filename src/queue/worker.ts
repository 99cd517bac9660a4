import { batcher } from '../batcher.ts'
import { CommitUnknown, Unavailable, type Clock } from '../ports.ts'

/** What a worker does, in functions: it knows nothing of payments. */
export interface WorkerOptions<Job, Done> {
  /** Take up to `limit` due jobs; committed when it returns. */
  readonly claim: (limit: number) => Promise<Job[]>
  /** Do one job. Stops early when `signal` aborts, and says so in its result. Never throws. */
  readonly handle: (job: Job, signal: AbortSignal) => Promise<Done>
  /** Write the results of finished jobs. Safe to repeat. */
  readonly settle: (done: Done[]) => Promise<void>
  /** How many of `wanted` jobs may be claimed now, beside `running` ones. */
  readonly admitted: (wanted: number, running: number) => number
  readonly clock: Clock
  /** Jobs handled at the same time. */
  readonly concurrency: number
  /** Jobs per claim and per settlement. */
  readonly batchMax: number
  readonly pollMs: number
  /** How long a settlement is tried again while the database is away; the lease ends the rest. */
  readonly settleMsMax: number
  readonly onError: (error: unknown, what: 'claim' | 'settle') => void
}

export interface Worker {
  /** Look for due jobs now rather than at the next poll. */
  wake(): void
  /**
   * Stop claiming, let running jobs end, settle them. Resolves when all is written; jobs that were
   * claimed and not begun are given back by `handle`.
   */
  stop(): Promise<void>
  /** Jobs being handled. */
  running(): number
  /** When the loop last turned, on the monotonic clock: a loop that stands still is not alive. */
  turnedMs(): number
}

const SETTLE_RETRY_MS = 200

/**
 * Start a worker: claim, handle with bounded concurrency, settle in batches. Polling alone is
 * sufficient; `wake` only makes it faster. The loop outlives every error: what a claim took and could
 * not settle comes due again when its lease ends.
 */
export function startWorker<Job, Done>(options: WorkerOptions<Job, Done>): Worker {
  const { clock, concurrency } = options
  const stopping = new AbortController()
  let handling = 0
  let unsettled = 0
  let turned = clock.elapsedMs()
  let bell = new AbortController()
  const ring = () => bell.abort()

  const settler = batcher<Done, void>(
    async (done) => {
      await settleBatch(options, done)
      return done.map(() => undefined)
    },
    { sizeMax: options.batchMax, waitingMax: Number.MAX_SAFE_INTEGER },
  )

  const run = async (job: Job): Promise<void> => {
    handling += 1
    unsettled += 1
    try {
      const done = await options.handle(job, stopping.signal)
      handling -= 1
      // A quarter of the slots free at once makes claims as large as they are useful.
      if (handling % Math.ceil(concurrency / 4) === 0) ring()
      await settler.submit(done)
    } catch (error) {
      options.onError(error, 'settle')
    } finally {
      unsettled -= 1
      if (unsettled === 0) ring()
    }
  }

  const room = (): number => {
    const free = Math.min(concurrency - handling, 2 * concurrency - unsettled, options.batchMax)
    const worthwhile = free >= Math.min(concurrency / 4, options.batchMax) || unsettled === 0
    return worthwhile ? options.admitted(free, handling) : 0
  }

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      turned = clock.elapsedMs()
      bell = new AbortController()
      const limit = room()
      const jobs = limit > 0 ? await claimSome(options, limit) : []
      for (const job of jobs) void run(job)
      // A full claim means more may be due, and room is made again as soon as calls end.
      if (jobs.length < limit || limit <= 0) await clock.sleep(options.pollMs, bell.signal)
    }
  }
  const looping = loop()

  return {
    wake: ring,
    running: () => handling,
    turnedMs: () => turned,
    async stop() {
      stopping.abort()
      ring()
      await looping
      while (unsettled > 0) await clock.sleep(5)
    },
  }
}

async function claimSome<Job, Done>(
  options: WorkerOptions<Job, Done>,
  limit: number,
): Promise<Job[]> {
  try {
    return await options.claim(limit)
  } catch (error) {
    options.onError(error, 'claim')
    return []
  }
}

/**
 * Settle a batch. While the database is away it is tried again, up to a bound; a batch that fails for
 * another reason is settled one by one, so that one bad item does not take its neighbours along.
 */
async function settleBatch<Job, Done>(
  options: WorkerOptions<Job, Done>,
  done: Done[],
): Promise<void> {
  const { clock } = options
  const until = clock.elapsedMs() + options.settleMsMax
  for (;;) {
    try {
      return await options.settle(done)
    } catch (error) {
      options.onError(error, 'settle')
      const away = error instanceof Unavailable || error instanceof CommitUnknown
      if (!away) return settleEach(options, done)
      if (clock.elapsedMs() > until) return
      await clock.sleep(SETTLE_RETRY_MS)
    }
  }
}

async function settleEach<Job, Done>(
  options: WorkerOptions<Job, Done>,
  done: Done[],
): Promise<void> {
  if (done.length === 1) return
  for (const item of done) {
    try {
      await options.settle([item])
    } catch (error) {
      options.onError(error, 'settle')
    }
  }
}
