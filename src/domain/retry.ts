import assert from 'node:assert'
import type { ChargeOutcome, LookupOutcome } from './outcome.ts'

/** How often and how long to try, and what the gateway in use can do. Times in milliseconds. */
export interface RetryPolicy {
  readonly attemptsMax: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  readonly jitterMs: number
  /** How long after the last charge may have been sent a consistent "not found" is proof. */
  readonly notFoundGraceMs: number
  readonly idempotentPost: boolean
  readonly lookup: 'none' | 'eventual' | 'consistent'
}

/** What is known of a claimed task before this claim makes its first call. */
export interface TaskState {
  /** Counted claims, this one included. */
  readonly attempts: number
  /** Lookups made since attempts ran out; above 0 the payment is `unknown` and is never charged. */
  readonly lookups: number
  /** Time since the last moment a charge of unknown outcome may have been sent; null: none was. */
  readonly doubtAgeMs: number | null
}

/** One gateway call of this claim, and what came of it. */
export type Call =
  | { readonly kind: 'charge'; readonly outcome: ChargeOutcome }
  | { readonly kind: 'lookup'; readonly outcome: LookupOutcome }

/** What becomes of a payment after a claim. */
export type Decision =
  | { readonly step: 'succeed'; readonly gatewayRef: string | null }
  /** Final: the gateway said no, or provably nothing happened and attempts ran out. */
  | { readonly step: 'fail'; readonly reason: string }
  /** Due again after `delayMs`. `doubt`: a charge of this claim may have happened. */
  | {
      readonly step: 'retry'
      readonly delayMs: number
      readonly reason: string
      readonly doubt: boolean
    }
  /** `unknown`, with the hold kept. Looked up again after `delayMs`; null: it cannot be looked up. */
  | {
      readonly step: 'doubt'
      readonly delayMs: number | null
      readonly reason: string
      readonly doubt: boolean
    }
  /** Not started: given back as it was, at once, and not counted. */
  | { readonly step: 'release' }

export type Next =
  | { readonly kind: 'call'; readonly call: 'charge' | 'lookup' }
  | { readonly kind: 'decide'; readonly decision: Decision }

/**
 * When payments in doubt are looked up, counted from the moment attempts ran out. The last interval
 * repeats: a payment in doubt is never given up, and never failed without the gateway's word.
 */
export const LOOKUP_DELAYS_MS: readonly number[] = [
  5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000,
]

/**
 * The next thing to do for a claimed task: a gateway call, or a decision that ends the claim. Chance
 * is an argument in [0, 1). At most three calls are made per claim: lookup, charge, lookup.
 *
 * The one rule that everything here serves: after a charge whose outcome nobody knows, the payment
 * succeeds or fails only by the gateway's word, and is sent again only under the same key.
 */
export function next(
  task: TaskState,
  calls: readonly Call[],
  policy: RetryPolicy,
  chance: number,
): Next {
  assert(calls.length <= 3, 'a claim makes at most three calls')
  const last = calls.at(-1)
  if (last === undefined) return first(task, policy)
  if (last.outcome.kind === 'success') {
    return decide({ step: 'succeed', gatewayRef: last.outcome.gatewayRef })
  }
  if (last.outcome.kind === 'declined') return decide({ step: 'fail', reason: last.outcome.reason })
  if (last.kind === 'charge') return afterCharge(task, last.outcome, policy, chance)
  return afterLookup(task, calls, last.outcome, policy, chance)
}

function first(task: TaskState, policy: RetryPolicy): Next {
  const inDoubt = task.doubtAgeMs !== null
  if (task.lookups > 0)
    return policy.lookup === 'none' ? doubt(task, 'lookup_unavailable', false) : call('lookup')
  // A claim past the limit is one whose earlier workers all died: it is not charged once more.
  if (task.attempts > policy.attemptsMax) {
    // Nothing was ever sent; the limit was lowered meanwhile.
    if (!inDoubt) return decide({ step: 'fail', reason: 'attempts_exhausted' })
    return policy.lookup !== 'none' ? call('lookup') : doubt(task, 'worker_lost', false)
  }
  if (!inDoubt) return call('charge')
  if (policy.lookup !== 'none') return call('lookup')
  return policy.idempotentPost ? call('charge') : doubt(task, 'outcome_unknown', false)
}

function afterCharge(
  task: TaskState,
  outcome: Exclude<ChargeOutcome, { kind: 'success' | 'declined' }>,
  policy: RetryPolicy,
  chance: number,
): Next {
  const doubted = outcome.kind === 'in_doubt' || outcome.kind === 'pending'
  const reason = outcome.reason
  if (task.attempts < policy.attemptsMax) {
    const asked = outcome.retryAfterMs ?? 0
    const delayMs = Math.max(asked, backoffMs(task.attempts, policy, chance))
    return decide({ step: 'retry', delayMs, reason, doubt: doubted })
  }
  if (!doubted && task.doubtAgeMs === null) return decide({ step: 'fail', reason })
  if (policy.lookup !== 'none') return call('lookup')
  return doubt(task, reason, doubted)
}

function afterLookup(
  task: TaskState,
  calls: readonly Call[],
  outcome: Exclude<LookupOutcome, { kind: 'success' | 'declined' }>,
  policy: RetryPolicy,
  chance: number,
): Next {
  const reason = 'reason' in outcome ? outcome.reason : outcome.kind
  const charge = calls.find((made) => made.kind === 'charge')
  const doubted = charge?.outcome.kind === 'in_doubt'
  // Proof counts from the last charge that may have been sent, so never right after one of our own.
  const proven =
    outcome.kind === 'not_found' &&
    policy.lookup === 'consistent' &&
    !doubted &&
    task.doubtAgeMs !== null &&
    task.doubtAgeMs >= policy.notFoundGraceMs

  const exhausted = task.lookups > 0 || charge !== undefined || task.attempts > policy.attemptsMax
  if (exhausted) {
    if (proven) return decide({ step: 'fail', reason: 'not_executed' })
    return doubt(task, doubted ? chargeReason(charge) : reason, doubted)
  }
  if (outcome.kind !== 'pending' && (policy.idempotentPost || proven)) return call('charge')
  if (task.attempts >= policy.attemptsMax) return doubt(task, reason, false)
  const delayMs = backoffMs(task.attempts, policy, chance)
  return decide({ step: 'retry', delayMs, reason, doubt: false })
}

function chargeReason(charge: Call | undefined): string {
  assert(charge?.kind === 'charge' && charge.outcome.kind === 'in_doubt')
  return charge.outcome.reason
}

function doubt(task: TaskState, reason: string, doubted: boolean): Next {
  const delayMs = reason === 'lookup_unavailable' ? null : lookupDelayMs(task.lookups)
  return decide({ step: 'doubt', delayMs, reason, doubt: doubted })
}

/** The wait before the next lookup of a payment in doubt, after `lookups` of them. */
export function lookupDelayMs(lookups: number): number {
  const last = LOOKUP_DELAYS_MS.length - 1
  return LOOKUP_DELAYS_MS[Math.min(lookups, last)] as number
}

function call(kind: 'charge' | 'lookup'): Next {
  return { kind: 'call', call: kind }
}

function decide(decision: Decision): Next {
  return { kind: 'decide', decision }
}

/**
 * The wait after the `attempts`-th attempt: base × 2^(attempts−1), at most the maximum, plus up to
 * `jitterMs` of chance so that payments that failed together do not return together.
 */
export function backoffMs(attempts: number, policy: RetryPolicy, chance: number): number {
  const doubled = policy.backoffBaseMs * 2 ** Math.min(attempts - 1, 30)
  return Math.round(Math.min(policy.backoffMaxMs, doubled) + chance * policy.jitterMs)
}
