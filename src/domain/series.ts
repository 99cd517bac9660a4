/**
 * The upper bounds of the classes in which the time from acceptance to the end is counted, in
 * milliseconds. What takes longer than the last is in a class of its own.
 */
export const LATENCY_BOUNDS_MS = [
  100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
] as const

/** Classes of latencies: one below each bound, and one above all. */
export const LATENCY_CLASSES = LATENCY_BOUNDS_MS.length + 1

/**
 * The time within which a share of what was counted ended, in milliseconds, as if it were spread
 * evenly within its class; null: nothing was counted. Beyond the last bound it is that bound.
 */
export function quantileMs(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let rest = share * total
  for (const [index, count] of counts.entries()) {
    const [low, high] = [LATENCY_BOUNDS_MS[index - 1] ?? 0, LATENCY_BOUNDS_MS[index]]
    if (high === undefined) return low
    if (count > 0 && rest <= count) return Math.round(low + ((high - low) * rest) / count)
    rest -= count
  }
  return LATENCY_BOUNDS_MS.at(-1) ?? null
}

/** What was counted in two parts, class by class. */
export function plusClasses(one: readonly number[], other: readonly number[]): number[] {
  return Array.from({ length: LATENCY_CLASSES }, (_, at) => (one[at] ?? 0) + (other[at] ?? 0))
}

/** The spans of time that charts show, by name, and the step between two of their points. */
export const SPANS = {
  '15m': { seconds: 900, stepSeconds: 60 },
  '1h': { seconds: 3_600, stepSeconds: 60 },
  '24h': { seconds: 86_400, stepSeconds: 600 },
  '7d': { seconds: 604_800, stepSeconds: 3_600 },
} as const

export type SeriesSpan = keyof typeof SPANS

/** How long hours are kept: the longest span, and the steps at its two ends. */
export const SERIES_HOURS = 7 * 24 + 2
