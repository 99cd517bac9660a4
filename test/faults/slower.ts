import type { Entry } from './load.ts'
import { check, type Check } from './witnesses.ts'

/** What somebody else's trouble may cost: twice as long, or so many milliseconds more. */
const FACTOR_MAX = 2
const MORE_MS_MAX = 50

/** How long answers took that came between two moments, in milliseconds. */
export function accepts(entries: readonly Entry[], fromMs: number, toMs: number): number[] {
  return entries.flatMap(({ answers }) =>
    answers.flatMap(({ atMs, tookMs }) => (atMs > fromMs && atMs < toMs ? tookMs : [])),
  )
}

/** Whether things take others hardly longer than before: the 99th of a hundred. */
export function noSlower(
  name: string,
  before: readonly number[],
  during: readonly number[],
): Check {
  const [was, is] = [p99(before), p99(during)]
  const slow = is <= Math.max(was * FACTOR_MAX, was + MORE_MS_MAX) ? [] : [`${is} ms`]
  const told = `p99 ${was} ms without it, ${is} ms during it, ${during.length} of them`
  return { ...check(name, slow, told), timed: true }
}

function p99(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0)
}
