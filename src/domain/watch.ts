/** How soon a gateway is asked again that did not say whether a payment came back. */
export const WATCH_AGAIN_MS = 900_000

/**
 * How long until a final payment of this age is looked at next; null: never. `watchMs` are the ages
 * at which it is, in ascending order. What was missed meanwhile is one look, which was just made.
 */
export function nextWatchMs(watchMs: readonly number[], ageMs: number): number | null {
  const next = watchMs.find((at) => at > ageMs)
  return next === undefined ? null : Math.ceil(next - ageMs)
}
