import type { Clock } from '../ports.ts'

/** Why nothing could be read is told to others for so long, in milliseconds. */
const FAILURE_KEPT_MS = 1_000

/**
 * Read something for everybody who asks: who asks while it is read gets the same answer, and so
 * does who asks within `keptMs` of its end. So however many ask, however slow it is and whether or
 * not it fails, it is read once at a time.
 */
export function sharedAnswer<Value>(
  clock: Pick<Clock, 'elapsedMs'>,
  keptMs: number,
  read: () => Promise<Value>,
): () => Promise<Value> {
  let answer: Promise<Value> | null = null
  let untilMs = Infinity
  return () => {
    if (answer !== null && clock.elapsedMs() < untilMs) return answer
    untilMs = Infinity
    answer = read()
    const keep = (ms: number) => () => void (untilMs = clock.elapsedMs() + ms)
    answer.then(keep(keptMs), keep(Math.min(keptMs, FAILURE_KEPT_MS)))
    return answer
  }
}
