import type { Call, Known, Promises, RetryPolicy, TaskPast } from './charge-decision.ts'
import type { ChargeOutcome, LookupOutcome } from './outcome.ts'

/** Why nobody knows what became of what the gateway took, and neither finished nor ended. */
export const NOT_FINISHED = 'not_finished'

/** Of a key's life this much is used: clocks differ, and the gateway's began before ours ended. */
const KEY_LIFE_SHARE = 0.9

/**
 * Whether a charge in doubt may be sent again under its key, if it were sent in `inMs`
 * milliseconds: the gateway must still know the key when the call ends.
 */
export function mayRepeat(
  task: Pick<TaskPast, 'firstSentAgeMs'>,
  policy: Promises & Pick<RetryPolicy, 'timeoutMs'>,
  inMs = 0,
): boolean {
  return policy.repeats !== 'may_execute_again' && alive(task, policy, inMs + policy.timeoutMs)
}

/** Whether the gateway will still know the key in `inMs` milliseconds. */
export function alive(
  task: Pick<TaskPast, 'firstSentAgeMs'>,
  policy: Promises,
  inMs: number,
): boolean {
  const { firstSentAgeMs } = task
  return firstSentAgeMs !== null && firstSentAgeMs + inMs < KEY_LIFE_SHARE * policy.keyLifeMs
}

/**
 * A charge in doubt, and another under a key that the gateway had forgotten: both may be executed.
 */
export function perhapsTwice(known: Known): boolean {
  const { task, calls, policy } = known
  if (calls.at(-1)?.kind !== 'charge' || !doubtedBefore(known)) return false
  return task.firstSentAgeMs === null || task.firstSentAgeMs >= policy.keyLifeMs
}

/** Whether an earlier claim's charge is in doubt, and this claim has not proven it away. */
export function doubtedBefore(known: Known): boolean {
  return known.task.doubtAgeMs !== null && !proven(known)
}

/**
 * Whether a lookup of this claim, made when the grace was over, proves that nothing was executed.
 * The grace counts from the last charge that may have been sent, so never after our own in doubt.
 */
export function proven(known: Known): boolean {
  const { calls, policy } = known
  if (policy.lookup !== 'consistent') return false
  const absent = calls.some(
    (made) =>
      made.kind === 'lookup' &&
      made.outcome.kind === 'not_found' &&
      made.doubtAgeMs !== null &&
      made.doubtAgeMs >= policy.notFoundGraceMs,
  )
  return absent && !doubtedNow(known)
}

/** Whether a charge of this claim may have been executed. */
export function doubtedNow({ task, calls, policy }: Known): boolean {
  const outcome = chargeOf(calls)?.outcome
  if (outcome === undefined) return false
  if (outcome.kind === 'in_doubt' || outcome.kind === 'pending') return true
  if (isUnproven(outcome)) return true
  return saysNothing({ task, calls, policy })
}

/**
 * Whether a refusal or a decline of this claim's charge says nothing: where a repeated key is only
 * refused, whatever the words, that may be all that is left of an execution.
 */
function saysNothing({ task, calls, policy }: Known): boolean {
  if (policy.repeats !== 'executes_once' || task.doubtAgeMs === null) return false
  const made = chargeOf(calls)
  if (made === undefined || made.outcome.kind === 'success') return false
  return made.outcome.kind !== 'not_executed' || made.sent === true
}

/** The charge of this claim, if there was one. */
export function chargeOf(calls: readonly Call[]) {
  return calls.find((made) => made.kind === 'charge')
}

/** Whether it is not known if the answer was about this charge. */
export function isUnproven(outcome: ChargeOutcome | LookupOutcome): boolean {
  return 'unproven' in outcome && outcome.unproven === true
}
