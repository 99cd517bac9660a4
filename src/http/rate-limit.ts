/** So many acts per key and window of time. */
export interface Allowance {
  /**
   * Take one; 0: it was there. Otherwise nothing is taken, and it takes so many ms until there is
   * one.
   */
  take(key: string): number
  /** Give one back that was taken and is not to count after all. */
  giveBack(key: string): void
}

interface Window {
  used: number
  readonly endsMs: number
}

/** Keys that are counted by themselves; beyond them all further ones share one window. */
const KEYS_MAX = 10_000
/** What the others share; no address and no id of a key is empty. */
const OTHERS = ''

/**
 * Count acts by key in windows that begin with the first act. Memory is bounded: when more keys
 * than `KEYS_MAX` act within one window, those that come late share a window, so that inventing
 * keys gains nothing.
 */
export function allowance(options: {
  readonly max: number
  readonly windowMs: number
  readonly elapsedMs: () => number
  readonly keysMax?: number
}): Allowance {
  const { max, windowMs, elapsedMs, keysMax = KEYS_MAX } = options
  // Every window is as long as the others, so the first of the map is the first to end.
  const windows = new Map<string, Window>()
  const forget = (nowMs: number): void => {
    for (const [key, { endsMs }] of windows) {
      if (endsMs > nowMs) return
      windows.delete(key)
    }
  }
  const windowOf = (key: string, nowMs: number): Window => {
    forget(nowMs)
    const shared = !windows.has(key) && windows.size >= keysMax
    const name = shared ? OTHERS : key
    const known = windows.get(name)
    if (known !== undefined) return known
    const fresh = { used: 0, endsMs: nowMs + windowMs }
    windows.set(name, fresh)
    return fresh
  }
  return {
    take(key) {
      const nowMs = elapsedMs()
      const window = windowOf(key, nowMs)
      if (window.used >= max) return Math.max(1, window.endsMs - nowMs)
      window.used += 1
      return 0
    },
    giveBack(key) {
      const window = windows.get(key) ?? windows.get(OTHERS)
      if (window !== undefined && window.used > 0) window.used -= 1
    },
  }
}
