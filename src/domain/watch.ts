/** How soon a look that came to nothing is repeated: at first, and where a lock was in its way. */
export const WATCH_AGAIN_MS = 900_000

/** The same by for how long that goes on already. */
const AGAIN = [
  { belowMs: 3_600_000, pauseMs: WATCH_AGAIN_MS },
  { belowMs: 21_600_000, pauseMs: 3_600_000 },
  { belowMs: 86_400_000, pauseMs: 21_600_000 },
] as const
const AGAIN_MS_MAX = 86_400_000

/** How old a final payment is, and since when it is to be looked at, in milliseconds. */
interface WatchAge {
  readonly ageMs: number
  readonly watchedMs: number
}

/**
 * How long until a final payment is looked at again of which it could not be said whether it came
 * back. It goes on since the last age at which it was to be looked at, or since it is watched; the
 * pauses grow from a quarter of an hour to a day, and no further look at an age is left out.
 */
export function watchAgainMs(watchMs: readonly number[], { ageMs, watchedMs }: WatchAge): number {
  const planned = watchMs.findLast((at) => at <= ageMs) ?? 0
  const sinceMs = Math.min(ageMs - planned, watchedMs)
  const pauseMs = AGAIN.find(({ belowMs }) => sinceMs < belowMs)?.pauseMs ?? AGAIN_MS_MAX
  return Math.min(pauseMs, nextWatchMs(watchMs, ageMs) ?? pauseMs)
}

/**
 * How long until a final payment of this age is looked at next; null: never. `watchMs` are the ages
 * at which it is, in ascending order. What was missed meanwhile is one look, which was just made.
 */
export function nextWatchMs(watchMs: readonly number[], ageMs: number): number | null {
  const next = watchMs.find((at) => at > ageMs)
  return next === undefined ? null : Math.ceil(next - ageMs)
}

/** A payment that has ended. `parentId`: the deposit that a refund gives back; null: it is none. */
interface EndedPayment {
  readonly id: bigint
  readonly parentId: bigint | null
  readonly outcome: 'success' | 'failed'
}

/**
 * Which payment is looked at once another has ended, for what may come back: itself, where it ended
 * well; and the deposit of a refund that failed, where somebody may have booked the refund as a
 * return that failed there. Null: none.
 */
export function watchedOnceEnded(
  { id, parentId, outcome }: EndedPayment,
  namesByRef: boolean,
): bigint | null {
  if (parentId !== null) return outcome === 'failed' && namesByRef ? parentId : null
  return outcome === 'success' ? id : null
}
