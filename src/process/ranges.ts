import { systemClock } from '../adapters/clock.ts'
import { rangesOf, RANGES_READ } from '../adapters/id-ranges-read.ts'
import type { IdRange } from '../domain/id-ranges.ts'
import type { Db } from '../ports.ts'
import { every } from '../queue/every.ts'
import type { Logger } from 'pino'
import type { Closing } from './closing.ts'

/** How often is looked which ranges there are, in milliseconds. */
const LOOK_MS = 60_000

/** The ranges of a database, as this process last saw them. */
interface KnownRanges {
  /** Null: its tables are whole, or nobody has looked yet. */
  readonly get: () => readonly IdRange[] | null
  /** Look which there are. */
  learn(db: Pick<Db, 'global'>): Promise<void>
}

/** Know of no ranges yet: until they are learned of, every statement is sent as it is. */
export function knownRanges(): KnownRanges {
  let known: readonly IdRange[] | null = null
  return {
    get: () => known,
    async learn({ global }) {
      known = rangesOf(await global.run(RANGES_READ, []))
    },
  }
}

/** Look every minute: ranges are made while processes run. */
export function watchRanges(
  parts: { readonly db: Db; readonly log: Logger; readonly stops: Closing },
  known: KnownRanges,
): void {
  const { db, log, stops } = parts
  const onError = (err: unknown) => log.warn({ err }, 'the ranges of payments could not be read')
  const looking = every(systemClock, LOOK_MS, () => known.learn(db), onError)
  stops.push(() => looking.stop())
}
