/**
 * The circuit breaker of one route, an operation of a gateway, as a value: what it has seen, and
 * what it allows. While it is open nothing is claimed, so a gateway that is down burns no attempts;
 * then a few probes decide.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half_open'
  /** Charges and lookups apart: a gateway that can be asked and cannot charge is down. */
  readonly charges: Seen
  readonly lookups: Seen
  /** When it last answered well, on the monotonic clock. */
  readonly goodMs: number
  /** Connections refused since then. */
  readonly refused: number
  /** Payments that it would not talk to us about since then: the last few. */
  readonly odd: readonly bigint[]
  /** Why it opened; null while it is closed. */
  readonly why: Why | null
  /** Failed probes. */
  readonly failures: number
  /** When the pause or the probe began, on the monotonic clock. */
  readonly sinceMs: number
  /** How many times in a row it opened: each time the pause doubles. */
  readonly trips: number
}

/** What opened a breaker. */
type Cause = 'charges' | 'lookups' | 'misconfigured'

/** Why a breaker is open: what failed, and the code of the last failure. */
export interface Why {
  readonly cause: Cause
  readonly reason: string
}

/** The breaker of a route that all workers share, as it is shown. */
export interface ShownBreaker {
  readonly breaker: Breaker['state']
  /** It is open because the gateway does not talk to us: our settings are wrong. */
  readonly misconfigured: boolean
  /** The code of the last failure; null while it is closed. */
  readonly reason: string | null
}

/** What is stored of it; one that was closed early may say for how long it was open. */
export interface SharedState {
  /** How many times in a row it opened; 0: closed. */
  readonly trips: number
  readonly cause: Cause | null
  readonly reason: string | null
  /** How long it still stays open, in milliseconds; 0: whoever takes the probe may try. */
  readonly openMs: number
}

/** How a shared breaker is shown; undefined: nobody ever worked on the route. */
export function shownBreaker(shared: SharedState | undefined): ShownBreaker {
  const isOpen = shared !== undefined && shared.trips > 0
  const breaker = !isOpen ? 'closed' : shared.openMs > 0 ? 'open' : 'half_open'
  const misconfigured = shared?.cause === 'misconfigured'
  return { breaker, misconfigured, reason: shared?.reason ?? null }
}

/** The calls of one kind of late. */
interface Seen {
  /** All of them; a window that covers the longest call twice. */
  readonly all: Window
  /** Of those the ones that ended soon: a gateway that fails at once is found out at once. */
  readonly quick: Window
}

/** Calls and failures of late, in two halves, so that a new one never begins with nothing. */
interface Window {
  readonly calls: number
  readonly failures: number
  /** When this half began, on the monotonic clock. */
  readonly sinceMs: number
  /** The half before it. */
  readonly before: { readonly calls: number; readonly failures: number }
}

/** A call that ended. */
export interface CallEnded {
  readonly call: 'charge' | 'lookup'
  readonly paymentId: bigint
  readonly verdict: BreakerVerdict
  /** The code of what was wrong; empty when nothing was. */
  readonly reason: string
  /** Null: nothing was answered. */
  readonly httpStatus: number | null
  readonly tookMs: number
}

/**
 * What a call says of its gateway, whatever it says of its payment. `refused`: no connection, so it
 * says nothing of any payment. `misconfigured`: an answer by somebody who does not know us.
 */
export type BreakerVerdict = 'good' | 'failed' | 'refused' | 'misconfigured'

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
 * 90 % of 20 calls within two seconds: a gateway that fails one call in three stays in use (one
 * window in a million looks worse by chance), and one that goes down is left alone after about two
 * seconds, when the calls that still worked have left the window.
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

/**
 * With little traffic there are never enough calls for a share. So many connections refused in a
 * row are an outage as well: a refused connection says nothing of a payment.
 */
const REFUSED_MIN = 3
/** One payment may be odd by itself; so many different ones in a row mean our settings. */
const ODD_MIN = 3
/**
 * A row is one without a good answer for so long: under load some calls in a row fail by chance,
 * and others that work end a moment later. In milliseconds.
 */
const ROW_MS_MIN = 1_000
/** What says by itself that credentials are wrong, whatever the payment and the body. */
const CREDENTIALS: ReadonlySet<number | null> = new Set([401, 407])

const NONE = { calls: 0, failures: 0 }
const EMPTY: Window = { ...NONE, sinceMs: 0, before: NONE }
const UNSEEN: Seen = { all: EMPTY, quick: EMPTY }

export const CLOSED: Breaker = {
  state: 'closed',
  charges: UNSEEN,
  lookups: UNSEEN,
  goodMs: Number.NEGATIVE_INFINITY,
  refused: 0,
  odd: [],
  why: null,
  failures: 0,
  sinceMs: 0,
  trips: 0,
}

/** The policy for a gateway whose calls take up to `callMsMax` milliseconds. */
export function breakerPolicy(callMsMax: number): BreakerPolicy {
  return { ...BREAKER_POLICY, windowMs: Math.max(BREAKER_POLICY.windowMs, 2 * callMsMax) }
}

/** Whether an outcome of this kind is a gateway's own answer about a payment, whatever it is. */
const VERDICTS: Readonly<Record<string, BreakerVerdict>> = {
  success: 'good',
  declined: 'good',
  pending: 'good',
  rejected: 'good',
  not_found: 'good',
  misconfigured: 'misconfigured',
  in_doubt: 'failed',
  no_answer: 'failed',
}

/**
 * What an outcome of this kind says of its gateway. `sent`: a byte of the request left. Null:
 * nothing, because the driver refused it by itself.
 */
export function verdictOf(kind: string, sent: boolean): BreakerVerdict | null {
  if (kind === 'not_executed') return sent ? 'failed' : 'refused'
  const verdict = VERDICTS[kind] ?? 'failed'
  return verdict === 'good' && !sent ? null : verdict
}

/** How many tasks may be claimed now, of `wanted`; 0 while it is open. */
export function admitted(
  breaker: Breaker,
  wanted: number,
  nowMs: number,
  policy: BreakerPolicy,
): number {
  if (breaker.state === 'closed') return wanted
  const probes = probesOf(breaker, policy)
  if (breaker.state === 'half_open') return Math.max(0, Math.min(wanted, probes - breaker.failures))
  return nowMs - breaker.sinceMs >= pauseMs(breaker, policy) ? Math.min(wanted, probes) : 0
}

/** One is enough to learn whether a setting is right again: it says the same to everybody. */
function probesOf({ why }: Breaker, policy: BreakerPolicy): number {
  return why?.cause === 'misconfigured' ? 1 : policy.probes
}

/** A breaker that tries the gateway now, whatever it has seen itself. `why`: as others know it. */
export function probing({ trips }: Breaker, why: Why | null, nowMs: number): Breaker {
  return { ...CLOSED, state: 'half_open', why, sinceMs: nowMs, trips }
}

/** The breaker after a call that began and ended. */
export function observed(
  breaker: Breaker,
  call: CallEnded,
  nowMs: number,
  policy: BreakerPolicy,
): Breaker {
  if (breaker.state === 'open') {
    // Calls that were in flight when it opened say nothing new.
    if (nowMs - breaker.sinceMs < pauseMs(breaker, policy)) return breaker
    return probed(probing(breaker, breaker.why, nowMs), call, nowMs, policy)
  }
  if (breaker.state === 'half_open') return probed(breaker, call, nowMs, policy)

  const next = inRow(breaker, call, nowMs)
  const kind = call.call === 'charge' ? 'charges' : 'lookups'
  const seen = { ...next, [kind]: counted(next[kind], call, nowMs, policy) }
  const cause = causeOf(seen, call, nowMs, policy)
  return cause === null ? seen : opened(seen, { cause, reason: call.reason }, nowMs)
}

/**
 * The rows that a call goes on with, or ends. A lookup that works proves a connection, not a
 * charge.
 */
function inRow(breaker: Breaker, { call, verdict, paymentId }: CallEnded, nowMs: number): Breaker {
  if (verdict === 'good') {
    return call === 'charge'
      ? { ...breaker, goodMs: nowMs, refused: 0, odd: [] }
      : { ...breaker, refused: 0 }
  }
  if (verdict === 'refused') return { ...breaker, refused: breaker.refused + 1 }
  if (verdict !== 'misconfigured' || call === 'lookup') return breaker
  const others = breaker.odd.filter((id) => id !== paymentId)
  return { ...breaker, odd: [...others, paymentId].slice(-ODD_MIN) }
}

/** Why it has to open after this call; null: it has not. */
function causeOf(
  breaker: Breaker,
  call: CallEnded,
  nowMs: number,
  policy: BreakerPolicy,
): Cause | null {
  const { charges, lookups, refused } = breaker
  const long = nowMs - breaker.goodMs >= ROW_MS_MIN
  if (isMisconfigured(breaker, call) && (long || CREDENTIALS.has(call.httpStatus))) {
    return 'misconfigured'
  }
  const kind = call.call === 'charge' ? 'charges' : 'lookups'
  if (call.verdict === 'refused' && refused >= REFUSED_MIN && long) return kind
  if (kind === 'charges') return isDown(charges, call, policy) ? kind : null
  // Charges that work are not stopped because nobody can be asked about them.
  const works = workedOf(charges.all, nowMs, policy.windowMs) > 0
  return !works && isDown(lookups, call, policy) ? kind : null
}

/** Whether it is our settings rather than an odd payment. */
function isMisconfigured({ odd }: Breaker, { call, verdict, httpStatus }: CallEnded): boolean {
  if (verdict !== 'misconfigured' || call === 'lookup') return false
  return odd.length >= ODD_MIN || CREDENTIALS.has(httpStatus)
}

function isDown({ all, quick }: Seen, call: CallEnded, policy: BreakerPolicy): boolean {
  return failing(all, policy) || (isQuick(call, policy) && failing(quick, policy))
}

function isQuick({ tookMs }: CallEnded, { quickWindowMs }: BreakerPolicy): boolean {
  return tookMs <= quickWindowMs / 2
}

function counted(seen: Seen, call: CallEnded, nowMs: number, policy: BreakerPolicy): Seen {
  // An odd payment is no failure of the gateway: a row of different ones is judged by itself.
  if (call.verdict === 'misconfigured' && call.call === 'charge') return seen
  const ok = call.verdict === 'good'
  const { windowMs, quickWindowMs } = policy
  return {
    all: slid(seen.all, ok, nowMs, windowMs),
    quick: isQuick(call, policy) ? slid(seen.quick, ok, nowMs, quickWindowMs) : seen.quick,
  }
}

/**
 * A window with one more call: its half becomes the older one in time, and what is too old is gone.
 */
function slid(window: Window, ok: boolean, nowMs: number, windowMs: number): Window {
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

/** How many calls of a window worked; none of one that is long over. */
function workedOf({ calls, failures, before, sinceMs }: Window, nowMs: number, windowMs: number) {
  if (nowMs - sinceMs > windowMs) return 0
  return calls - failures + before.calls - before.failures
}

function failing(window: Window, { callsMin, failuresPercent }: BreakerPolicy): boolean {
  const calls = window.calls + window.before.calls
  const failures = window.failures + window.before.failures
  return calls >= callsMin && failures * 100 >= calls * failuresPercent
}

function opened({ trips }: Breaker, why: Why, nowMs: number): Breaker {
  return { ...CLOSED, state: 'open', why, sinceMs: nowMs, trips: trips + 1 }
}

/**
 * One probe that works closes it; when all have failed it opens again for longer. A probe in doubt
 * has failed like any other: of settings there is only one, so it opens at once, and does not wait
 * for another payment to come into doubt. A lookup that works closes only what lookups opened:
 * where charges failed it says nothing of them.
 */
function probed(breaker: Breaker, call: CallEnded, nowMs: number, policy: BreakerPolicy): Breaker {
  if (call.verdict === 'good') {
    const proves = call.call === 'charge' || breaker.why?.cause === 'lookups'
    return proves ? { ...CLOSED, sinceMs: nowMs, goodMs: nowMs } : breaker
  }
  const next = inRow(breaker, call, nowMs)
  const misconfigured =
    isMisconfigured(next, call) ||
    (call.verdict === 'misconfigured' && breaker.why?.cause === 'misconfigured')
  const failures = breaker.failures + 1
  // A lookup that fails is no probe of settings: the charge behind it may work.
  const probes = call.call === 'charge' ? probesOf(breaker, policy) : policy.probes
  const opens = misconfigured || call.verdict === 'refused' || failures >= probes
  if (!opens) return { ...next, failures }
  return opened(breaker, whyAgain(breaker.why, call, misconfigured), nowMs)
}

/**
 * Why it opens again. Settings that were wrong stay so until a charge works, whatever else happens
 * meanwhile; and what charges opened stays theirs, or a lookup that works later would close it.
 */
function whyAgain(before: Why | null, { call, reason }: CallEnded, misconfigured: boolean): Why {
  if (misconfigured) return { cause: 'misconfigured', reason }
  if (before !== null && (call === 'lookup' || before.cause === 'misconfigured')) return before
  return { cause: call === 'charge' ? 'charges' : 'lookups', reason }
}

export function pauseMs(breaker: Breaker, policy: BreakerPolicy): number {
  return Math.min(
    policy.pauseMsMax,
    policy.pauseMs * 2 ** Math.min(Math.max(breaker.trips - 1, 0), 10),
  )
}
