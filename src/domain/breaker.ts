/**
 * A circuit breaker as a value: what it has seen, and what it allows. While it is open nothing is
 * claimed, so a gateway that is down burns no attempts; then a few probes decide.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half_open'
  /** All calls of late; a window that covers the longest twice. */
  readonly all: Window
  /** Of those the ones that ended soon: a gateway that fails at once is found out at once. */
  readonly quick: Window
  /** Failed probes. */
  readonly failures: number
  /** When the pause or the probe began, on the monotonic clock. */
  readonly sinceMs: number
  /** How many times in a row it opened: each time the pause doubles. */
  readonly trips: number
}

/** Calls and failures of late, in two halves, so that a new one never begins with nothing. */
export interface Window {
  readonly calls: number
  readonly failures: number
  /** When this half began, on the monotonic clock. */
  readonly sinceMs: number
  /** The half before it. */
  readonly before: { readonly calls: number; readonly failures: number }
}

/** A call that ended. */
export interface CallEnded {
  /** False when the gateway did not work. */
  readonly ok: boolean
  readonly tookMs: number
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
  /** The window of quick calls, at least twice as long as those may take. */
  readonly quickWindowMs: number
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
  quickWindowMs: 2_000,
  pauseMs: 1_000,
  pauseMsMax: 15_000,
  probes: 5,
}

const NONE = { calls: 0, failures: 0 }
const EMPTY: Window = { ...NONE, sinceMs: 0, before: NONE }

export const CLOSED: Breaker = {
  state: 'closed',
  all: EMPTY,
  quick: EMPTY,
  failures: 0,
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
    return Math.max(0, Math.min(wanted, policy.probes - breaker.failures))
  return nowMs - breaker.sinceMs >= pauseMs(breaker, policy) ? Math.min(wanted, policy.probes) : 0
}

/** How long it still stays open, in milliseconds; 0 when it would let a probe through. */
export function waitMs(breaker: Breaker, nowMs: number, policy: BreakerPolicy): number {
  if (breaker.state !== 'open') return 0
  return Math.max(0, pauseMs(breaker, policy) - (nowMs - breaker.sinceMs))
}

/** The breaker after a call that began and ended. */
export function observed(
  breaker: Breaker,
  call: CallEnded,
  nowMs: number,
  policy: BreakerPolicy,
): Breaker {
  const pauseOver = nowMs - breaker.sinceMs >= pauseMs(breaker, policy)
  if (breaker.state === 'open') {
    // Calls that were in flight when it opened say nothing new.
    if (!pauseOver) return breaker
    const probing: Breaker = { ...breaker, state: 'half_open', failures: 0, sinceMs: nowMs }
    return probed(probing, call, nowMs, policy)
  }
  if (breaker.state === 'half_open') return probed(breaker, call, nowMs, policy)

  const isQuick = call.tookMs <= policy.quickWindowMs / 2
  const all = counted(breaker.all, call, nowMs, policy.windowMs)
  const quick = isQuick ? counted(breaker.quick, call, nowMs, policy.quickWindowMs) : breaker.quick
  const down = isDown(all, policy) || (isQuick && isDown(quick, policy))
  return down ? opened(breaker, nowMs) : { ...breaker, all, quick }
}

/** A window with one more call: its half becomes the older one in time, and what is too old is gone. */
function counted(window: Window, { ok }: CallEnded, nowMs: number, windowMs: number): Window {
  const ageMs = nowMs - window.sinceMs
  const slides = ageMs > windowMs / 2
  const { calls, failures } = slides ? NONE : window
  const before = !slides ? window.before : ageMs > windowMs ? NONE : window
  return {
    calls: calls + 1,
    failures: failures + (ok ? 0 : 1),
    sinceMs: slides ? nowMs : window.sinceMs,
    before: { calls: before.calls, failures: before.failures },
  }
}

function isDown(window: Window, { callsMin, failuresPercent }: BreakerPolicy): boolean {
  const calls = window.calls + window.before.calls
  const failures = window.failures + window.before.failures
  return calls >= callsMin && failures * 100 >= calls * failuresPercent
}

function opened({ trips }: Breaker, nowMs: number): Breaker {
  return { ...CLOSED, state: 'open', sinceMs: nowMs, trips: trips + 1 }
}

/** One probe that works closes it; when all have failed it opens again for longer. */
function probed(
  breaker: Breaker,
  { ok }: CallEnded,
  nowMs: number,
  policy: BreakerPolicy,
): Breaker {
  if (ok) return { ...CLOSED, sinceMs: nowMs }
  const failures = breaker.failures + 1
  return failures < policy.probes ? { ...breaker, failures } : opened(breaker, nowMs)
}

function pauseMs(breaker: Breaker, policy: BreakerPolicy): number {
  return Math.min(
    policy.pauseMsMax,
    policy.pauseMs * 2 ** Math.min(Math.max(breaker.trips - 1, 0), 10),
  )
}
