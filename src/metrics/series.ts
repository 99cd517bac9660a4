import {
  LATENCY_BOUNDS_MS,
  plusClasses,
  quantileMs,
  SPANS,
  type SeriesSpan,
} from '../domain/series.ts'
import { partlyByServer } from '../each-shard.ts'
import type { Clock, Db } from '../ports.ts'
import { readSeries, type SeriesRow } from './series-store.ts'

/** What became of payments, step by step; each list has an element for each step. */
interface Outcomes {
  readonly succeeded: readonly number[]
  readonly failed: readonly number[]
  readonly unknown: readonly number[]
  /** Times from acceptance to the end; null where nothing ended. */
  readonly p50Ms: readonly (number | null)[]
  readonly p95Ms: readonly (number | null)[]
}

export interface Series extends Outcomes {
  readonly span: SeriesSpan
  readonly stepSeconds: number
  /** When each step begins, in seconds since 1970. */
  readonly times: readonly number[]
  readonly accepted: readonly number[]
  /** How many ended in each class of latencies, of all steps. */
  readonly latency: readonly number[]
  readonly gateways: readonly (Outcomes & {
    readonly gateway: string
    readonly latency: readonly number[]
  })[]
  /** What succeeded by currency, in minor units. */
  readonly currencies: readonly {
    readonly currency: string
    readonly amounts: readonly bigint[]
  }[]
  /** The shards that could not be read: what is in them is left out. */
  readonly missing: readonly number[]
}

/** Classes of latencies up to bounds, as they are shown. */
export const BOUNDS_MS: readonly number[] = LATENCY_BOUNDS_MS

/**
 * What became of payments over a span of time, over all shards that can be read. The last step is
 * not over yet. It is read from totals, so it takes as long whatever was accepted.
 */
export async function series(
  { db, clock }: { readonly db: Db; readonly clock: Clock },
  span: SeriesSpan,
): Promise<Series> {
  const { seconds, stepSeconds } = SPANS[span]
  const nowSeconds = Math.floor(clock.now().getTime() / 1_000)
  const last = nowSeconds - (nowSeconds % stepSeconds)
  const count = seconds / stepSeconds
  const times = Array.from({ length: count }, (_, at) => last - (count - 1 - at) * stepSeconds)
  const [from, to] = [new Date((times[0] ?? 0) * 1_000), new Date((last + stepSeconds) * 1_000)]
  const { known, missing } = await partlyByServer(db, (session, server) =>
    readSeries(session, server, { from, to, stepSeconds }),
  )
  return { span, stepSeconds, times, ...addUp(known.flat(), times, db.currency), missing }
}

function addUp(rows: readonly SeriesRow[], times: readonly number[], books: string) {
  const gateways = byName(rows, ({ gateway }) => gateway)
  const ended = rows.filter(({ gateway }) => gateway !== '')
  const currencies = byName(ended, ({ currency }) => currency || books)
  return {
    accepted: sums(rows, times, ({ accepted }) => accepted),
    ...outcomesOf(rows, times),
    latency: latencyOf(rows),
    gateways: gateways
      .filter(([gateway]) => gateway !== '')
      .map(([gateway, ofGateway]) => ({
        gateway,
        latency: latencyOf(ofGateway),
        ...outcomesOf(ofGateway, times),
      })),
    currencies: currencies.map(([currency, ofCurrency]) => ({
      currency,
      amounts: perStep(ofCurrency, times).map((part) =>
        part.reduce((sum, { amount }) => sum + amount, 0n),
      ),
    })),
  }
}

/** How many ended in each class of latencies, over all steps. */
function latencyOf(rows: readonly SeriesRow[]): number[] {
  return rows.reduce<number[]>((all, { latency }) => plusClasses(all, latency), plusClasses([], []))
}

function outcomesOf(rows: readonly SeriesRow[], times: readonly number[]): Outcomes {
  const classes = perStep(rows, times).map((part) =>
    part.reduce<number[]>((all, { latency }) => plusClasses(all, latency), []),
  )
  return {
    succeeded: sums(rows, times, ({ succeeded }) => succeeded),
    failed: sums(rows, times, ({ failed }) => failed),
    unknown: sums(rows, times, ({ inDoubt }) => inDoubt),
    p50Ms: classes.map((counts) => quantileMs(counts, 0.5)),
    p95Ms: classes.map((counts) => quantileMs(counts, 0.95)),
  }
}

function sums(
  rows: readonly SeriesRow[],
  times: readonly number[],
  countOf: (row: SeriesRow) => number,
): number[] {
  return perStep(rows, times).map((part) => part.reduce((sum, row) => sum + countOf(row), 0))
}

/** The rows of each step. */
function perStep(rows: readonly SeriesRow[], times: readonly number[]): SeriesRow[][] {
  const places = new Map(times.map((time, at) => [time * 1_000, at]))
  const parts: SeriesRow[][] = times.map(() => [])
  for (const row of rows) parts[places.get(row.at.getTime()) ?? -1]?.push(row)
  return parts
}

/** The rows by a name of theirs, in order of the names. */
function byName(
  rows: readonly SeriesRow[],
  nameOf: (row: SeriesRow) => string,
): [string, SeriesRow[]][] {
  const found = new Map<string, SeriesRow[]>()
  for (const row of rows) {
    const before = found.get(nameOf(row))
    if (before === undefined) found.set(nameOf(row), [row])
    else before.push(row)
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1))
}
