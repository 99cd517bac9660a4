import { systemClock } from '../adapters/clock.ts'
import { makeRange } from '../adapters/id-ranges.ts'
import { RANGES_GIVEN, RANGES_READ, rangesOf } from '../adapters/id-ranges-read.ts'
import type { Metrics } from '../adapters/metrics.ts'
import { connectToPrimary } from '../adapters/primary.ts'
import type { Config } from '../config/config.ts'
import {
  givenUpTo,
  missingRanges,
  rangesAhead,
  sizeOf,
  tooManyRanges,
  type IdRange,
} from '../domain/id-ranges.ts'
import type { Db } from '../ports.ts'
import { every } from '../queue/every.ts'
import type { Logger } from 'pino'
import type { Closing } from './closing.ts'

/** How often is looked which ranges there are, in milliseconds. */
const LOOK_MS = 60_000
/** How many empty ranges a worker sees to. */
const AHEAD = 3
const CONNECT_MS_MAX = 10_000

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

/** Look which ranges there are. Throws a sentence where they have too many tables. */
export async function learnAtStart(known: KnownRanges, db: Pick<Db, 'global'>): Promise<void> {
  await known.learn(db)
  const problem = tooManyRanges(known.get()?.length ?? 0)
  if (problem !== null) throw new Error(problem)
}

interface Watching {
  readonly config: Config
  readonly db: Db
  readonly log: Logger
  readonly metrics: Metrics
  readonly stops: Closing
}

/**
 * Look every minute, because ranges are made while processes run. `makes`: where the next ones are
 * made, by a worker; only a role that owns the tables can.
 */
export function watchRanges(
  { config, db, log, metrics, stops }: Watching,
  known: KnownRanges,
  makes: { readonly url: string } | null,
): void {
  const turn = async () => {
    await known.learn(db)
    const ranges = known.get()
    if (ranges === null) return
    const [row] = await db.global.run(RANGES_GIVEN, [])
    const given = givenUpTo(row?.number ?? 0n, config.shards)
    const ahead = rangesAhead(ranges, given)
    metrics.rangesMissing(Math.max(0, AHEAD - ahead))
    if (makes === null || ahead >= AHEAD) return
    await makeNext(ranges, given, makes.url).catch((err: unknown) => {
      const what = `no range of payments could be made, and ${ahead} are ahead: run `
      log.warn({ err }, `${what}\`payments partitions\` as the role that owns the tables`)
    })
    await known.learn(db)
    metrics.rangesMissing(Math.max(0, AHEAD - rangesAhead(known.get() ?? [], given)))
  }
  const onError = (err: unknown) => log.warn({ err }, 'the ranges of payments could not be read')
  const looking = every(systemClock, LOOK_MS, turn, onError)
  stops.push(() => looking.stop())
}

/** Make the next ranges, as large as the newest. */
async function makeNext(ranges: readonly IdRange[], given: bigint, url: string): Promise<void> {
  const size = sizeOf(ranges)
  if (size === null) throw new Error('there is only the first range, which says no size')
  const missing = missingRanges(ranges, given, { size, ahead: AHEAD })
  const problem = tooManyRanges(ranges.length + missing.length)
  if (problem !== null) throw new Error(problem)
  const client = await connectToPrimary(
    { application_name: 'payments ranges', connectionTimeoutMillis: CONNECT_MS_MAX },
    url,
  )
  try {
    for (const range of missing) await makeRange(client, range)
  } finally {
    await client.end().catch(() => undefined)
  }
}
