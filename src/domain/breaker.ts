/**
 * A circuit breaker as a value: what it has seen, and what it allows. While it is open nothing is
 * claimed, so a gateway that is down burns no attempts; then a few probes decide.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half_open'
  /** Calls and failures of the newer half of the window. */
  readonly calls: number
  readonly failures: number
  /** Those of the older half. */
  readonly before: { readonly calls: number; readonly failures: number }
  /** When the newer half, the pause or the probe began, on the monotonic clock. */
  readonly sinceMs: number
  /** How many times in a row it opened: each time the pause doubles. */
  readonly trips: number
}

/** The breaker's limits. */
export interface BreakerPolicy {
  /** Fewer calls than this in a window say nothing. */
  readonly callsMin: number
  /** The share of failed calls, in percent, from which it opens. */
  readonly failuresPercent: number
  /**
   * At least twice the longest call. Calls that began together and work end long before those that
   * time out, which then end all at once: only beside the others do they say what they mean.
   */
  readonly windowMs: number
  readonly pauseMs: number
  readonly pauseMsMax: number
  /** How many tasks are claimed to try a gateway that was down. */
  readonly probes: number
}

/**
 * 90 % of 20 calls within two seconds: a gateway that fails one call in three stays in use (one window
 * in a million looks worse by chance), and one that goes down is left alone after about two seconds,
 * when the calls that still worked have left the window.
 */
export const BREAKER_POLICY: BreakerPolicy = {
  callsMin: 20,
  failuresPercent: 90,
  windowMs: 2_000,
  pauseMs: 1_000,
  pauseMsMax: 15_000,
  probes: 5,
}

const NOTHING = { calls: 0, failures: 0 }

export const CLOSED: Breaker = {
  state: 'closed',
  ...NOTHING,
  before: NOTHING,
  sinceMs: 0,
  trips: 0,
}

/** The policy for a gateway whose calls take up to `callMsMax` milliseconds. */
export function breakerPolicy(callMsMax: number): BreakerPolicy {
  return { ...BREAKER_POLICY, windowMs: Math.max(BREAKER_POLICY.windowMs, 2 * callMsMax) }
}

/** How many tasks may be claimed now, of `wanted`; 0 while it is open. */
export function admitted(
  breaker: Breaker,
  wanted: number,
  nowMs: number,
  policy: BreakerPolicy,
): number {
  if (breaker.state === 'closed') return wanted
  if (breaker.state === 'half_open')
    return Math.max(0, Math.min(wanted, policy.probes - breaker.calls))
  return nowMs - breaker.sinceMs >= pauseMs(breaker, policy) ? Math.min(wanted, policy.probes) : 0
}

/** How long it still stays open, in milliseconds; 0 when it would let a probe through. */
export function waitMs(breaker: Breaker, nowMs: number, policy: BreakerPolicy): number {
  if (breaker.state !== 'open') return 0
  return Math.max(0, pauseMs(breaker, policy) - (nowMs - breaker.sinceMs))
}

/** The breaker after a call that began and ended; `ok` is false when the gateway did not work. */
export function observed(
  breaker: Breaker,
  ok: boolean,
  nowMs: number,
  policy: BreakerPolicy,
): Breaker {
  const pauseOver = nowMs - breaker.sinceMs >= pauseMs(breaker, policy)
  if (breaker.state === 'open') {
    // Calls that were in flight when it opened say nothing new.
    if (!pauseOver) return breaker
    return probed({ ...breaker, state: 'half_open', ...NOTHING, sinceMs: nowMs }, ok, nowMs, policy)
  }
  if (breaker.state === 'half_open') return probed(breaker, ok, nowMs, policy)

  const window = slid(breaker, nowMs, policy)
  const calls = window.calls + 1
  const failures = window.failures + (ok ? 0 : 1)
  const all = { calls: calls + window.before.calls, failures: failures + window.before.failures }
  const down =
    all.calls >= policy.callsMin && all.failures * 100 >= all.calls * policy.failuresPercent
  return down ? opened(breaker, nowMs) : { ...window, calls, failures }
}

/** The window at `nowMs`: its newer half becomes the older one, and what is too old is forgotten. */
function slid(breaker: Breaker, nowMs: number, { windowMs }: BreakerPolicy): Breaker {
  const ageMs = nowMs - breaker.sinceMs
  if (ageMs > windowMs) return { ...breaker, ...NOTHING, before: NOTHING, sinceMs: nowMs }
  if (ageMs <= windowMs / 2) return breaker
  const { calls, failures } = breaker
  return { ...breaker, ...NOTHING, before: { calls, failures }, sinceMs: nowMs }
}

function opened({ trips }: Breaker, nowMs: number): Breaker {
  return { state: 'open', ...NOTHING, before: NOTHING, sinceMs: nowMs, trips: trips + 1 }
}

/** One probe that works closes it; when all have failed it opens again for longer. */
function probed(breaker: Breaker, ok: boolean, nowMs: number, policy: BreakerPolicy): Breaker {
  if (ok) return { ...CLOSED, sinceMs: nowMs }
  const failures = breaker.failures + 1
  if (failures < policy.probes) return { ...breaker, calls: breaker.calls + 1, failures }
  return opened(breaker, nowMs)
}

function pauseMs(breaker: Breaker, policy: BreakerPolicy): number {
  return Math.min(
    policy.pauseMsMax,
    policy.pauseMs * 2 ** Math.min(Math.max(breaker.trips - 1, 0), 10),
  )
}
