import type { Logger } from 'pino'
import { systemClock } from '../adapters/clock.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { tellBroken } from '../events/books.ts'
import type { Clock, Db, Global } from '../ports.ts'
import { reportJson, summary, type Report } from '../verify/report.ts'
import { keepRecent, newestRuns } from '../verify/runs-store.ts'
import { startVerifier } from '../verify/verifier.ts'
import type { Closing } from './closing.ts'

/** How often a worker checks what changed in the books, in milliseconds. */
const VERIFY_MS = 60_000

/** What of a process the check of the books takes. */
interface BesideWork {
  readonly db: Db
  readonly metrics: Pick<Metrics, 'violations'>
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly stops: Pick<Closing, 'push'>
}

/**
 * Check the books beside the work: a violation is an error in the log and a gauge above zero. One
 * process does it for all; another one begins when that one has not for longer than it should.
 */
export function verifyBeside({ db, metrics, log, stops }: BesideWork, clock = systemClock): void {
  const last: LastFound = { rules: null, startedAt: null, isAlarm: false }
  const verifier = startVerifier({
    db,
    clock,
    everyMs: VERIFY_MS,
    isDone: () => isVerified({ db: db.global, clock }, last),
    onReport(found) {
      tellOfBooks({ metrics, log }, found)
      Object.assign(last, { startedAt: found.startedAt, isAlarm: found.violations > 0 })
      keepFound(db, found, last).catch((error: unknown) =>
        // Tried again in a minute.
        log.warn({ err: error }, 'what a check of the books found could not be kept'),
      )
    },
    onError: (error) => log.warn({ err: error }, 'the books could not be checked'),
  })
  stops.push(() => verifier.stop())
}

/** Whether another process has checked the books within the last pass or so, and all of them. */
async function isVerified(
  { db, clock }: { readonly db: Global; readonly clock: Clock },
  last: LastFound,
): Promise<boolean> {
  // Whoever has found something looks whether it is mended: others do not know of it.
  if (last.isAlarm) return false
  const runs = await newestRuns(db)
  const run = runs.find(({ scope, state }) => scope === 'recent' && state === 'done')
  if (run === undefined || run.startedAt.getTime() === last.startedAt?.getTime()) return false
  const ageMs = Math.abs(clock.now().getTime() - run.startedAt.getTime())
  const isDone = run.report?.complete === true && ageMs < VERIFY_MS * 1.5
  // What it found is what the next pass is compared with.
  if (isDone) last.rules = null
  return isDone
}

/** What the last pass of this process found; null: there was none. */
interface LastFound {
  rules: Parameters<typeof tellBroken>[2]
  startedAt: Date | null
  isAlarm: boolean
}

/**
 * Keep what a pass found, and tell of it if the one before did not find the same. That is one of
 * this process, because each remembers other rows; at first the newest of any.
 */
async function keepFound(db: Db, found: Report, last: LastFound): Promise<void> {
  // What a shard holds that could not be asked is neither broken nor mended.
  if (found.missing.length === 0) {
    const runs = last.rules === null ? await newestRuns(db.global) : []
    const before = runs.find(({ scope, state }) => scope === 'recent' && state === 'done')
    await tellBroken(db, found, last.rules ?? before?.report?.rules ?? null)
    last.rules = found.rules
  }
  await keepRecent(db.global, found.startedAt, reportJson(found))
}

/** What a pass found, told to whoever watches: also that there is nothing, or an alarm stays. */
export function tellOfBooks(
  { metrics, log }: Pick<BesideWork, 'metrics' | 'log'>,
  found: Report,
): void {
  // What was wrong in a shard that could not be asked is not mended by that.
  if (found.missing.length === 0 || found.violations > 0) metrics.violations(found)
  if (found.violations > 0) log.error({ report: reportJson(found) }, summary(found))
}
