import { reasonOf } from '../domain/error-reason.ts'
import { every } from '../queue/every.ts'
import type { Progress, VerifyWorld } from './pass.ts'
import { reportJson, type Report } from './report.ts'
import { beginRun, endRun, newestRuns, seeRun, type VerifyRun } from './runs-store.ts'
import { verify } from './verify.ts'

/** How often a running check says that it lives and how far it is, in milliseconds. */
const TOLD_MS = 1_000

/** Checks of the whole books that somebody asks for: one at a time, over all processes. */
export interface VerifyRuns {
  /** Begin a check, or join the one that is running. */
  start(by: string): Promise<VerifyRun>
  /** Ends the check that runs in this process; it is then marked as failed. */
  stop(): Promise<void>
}

/**
 * Gateway keys compared at once by a process that serves: 64 MB at most. `payments verify` takes
 * more at once, because it does nothing else.
 */
const KEYS_AT_ONCE = 2_000_000

/** Why a check ended that its process did not let end. */
const STOPPED = 'process_stopped'

/** Make the checks that this process carries out. */
export function verifyRuns(
  world: VerifyWorld & {
    /** Told of each report, as of those of the checks beside the work. */
    readonly onReport: (report: Report) => void
    readonly onError: (error: unknown) => void
  },
): VerifyRuns {
  const { db, clock } = world
  const stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()

  const carryOut = async ({ id }: VerifyRun): Promise<void> => {
    let progress: Progress | null = null
    const canceled = new AbortController()
    // By a timer, because some steps take long without any progress. What is lost is told again.
    const telling = every(clock, TOLD_MS, async () => {
      if (!(await seeRun(db.global, id, progress))) canceled.abort()
    })
    const onProgress = (made: Progress): void => void (progress = made)
    const signal = AbortSignal.any([stopping.signal, canceled.signal])
    try {
      const report = await verify(world, { signal, onProgress, keysAtOnce: KEYS_AT_ONCE })
      if (signal.aborted) return await endRun(db.global, id, { error: STOPPED })
      world.onReport(report)
      return await endRun(db.global, id, { report: reportJson(report) })
    } finally {
      await telling.stop()
    }
  }
  const work = async (run: VerifyRun): Promise<void> => {
    try {
      await carryOut(run)
    } catch (error) {
      world.onError(error)
      await endRun(db.global, run.id, { error: reasonOf(error) }).catch(world.onError)
    }
  }

  return {
    async start(by) {
      const begun = await beginRun(db.global, by)
      if (begun !== null) {
        // One that was canceled may not have noticed yet.
        running = Promise.all([running, work(begun)])
        return begun
      }
      const runs = await newestRuns(db.global)
      const joined = runs.find(({ scope, state }) => scope === 'full' && state === 'running')
      // It ended in between.
      return joined ?? this.start(by)
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}
