import type { Entry } from './load.ts'
import { check, type Check } from './witnesses.ts'

/** What somebody else's trouble may cost: twice as long, or so many milliseconds more. */
const FACTOR_MAX = 2
const MORE_MS_MAX = 50
/** What it may cost the slowest of a hundred of all, a busy moment included. */
const WORST_MS_MAX = 1_000
/**
 * The slowest of a hundred are looked for in each such span, and the span in the middle counts: who
 * waits for somebody else's trouble waits in every span, and who waits for a busy machine in one.
 */
const SPAN_MS = 4_000
/** Fewer in a span say nothing about one of a hundred. */
const SPAN_MIN = 50

/** How long something took, and when it was over or begun, in milliseconds. */
export interface Took {
  readonly atMs: number
  readonly ms: number
}

/** How long answers took that came between two moments, in milliseconds. */
export function accepts(entries: readonly Entry[], fromMs: number, toMs: number): Took[] {
  return entries.flatMap(({ answers }) =>
    answers.flatMap(({ atMs, tookMs }) =>
      atMs > fromMs && atMs < toMs ? { atMs, ms: tookMs } : [],
    ),
  )
}

/** Whether things take others hardly longer than before: the 99th of a hundred. */
export function noSlower(name: string, before: readonly Took[], during: readonly Took[]): Check {
  const [was, is] = [typicalP99(before), typicalP99(during)]
  const [wasAll, isAll] = [p99(before), p99(during)]
  const slow = is <= Math.max(was * FACTOR_MAX, was + MORE_MS_MAX) ? [] : [`${is} ms`]
  if (isAll > wasAll + WORST_MS_MAX) slow.push(`${isAll} ms of all`)
  const told =
    `p99 ${was} ms without it (${wasAll} of all), ${is} ms during it (${isAll} of all), ` +
    `${during.length} of them`
  return { ...check(name, slow, told), chance: true }
}

/** The 99th of a hundred in the span in the middle. */
function typicalP99(all: readonly Took[]): number {
  const spans = new Map<number, Took[]>()
  for (const one of all) {
    const span = Math.floor(one.atMs / SPAN_MS)
    spans.set(span, [...(spans.get(span) ?? []), one])
  }
  const each = [...spans.values()].filter(({ length }) => length >= SPAN_MIN)
  return middle((each.length > 0 ? each : [all]).map(p99))
}

function p99(all: readonly Took[]): number {
  return at(
    all.map(({ ms }) => ms),
    0.99,
  )
}

function middle(values: readonly number[]): number {
  return at(values, 0.5)
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return Math.round(sorted[Math.floor(sorted.length * share)] ?? 0)
}
