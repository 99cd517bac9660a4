/** Counts of durations in buckets that grow with them: every figure is true to within 1 %. */
export interface Histogram {
  /** Count one duration in milliseconds. */
  record(ms: number): void
  /** Count everything that another one has counted. */
  add(other: Histogram): void
  count(): number
  mean(): number
  max(): number
  /** The duration that the share `q` (0 to 1) of all stays within, in milliseconds; 0 of none. */
  quantile(q: number): number
  /** The buckets that hold something: upper end in milliseconds, and how many. */
  buckets(): Bucket[]
}

export interface Bucket {
  readonly upToMs: number
  readonly count: number
}

/** Buckets per doubling: a bucket is at most 1/64 wider than its lower end. */
const PER_DOUBLING = 64
/** Durations are whole microseconds below 2^32, which is 71 minutes; longer ones count as that. */
const MICROS_MAX = 0xffff_ffff
const BUCKETS = (32 - 6 + 1) * PER_DOUBLING

/** Make an empty histogram, or one with the buckets that another process sent. */
export function histogram(from: readonly Bucket[] = []): Histogram {
  const counts = new Float64Array(BUCKETS)
  let total = 0
  let sumMs = 0
  let maxMs = 0

  const put = (ms: number, count: number): void => {
    const bucket = bucketOf(ms)
    counts[bucket] = (counts[bucket] ?? 0) + count
    total += count
    sumMs += ms * count
    if (ms > maxMs) maxMs = ms
  }
  for (const { upToMs, count } of from) put(upToMs, count)

  const buckets = (): Bucket[] => {
    const filled: Bucket[] = []
    counts.forEach((count, bucket) => {
      if (count > 0) filled.push({ upToMs: upperMs(bucket), count })
    })
    return filled
  }

  return {
    record: (ms) => put(ms, 1),
    add(other) {
      for (const { upToMs, count } of other.buckets()) put(upToMs, count)
    },
    count: () => total,
    mean: () => (total === 0 ? 0 : sumMs / total),
    max: () => maxMs,
    quantile(q) {
      if (total === 0) return 0
      let left = Math.max(1, Math.ceil(q * total))
      for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
        left -= counts[bucket] ?? 0
        if (left <= 0) return Math.min(upperMs(bucket), maxMs)
      }
      return maxMs
    },
    buckets,
  }
}

/** The first 128 buckets are a microsecond each; from then on each doubling has 64. */
function bucketOf(ms: number): number {
  const micros = Math.min(MICROS_MAX, Math.max(0, Math.round(ms * 1_000)))
  if (micros < PER_DOUBLING) return micros
  const shift = 31 - Math.clz32(micros) - 6
  return shift * PER_DOUBLING + (micros >>> shift)
}

/** The largest duration that falls into a bucket. */
function upperMs(bucket: number): number {
  if (bucket < 2 * PER_DOUBLING) return bucket / 1_000
  const shift = Math.floor(bucket / PER_DOUBLING) - 1
  // Not with `<<`, which would overflow into the sign.
  return ((bucket - shift * PER_DOUBLING + 1) * 2 ** shift - 1) / 1_000
}
