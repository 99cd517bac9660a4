import { OPERATIONS, type Operation } from '../domain/payment.ts'
import type { Clock } from '../ports.ts'

/** What this process has heard of a gateway, for each operation. */
export interface GatewayHeard {
  /** It answered a call that began then, on the monotonic clock, with a word of its own. */
  answered(operation: Operation, startedMs: number): void
  /**
   * How long ago the latest call began that it answered at least the grace ago, in milliseconds;
   * null: none is known. It has had the grace, awake, for whatever had reached it by then.
   */
  agoMs(operation: Operation): number | null
}

/** Answers remembered in a grace: between two of them nothing is noted. */
const MARKS = 8

interface Mark {
  readonly startedMs: number
  readonly answeredMs: number
}

/**
 * A gateway that stands still has read nothing of what it was sent meanwhile, however old that is.
 * When it goes on, a question may be answered before an earlier charge is read, so the grace of a
 * "not found" counts from an answer: only then it is known to be at work.
 */
export function heard({ elapsedMs }: Pick<Clock, 'elapsedMs'>, graceMs: number): GatewayHeard {
  const marks = new Map<Operation, Mark[]>(OPERATIONS.map((operation) => [operation, []]))
  /** The marks of an operation, of which the first is as old as the grace if any is. */
  const known = (operation: Operation): Mark[] => {
    const all = marks.get(operation) ?? []
    const oldMs = elapsedMs() - graceMs
    while ((all[1]?.answeredMs ?? Infinity) <= oldMs) all.shift()
    return all
  }
  return {
    answered(operation, startedMs) {
      const all = known(operation)
      const answeredMs = elapsedMs()
      const last = all.at(-1)?.answeredMs ?? Number.NEGATIVE_INFINITY
      if (answeredMs - last >= graceMs / MARKS) all.push({ startedMs, answeredMs })
    },
    agoMs(operation) {
      const [first] = known(operation)
      const nowMs = elapsedMs()
      return first === undefined || nowMs - first.answeredMs < graceMs
        ? null
        : nowMs - first.startedMs
    },
  }
}
