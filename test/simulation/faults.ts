/** Everything that can go wrong, with the highest rate at which a seed lets it happen. */
export const FAULTS = {
  /** A connection cannot be had, or is lost before the statement arrives. */
  database_away: 0.1,
  /** A statement runs into its timeout. */
  statement_slow: 0.03,
  /** Somebody else locks a row, for longer than a lease where it can. */
  row_locked: 0.02,
  /** A statement outside a transaction is carried out, and its reply is lost. */
  statement_reply_lost: 0.1,
  /** COMMIT is carried out, and its reply is lost. */
  commit_reply_lost: 0.25,
  /** The connection is lost before COMMIT arrives: the caller cannot tell it from the one above. */
  commit_lost: 0.15,
  /** The server refuses to commit, and says so. */
  commit_refused: 0.1,
  /** The charge never leaves: DNS, a refused connection. */
  not_sent: 0.3,
  /** 429: refused before it is started. */
  too_many: 0.2,
  /** The charge is lost on its way. */
  dropped: 0.2,
  /** 5xx, nothing was executed. */
  error_before: 0.3,
  /** 5xx, although it was executed. */
  error_after: 0.3,
  /** Executed, and the reply is lost. */
  reply_lost: 0.3,
  /** Executed after our timeout, within the grace period. */
  late: 0.3,
  /** Executed after the grace period: the gateway breaks its promise. */
  beyond_grace: 0.3,
  /** The network delivers the charge twice. */
  duplicate: 0.3,
  /** 202: taken, and finished some time later. */
  pending: 0.3,
  /** A definite no. */
  declined: 0.3,
  /** Refused as a request, in the gateway's own words. */
  rejected: 0.3,
  /** Somebody in between answers with a page, or our credential is wrong: 401, 404. */
  misconfigured: 0.3,
  /**
   * A lookup without an answer of the gateway's: lost, 5xx, or a page of whoever stands in between.
   */
  lookup_failed: 0.4,
  /** A lookup that does not know what has been executed; only where lookups are eventual. */
  lookup_stale: 0.4,
  /** Our own answer does not reach the client. */
  answer_lost: 0.2,
  api_crash: 0.01,
  worker_crash: 0.02,
  /** A process stands still, for longer than a lease or a lock timeout where it can. */
  pause: 0.02,
  /** Process clocks are wrong, by up to an hour. */
  clock_skew: 1,
  /** The server takes no writes for a while, for longer than a lease where it can. */
  database_read_only: 0.01,
  /** Somebody in between answers everything with a page or a 401, for as long as it takes. */
  pages: 0.05,
  /** On a connection that carried others a page comes first, ours or another's. */
  page_first: 0.2,
} as const

/**
 * Faults with a chance of their own: seeds that leave them out are the histories that they were.
 */
const APART: ReadonlySet<string> = new Set<Fault>(['database_read_only', 'pages', 'page_first'])

export type Fault = keyof typeof FAULTS

export interface Faults {
  /** Whether it happens here and now; counted. Never, once they are over. */
  fires(fault: Fault): boolean
  /** A whole number in [from, to). */
  between(from: number, to: number): number
  pick<T>(from: readonly T[]): T
  readonly counts: Partial<Record<Fault, number>>
  /** Whether they are over. */
  over(): boolean
  end(): void
}

/**
 * Draw a mix of faults for one seed. Each is left out of half of the seeds: a history in which
 * everything fails at once reaches fewer states than one with few kinds of trouble (swarm testing).
 * `apart` is the chance of those that may not disturb the others. What is in `trouble` happens
 * as often as is said there.
 */
export function drawFaults(
  random: () => number,
  apart: () => number,
  trouble: Partial<Record<Fault, number>> = {},
): Faults {
  const rates = new Map<string, number>()
  const chanceOf = (fault: string) => (APART.has(fault) ? apart : random)
  for (const [fault, rateMax] of Object.entries(FAULTS)) {
    const chance = chanceOf(fault)
    const on = chance() < 0.5
    const rate = chance() * rateMax
    if (on) rates.set(fault, rate)
  }
  for (const [fault, rate] of Object.entries(trouble)) rates.set(fault, rate)
  const counts: Partial<Record<Fault, number>> = {}
  let over = false
  const between = (from: number, to: number): number => from + Math.floor(random() * (to - from))
  return {
    fires(fault) {
      const rate = rates.get(fault)
      if (over || rate === undefined || chanceOf(fault)() >= rate) return false
      counts[fault] = (counts[fault] ?? 0) + 1
      return true
    },
    between,
    pick: (from) => from[between(0, from.length)] as (typeof from)[number],
    counts,
    over: () => over,
    end: () => (over = true),
  }
}
