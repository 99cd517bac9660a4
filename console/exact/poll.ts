/** What decides whether and when a screen asks again. */
interface Polling {
  readonly paused: boolean
  readonly hidden: boolean
  /** How often in a row asking has failed. */
  readonly failures: number
}

const MS_MIN = 2_000
const MS_MAX = 5_000

/**
 * How long to wait before asking again; null: not until something changes. `chance` is from 0 to 1
 * and keeps many viewers from asking in step. After a failure the waits grow to the longest.
 */
export function nextPollMs({ paused, hidden, failures }: Polling, chance: number): number | null {
  if (paused || hidden) return null
  const least = Math.min(MS_MAX - 1_000, MS_MIN + 500 * failures)
  return Math.round(least + 1_000 * chance)
}

/** Age from which what is shown is called old. */
export const OLD_MS = 15_000

/** Whether what is shown is so old that it has to be said. */
export function isOld(at: number | null, now: number): boolean {
  return at !== null && now - at > OLD_MS
}
