/** Until when a gateway that asked to be left alone is not looked at, in milliseconds. */
export interface LookPause {
  readonly untilMs: number
  /** How long the last pause was. */
  readonly pauseMs: number
}

export const NO_PAUSE: LookPause = { untilMs: 0, pauseMs: 0 }

const PAUSE_MS_MAX = 300_000

/**
 * The pause after a look: none where the gateway said something, else what it asks for, and twice
 * as long as the last one where it asks again right after that. Looks that were on the way when a
 * pause began do not make it longer. `askedMs` null: it asked for no pause.
 */
export function pauseAfterLook(
  last: LookPause,
  nowMs: number,
  { answered, askedMs }: { readonly answered: boolean; readonly askedMs: number | null },
): LookPause {
  if (nowMs < last.untilMs) return last
  if (answered) return NO_PAUSE
  if (askedMs === null) return last
  const pauseMs = Math.min(PAUSE_MS_MAX, Math.max(askedMs, 2 * last.pauseMs))
  return { untilMs: nowMs + pauseMs, pauseMs }
}
