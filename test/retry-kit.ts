import type { ChargeOutcome, LookupOutcome } from '../src/domain/outcome.ts'
import type { Call, Decision, RetryPolicy, TaskState } from '../src/domain/charge-decision.ts'

export const GRACE_MS = 60_000

export const LIFE_MS = 3_600_000

export const POLICY: RetryPolicy = {
  attemptsMax: 3,
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  jitterMs: 500,
  notFoundGraceMs: GRACE_MS,
  giveUpMs: 0,
  timeoutMs: 1_000,
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'consistent',
}

export const LOOKUPS = ['none', 'eventual', 'consistent'] as const

export const ODD: RetryPolicy = { ...POLICY, repeats: 'may_execute_again' }

export const ONCE: RetryPolicy = { ...POLICY, repeats: 'executes_once' }

export const BLIND: RetryPolicy = { ...POLICY, lookup: 'none' }

export const EVENTUAL: RetryPolicy = { ...POLICY, lookup: 'eventual' }

export const paid: ChargeOutcome & LookupOutcome = { kind: 'success', gatewayRef: 'gw-1' }

export const no: ChargeOutcome & LookupOutcome = { kind: 'declined', reason: 'http_402' }

export const refused: ChargeOutcome = {
  kind: 'not_executed',
  reason: 'refused',
  retryAfterMs: null,
}

export const busy: ChargeOutcome = {
  kind: 'not_executed',
  reason: 'http_429',
  retryAfterMs: 20_000,
}

export const timeout: ChargeOutcome = { kind: 'in_doubt', reason: 'timeout' }

export const absent: LookupOutcome = { kind: 'not_found' }

export const pending: LookupOutcome = { kind: 'pending' }

export const silent: LookupOutcome = { kind: 'no_answer', reason: 'http_500' }

export const charged = (outcome: ChargeOutcome): Call => ({ kind: 'charge', outcome })

/** A lookup; made as long ago as the doubt is old now, where nothing else is said. */
export const asked = (outcome: LookupOutcome, doubtAgeMs: number | null = Infinity): Call => {
  return { kind: 'lookup', outcome, doubtAgeMs }
}

export const rejected: ChargeOutcome = { kind: 'rejected', reason: 'unknown_method' }

export const foreign: ChargeOutcome = { kind: 'misconfigured', reason: 'http_401' }

export const taken: ChargeOutcome = { kind: 'pending', reason: 'pending' }

export const shifted: ChargeOutcome = { ...busy, unproven: true }

/**
 * A task in its words: which try this is, the age of its doubt, lookups. Its first charge is as old
 * as its doubt.
 */
export const task = (
  attempt: number,
  doubtAgeMs: number | null = null,
  lookups = 0,
): TaskState => ({
  tries: attempt - 1,
  triedAgeMs: attempt > 1 ? 1_000 : null,
  lookups,
  pendings: 0,
  doubtAgeMs,
  firstSentAgeMs: doubtAgeMs ?? 0,
})

export type Short = 'charge' | 'lookup' | Decision

export const retry = (delayMs: number, reason: string, doubt = false): Decision => ({
  step: 'retry',
  delayMs,
  reason,
  doubt,
})

export const free = (delayMs: number, reason: string, doubt = false): Decision => ({
  step: 'retry',
  delayMs,
  reason,
  doubt,
  free: true,
})

export const doubt = (delayMs: number | null, reason: string, doubted = false): Decision => ({
  step: 'doubt',
  delayMs,
  reason,
  doubt: doubted,
})

export const wait = (delayMs: number, reason: string, doubted = false): Decision => ({
  step: 'wait',
  delayMs,
  reason,
  doubt: doubted,
})

export const working = (delayMs: number, reason = 'pending'): Decision => ({
  step: 'pending',
  delayMs,
  reason,
  // Nothing is learned of it where nobody says that it is worked on.
  doubt: reason === 'pending',
  ...(reason === 'pending' ? { underway: { gatewayRef: null, action: null } } : {}),
})

export const fail = (reason: string): Decision => ({ step: 'fail', reason })

export const SUCCEED: Decision = { step: 'succeed', gatewayRef: 'gw-1', twice: false }

export const LEAVE: Decision = { step: 'leave', delayMs: 0 }

export const later: ChargeOutcome = { kind: 'in_doubt', reason: 'http_503', retryAfterMs: 20_000 }

export const slowly: LookupOutcome = { kind: 'no_answer', reason: 'http_503', retryAfterMs: 20_000 }

/** Others were answered well meanwhile. */
export const odd = (attempt: number): TaskState => ({ ...task(attempt), odd: true })

/** In doubt under a key that the gateway may have forgotten. */
export const old = (attempt: number): TaskState => ({ ...task(attempt, LIFE_MS * 0.9 - 1_000) })

/** The gateway has it in hand. */
export const hand = (pendings: number, age = 0): TaskState => ({ ...task(1, age), pendings })

/** In doubt, and asked about out of turn. */
export const question = (lookups: number): TaskState => ({
  ...task(2, GRACE_MS, lookups),
  lookupOnly: true,
})

export function young(giveUpMs: number): RetryPolicy {
  return { ...POLICY, giveUpMs }
}

/** One try, and a while to give up. */
export function eager(): RetryPolicy {
  return { ...POLICY, attemptsMax: 1, giveUpMs: LIFE_MS }
}

/** As many tries as these, and none that anybody remembers. */
export const untried = (attempt: number): TaskState => ({ ...task(attempt), triedAgeMs: null })

export function again({ kind, ...outcome }: ChargeOutcome, attempt = 1): Decision {
  const reason = 'reason' in outcome ? outcome.reason : kind
  return retry(1_000 * 2 ** (attempt - 1), reason)
}

export type Row = readonly [name: string, TaskState, readonly Call[], RetryPolicy, Short]

export function slow(): RetryPolicy {
  return { ...POLICY, backoffBaseMs: 25_000 }
}
