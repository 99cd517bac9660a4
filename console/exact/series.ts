import type { Series } from '../app/shapes.ts'

/** What a span comes to. */
interface Totals {
  readonly accepted: number
  readonly succeeded: number
  readonly failed: number
  readonly unknown: number
  /** Of what ended, the share that succeeded; null: nothing ended. */
  readonly share: number | null
}

export function totalsOf({ accepted, succeeded, failed, unknown }: Counts): Totals {
  const [good, bad, doubt] = [sum(succeeded), sum(failed), sum(unknown)]
  const ended = good + bad
  return {
    accepted: sum(accepted ?? []),
    succeeded: good,
    failed: bad,
    unknown: doubt,
    share: ended === 0 ? null : good / ended,
  }
}

interface Counts {
  readonly accepted?: readonly number[]
  readonly succeeded: readonly number[]
  readonly failed: readonly number[]
  readonly unknown: readonly number[]
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** How many a second of late: over the step that runs and the whole one before it. */
export function rateOf(
  values: readonly number[],
  { step_seconds: step, times }: Pick<Series, 'step_seconds' | 'times'>,
  nowMs: number,
): number {
  const running = nowMs / 1_000 - (times.at(-1) ?? 0)
  const seconds = step + Math.max(1, Math.min(step, running))
  return sum(values.slice(-2)) / seconds
}

/** How many a second in each step; of the one that runs, over what has passed of it. */
export function ratesOf(
  values: readonly number[],
  { step_seconds: step, times }: Pick<Series, 'step_seconds' | 'times'>,
  nowMs: number,
): number[] {
  return values.map((value, at) => {
    const passed = at === values.length - 1 ? nowMs / 1_000 - (times[at] ?? 0) : step
    // Of its first seconds a rate says nothing yet.
    return value / Math.max(Math.min(step, 10), Math.min(step, passed))
  })
}

/** The newest value that is known. */
export function newest(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null
}

/** Below this nobody knows how long a payment took: the first class of latencies ends here. */
export const FIRST_CLASS_MS = 100

/** Within how long it was, as far as that is known: an estimate inside a class says no more. */
export function withinMs(ms: number): number {
  return Math.max(ms, FIRST_CLASS_MS)
}
