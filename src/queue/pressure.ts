import type { Clock } from '../ports.ts'

/** Notes that are no further apart, in milliseconds, are of one pressure. */
const APART_MS = 1_000

/** So long it lasts before it is high, in milliseconds: a bulk of payments makes nothing late. */
const LASTING_MS = 300

/** So busy is a process for which payments wait, of 1; below, they wait for gateways. */
const BUSY_MIN = 0.5

/** While pressure is high, one thing that can wait is begun for so many payments, */
const PAYMENTS_FOR_ONE = 32

/** and so many in a second whatever is paid. */
const LEAST_PER_SECOND = 50

/** Fewer are not begun: each claim has its price, however little it finds. */
const TOGETHER_MIN = 50

/** So many of them at once, after a while in which none was there. */
const LEFT_MAX = 200

/** Of one kind of thing that can wait while payments are due. */
export interface Sideline {
  /** How many of `wanted` may begin now. */
  admitted(wanted: number): number
  /** So many began. */
  began(count: number): void
}

/**
 * Whether payments that are due wait for this process, not for gateways. What can wait gives way
 * then: all of it takes no longer, and payments end first.
 */
export interface Pressure {
  /** So many payments were claimed, and more may be due. */
  note(count: number): void
  sideline(): Sideline
}

/** `busy` says which share of the time since it was asked last this process was at work. */
export function pressure(clock: Pick<Clock, 'elapsedMs'>, busy: () => number): Pressure {
  let notedMs = Number.NEGATIVE_INFINITY
  /** When `busy` was asked last, and what it said of the time until then. */
  let asked = { ms: Number.NEGATIVE_INFINITY, busy: 0 }
  let claimed = 0
  const goesOn = (nowMs: number) => nowMs - notedMs < APART_MS
  const isHigh = () => goesOn(clock.elapsedMs()) && asked.busy >= BUSY_MIN
  return {
    note(count) {
      claimed += count
      const nowMs = clock.elapsedMs()
      const share = goesOn(nowMs) ? null : 0
      if (share === 0 || nowMs - asked.ms >= LASTING_MS) {
        const said = busy()
        asked = { ms: nowMs, busy: share ?? said }
      }
      notedMs = nowMs
    },
    sideline() {
      let left = 0
      let seen = { ms: clock.elapsedMs(), claimed }
      return {
        admitted(wanted) {
          const now = { ms: clock.elapsedMs(), claimed }
          const least = ((now.ms - seen.ms) * LEAST_PER_SECOND) / 1_000
          const more = (now.claimed - seen.claimed) / PAYMENTS_FOR_ONE
          left = Math.min(LEFT_MAX, left + least + more)
          seen = now
          if (!isHigh()) return wanted
          return left < TOGETHER_MIN ? 0 : Math.min(wanted, Math.floor(left))
        },
        began: (count) => (left = Math.max(0, left - count)),
      }
    },
  }
}
