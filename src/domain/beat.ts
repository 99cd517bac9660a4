/** Between two times at which what rests for longer goes on, in milliseconds. */
const BEAT_MS = 500

/** From how long on a rest ends on a beat, in milliseconds. */
const LONG_MS = 2 * BEAT_MS

/** So much early a timer may end, and a turn may be late, in milliseconds. */
const SLACK_MS = 10

/**
 * When a rest of so many milliseconds is to end. A longer one ends on a beat of the process, up to
 * half a second sooner: waking an idle process costs more than what one of its loops does then, so
 * they wake together. Another process has other beats, as time is counted since it began.
 */
export function restEnd(nowMs: number, restMs: number): number {
  if (restMs < LONG_MS) return nowMs + restMs
  return Math.floor((nowMs + restMs + SLACK_MS) / BEAT_MS) * BEAT_MS
}

/** The same of what is to be due when the loop wakes, whose timer may be early. */
export function dueAfter(nowMs: number, restMs: number): number {
  const endMs = restEnd(nowMs, restMs)
  return restMs < LONG_MS ? endMs : endMs - SLACK_MS / 2
}

/** Whether a turn is the one for what is to be done in so long: the next one would be too late. */
export function isTurnFor(leftMs: number): boolean {
  return leftMs < BEAT_MS
}

/**
 * How long until the next look at what is due again `everyMs` after it began, `sinceMs` ago; null:
 * it is overdue. Such a look is on no beat: one that comes just before it costs a whole rest.
 */
export function untilDueAgain(sinceMs: number, everyMs: number): number | null {
  if (sinceMs < everyMs) return everyMs - sinceMs + SLACK_MS / 2
  return sinceMs < everyMs * 2 ? everyMs / 4 : null
}
