import type { Measure } from '../tools/load/report.ts'
import type { Database, Rig } from './rig.ts'

/** One question of the suite. */
export interface Question {
  readonly name: string
  readonly title: string
  run(rig: Rig, known: Known): Promise<Findings>
}

export interface Findings {
  readonly measures: readonly Measure[]
  readonly facts?: readonly string[]
  /** Databases of ours whose books are to be checked. */
  readonly books?: readonly Database[]
}

/** What later scenarios want to know from earlier ones. */
export interface Known {
  /** The highest rate of accepted payments a second, over 128 connections. */
  acceptPerSecond?: number
}

/** Ratios are medians of so many runs, taken in turn. */
export function rounds(rig: Rig): number[] {
  return rig.quick ? [1] : [1, 2, 3]
}

/** How long one run takes. */
export function runMs(rig: Rig): number {
  return rig.quick ? 2_000 : 4_000
}

/** No refusals because of age: these runs accept and let nobody work. */
export const ACCEPT_ONLY = { QUEUE_AGE_LIMIT_SECONDS: '0' }
