import type { Clock } from '../ports.ts'
import { every } from './every.ts'
import type { Settler } from './settler.ts'

/** What a worker does, in functions: it knows nothing of payments. */
interface WorkerOptions<Job, Done> {
  /** Take up to `limit` due jobs; committed when it returns. */
  readonly claim: (limit: number) => Promise<Job[]>
  /** Do one job. Stops early when `signal` aborts, and says so in its result. Never throws. */
  readonly handle: (job: Job, signal: AbortSignal) => Promise<Done>
  /** Writes the results of finished jobs. */
  readonly settler: Settler<Done>
  /** How many of `wanted` jobs may be claimed now, beside `running` ones. */
  readonly admitted: (wanted: number, running: number) => number
  readonly clock: Clock
  /** Jobs handled at the same time; asked again at each turn. */
  readonly concurrency: () => number
  /** Jobs per claim. */
  readonly batchMax: number
  readonly pollMs: number
  /**
   * How long nothing is expected where nothing was claimed, in milliseconds: longer than `pollMs`,
   * it is the pause, unless somebody wakes the worker.
   */
  readonly restMs?: () => number
  /**
   * How long a stopping worker waits for the database to take its last results, in milliseconds.
   */
  readonly stopMsMax: number
  /** Told of a claim of `count` that was full: more may be due. */
  readonly onFull?: (count: number) => void
  readonly onError: (error: unknown, what: 'claim' | 'handle') => void
}

export interface Worker {
  /** Look for due jobs now rather than at the next poll. */
  wake(): void
  /**
   * Stop claiming, let running jobs end, settle them. Resolves when all is written or given up;
   * jobs that were claimed and not begun are given back by `handle`.
   */
  stop(): Promise<void>
  /** Jobs being handled. */
  running(): number
  /** When the loop last turned, on the monotonic clock: a loop that stands still is not alive. */
  turnedMs(): number
}

/**
 * Results that may wait for somebody else's lock, beside those that are being written: some
 * kilobytes each. When as many wait, no more jobs are claimed.
 */
const ASIDE_MAX = 10_000

/**
 * Start a worker: claim, handle with bounded concurrency, settle in batches. Polling alone is
 * sufficient; `wake` only makes it faster. The loop outlives every error.
 *
 * What a job came to is kept until it is written. So that this has a bound, no job is claimed while
 * the database does not take results, while `2 × concurrency` results are waiting or being written,
 * or while `ASIDE_MAX` wait for locks.
 */
export function startWorker<Job, Done>(options: WorkerOptions<Job, Done>): Worker {
  const { clock, settler } = options
  let handling = 0
  let unsettled = 0
  let turned = clock.elapsedMs()
  let drained = () => undefined as void

  /** A slot is free again however the job ends: one that is lost would be so until the end. */
  const handle = async (job: Job, stopping: AbortSignal): Promise<Done> => {
    handling += 1
    try {
      return await options.handle(job, stopping)
    } finally {
      handling -= 1
    }
  }

  const run = async (job: Job, stopping: AbortSignal): Promise<void> => {
    unsettled += 1
    try {
      const done = await handle(job, stopping)
      // A quarter of the slots free at once makes claims as large as they are useful.
      if (handling % Math.ceil(options.concurrency() / 4) === 0) loop.wake()
      await settler.submit(done)
    } catch (error) {
      options.onError(error, 'handle')
    } finally {
      unsettled -= 1
      if (unsettled === settler.aside()) loop.wake()
      if (unsettled === 0) drained()
    }
  }

  const room = (): number => {
    if (settler.away() || settler.aside() >= ASIDE_MAX) return 0
    // What waits for somebody else's lock takes nobody's place.
    const moving = Math.max(0, unsettled - settler.aside())
    const concurrency = options.concurrency()
    const free = Math.min(concurrency - handling, 2 * concurrency - moving, options.batchMax)
    const worthwhile = free >= Math.min(concurrency / 4, options.batchMax) || moving === 0
    return worthwhile ? options.admitted(free, handling) : 0
  }

  const turn = async (stopping: AbortSignal): Promise<boolean | number> => {
    turned = clock.elapsedMs()
    const limit = room()
    const jobs = limit > 0 ? await options.claim(limit) : []
    for (const job of jobs) void run(job, stopping)
    // A full claim means more may be due, and room is made again as soon as calls end.
    if (limit > 0 && jobs.length === limit) {
      options.onFull?.(limit)
      return true
    }
    const isIdle = limit > 0 && jobs.length + unsettled === 0
    return isIdle ? Math.max(options.pollMs, options.restMs?.() ?? 0) : options.pollMs
  }
  const loop = every(clock, options.pollMs, turn, (error) => options.onError(error, 'claim'))

  return {
    wake: loop.wake,
    running: () => handling,
    turnedMs: () => turned,
    async stop() {
      await loop.stop()
      settler.hurry(options.stopMsMax)
      if (unsettled > 0) await new Promise<void>((resolve) => (drained = resolve))
      await settler.idle()
    },
  }
}
