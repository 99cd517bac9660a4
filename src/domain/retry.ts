import assert from 'node:assert'
import type { Call, Decision, Known, RetryPolicy, TaskState } from './charge-decision.ts'
import { backoffMs, ENDING_DELAY_MS_MAX, lookupDelayMs, pendingDelayMs } from './delays.ts'
import {
  alive,
  chargeOf,
  doubtedBefore,
  doubtedNow,
  isUnproven,
  mayRepeat,
  NOT_FINISHED,
  perhapsTwice,
  proven,
} from './doubt.ts'
import type { ChargeOutcome, LookupOutcome, Underway } from './outcome.ts'

type Next =
  | { readonly kind: 'call'; readonly call: Call['kind'] }
  | { readonly kind: 'decide'; readonly decision: Decision }

/** What a step looks at. */
interface Scene extends Known {
  readonly chance: number
}

/** It is asked no sooner again than this, in milliseconds. */
const PENDING_MS_MIN = 1_000

/** Why a payment failed that the gateway refused, each time, as a request. */
const REJECTED = 'rejected'

/**
 * The next thing to do for a claimed task: a gateway call, or a decision that ends the claim.
 * Chance is an argument in [0, 1). At most three calls are made per claim: lookup, charge, lookup;
 * or lookup, cancel.
 *
 * The one rule that everything here serves: after a charge whose outcome nobody knows, only a word
 * about that charge ends the payment. A refused request is no such word: it says that this request
 * was not executed, and nothing about earlier ones.
 */
export function next(
  task: TaskState,
  calls: readonly Call[],
  policy: RetryPolicy,
  chance: number,
): Next {
  assert(calls.length <= 3, 'a claim makes at most three calls')
  const scene = { task, calls, policy, chance }
  const last = calls.at(-1)
  if (last === undefined) return first(scene)
  const { outcome } = last
  if (outcome.kind === 'success') {
    return decide({ step: 'succeed', gatewayRef: outcome.gatewayRef, twice: perhapsTwice(scene) })
  }
  if (last.kind === 'charge') return afterCharge(scene, last.outcome as Unsuccessful)
  if (outcome.kind === 'declined') {
    return decide({ step: 'fail', reason: wordOf(scene, outcome.reason) })
  }
  if (last.kind === 'cancel') return pending(scene, last.outcome as NoWord)
  if (task.ending && outcome.kind === 'pending') return call('cancel')
  if (task.lookupOnly) return afterQuestion(scene, last.outcome as NoWord)
  return afterLookup(scene, last.outcome as NoWord)
}

type Unsuccessful = Exclude<ChargeOutcome, { kind: 'success' }>
type NoWord = Exclude<LookupOutcome, { kind: 'success' | 'declined' }>

function first(scene: Scene): Next {
  const { task, policy } = scene
  const asking = task.lookups > 0 || task.pendings > 0 || task.lookupOnly
  if (task.doubtAgeMs === null && !asking) return call('charge')
  if (policy.lookup !== 'none') return call('lookup')
  if (asking) return unknown(scene, 'lookup_unavailable')
  if (task.tries >= policy.attemptsMax) return unknown(scene, 'worker_lost')
  if (mayRepeat(task, policy)) return call('charge')
  return unknown(
    scene,
    policy.repeats === 'may_execute_again' ? 'keys_not_honoured' : 'key_expired',
  )
}

function afterCharge(scene: Scene, outcome: Unsuccessful): Next {
  const { task, policy, chance } = scene
  const { kind, reason } = outcome
  if (kind === 'declined') return afterDecline(scene, reason)
  const doubt = doubtedNow(scene)
  const asked = askedOf(outcome)
  if (kind === 'pending' && policy.lookup !== 'none') return pending(scene, outcome)
  if (kind === 'misconfigured' && !task.odd) {
    const delayMs = Math.max(asked, Math.round(policy.backoffMaxMs + chance * policy.jitterMs))
    return decide({ step: 'wait', delayMs, reason, doubt })
  }
  return tryAgain(scene, outcome, doubt)
}

/**
 * Why a payment ended that the gateway was asked to end, or is to be: its time was over. The answer
 * to that may be lost, and then a lookup or another claim is told.
 */
function wordOf(scene: Scene, reason: string): string {
  return reason === 'canceled' && outlived(scene) && !scene.task.ending ? 'expired' : reason
}

/** A no is the word on a charge that was never in doubt, or under a key that repeats its answer. */
function afterDecline(scene: Scene, reason: string): Next {
  const { task, policy } = scene
  const repeated = policy.repeats === 'first_answer' && alive(task, policy, 0)
  const word = !doubtedBefore(scene) || repeated
  return word ? decide({ step: 'fail', reason }) : ask(scene, reason)
}

/** Charge again later, as long as that may help; then it has failed, or nobody knows. */
function tryAgain(scene: Scene, outcome: Unsuccessful, doubt: boolean): Next {
  const { task, policy, chance } = scene
  const tries = task.tries + 1
  const delayMs = Math.max(askedOf(outcome), backoffMs(tries, policy, chance))
  const useful = policy.lookup !== 'none' || mayRepeat(task, policy, delayMs)
  const inDoubt = doubt || doubtedBefore(scene)
  // The first try is always one: from then on the payment has an age.
  const fresh = task.triedAgeMs === null && policy.giveUpMs > 0
  const left = inDoubt ? tries < policy.attemptsMax && useful : tries < policy.attemptsMax || fresh
  const free = left && !isUnproven(outcome) ? null : spared(scene, outcome, inDoubt)
  if (free !== null) return free
  if (!left) return runOut(scene, outcome, inDoubt)
  return decide({ step: 'retry', delayMs, reason: outcome.reason, doubt })
}

/**
 * What the last try is not used up by: a refusal, while the payment is young. One that may not be
 * about it uses up none at all. So neither a gateway that restarts nor a proxy that refuses many
 * ends anybody. In doubt only while it may be sent again. Null: the try is used up.
 */
function spared(scene: Scene, outcome: Unsuccessful, inDoubt: boolean) {
  const { task, policy, chance } = scene
  const { kind, reason } = outcome
  if (kind === 'in_doubt' || kind === 'pending') return null
  const ageMs = (inDoubt ? task.firstSentAgeMs : task.triedAgeMs) ?? 0
  // It waits about as long as it is old, which doubles like the waits between tries.
  const waitMs = Math.min(
    policy.backoffMaxMs,
    Math.max(ageMs, backoffMs(task.tries + 1, policy, 0)),
  )
  const delayMs = Math.max(askedOf(outcome), Math.round(waitMs + chance * policy.jitterMs))
  if (ageMs >= policy.giveUpMs || (inDoubt && !mayRepeat(task, policy, delayMs))) return null
  const doubt = doubtedNow(scene)
  return decide({ step: 'retry', delayMs, reason, doubt, free: true })
}

/** The last try is used up, or no other would be of use. */
function runOut(scene: Scene, { kind, reason }: Unsuccessful, inDoubt: boolean): Next {
  if (inDoubt) return ask(scene, reason)
  const refused = kind === 'rejected' || kind === 'misconfigured'
  return decide({ step: 'fail', reason: refused ? REJECTED : reason })
}

/** Ask what became of it, where that is possible. */
function ask(scene: Scene, reason: string): Next {
  return scene.policy.lookup === 'none' ? unknown(scene, reason) : call('lookup')
}

function afterLookup(scene: Scene, outcome: NoWord): Next {
  const { task, calls, policy, chance } = scene
  const charge = chargeOf(calls)
  const doubt = doubtedNow(scene)
  const reason = reasonOf(doubt && charge !== undefined ? charge.outcome : outcome)
  const asked = askedOf(outcome)
  const proof = proven(scene)
  if (isUnderway(scene, outcome)) return goesOn(scene, outcome)
  const ended = task.lookups > 0 || task.pendings > 0 || task.tries >= policy.attemptsMax
  if (ended || charge !== undefined) {
    return proof ? decide({ step: 'fail', reason: 'not_executed' }) : unknown(scene, reason, asked)
  }
  if (proof || mayRepeat(task, policy)) return call('charge')
  const tries = task.tries + 1
  if (tries >= policy.attemptsMax) return unknown(scene, reason, asked)
  const delayMs = Math.max(asked, backoffMs(tries, policy, chance))
  return decide({ step: 'retry', delayMs, reason, doubt: false })
}

/** Whether it is asked on as what the gateway has in hand, even when it is unknown at last. */
function isUnderway(scene: Scene, { kind }: NoWord): boolean {
  const { lookups, pendings } = scene.task
  const inHand = kind === 'pending' || (pendings > 0 && !proven(scene))
  return inHand && (lookups === 0 || outlived(scene))
}

/** What the gateway works on is asked about again; what it has had for too long it is to end. */
function goesOn(scene: Scene, outcome: NoWord): Next {
  return outcome.kind === 'pending' && outlived(scene) ? call('cancel') : pending(scene, outcome)
}

/** A question out of turn ends a payment by the gateway's word; without one it is as it was. */
function afterQuestion(scene: Scene, outcome: NoWord): Next {
  const { task } = scene
  const fresh = task.lookups === 0 && task.pendings === 0
  if (fresh && outcome.kind === 'pending') return pending(scene, outcome)
  // "Not found" finishes a payment only where nothing more is sent: before, it is sent again.
  if (!fresh && proven(scene)) return decide({ step: 'fail', reason: 'not_executed' })
  return decide({ step: 'leave', delayMs: 0 })
}

/** Why an outcome is no word, as a code. */
function reasonOf(outcome: ChargeOutcome | LookupOutcome): string {
  return 'reason' in outcome ? outcome.reason : outcome.kind
}

/** How long the gateway asked us to wait; 0: it did not. */
function askedOf(outcome: ChargeOutcome | LookupOutcome): number {
  return 'retryAfterMs' in outcome ? (outcome.retryAfterMs ?? 0) : 0
}

function unknown(scene: Scene, reason: string, asked = 0): Next {
  const { task, policy } = scene
  const scheduledMs = provenIn(scene, lookupDelayMs(task.lookups))
  // Somebody who had it asked to end wants to know what came of that.
  const soonMs = task.ending ? Math.min(scheduledMs, pendingDelayMs(0)) : scheduledMs
  const waitMs = Math.max(asked, soonMs)
  const delayMs = policy.lookup === 'none' ? null : waitMs
  return decide({ step: 'doubt', delayMs, reason, doubt: doubtedNow(scene) })
}

/**
 * When a gateway is asked again that was only now heard to be at work: when its next "not found"
 * may be proof, wherever that is sooner than as scheduled. Its schedule may have come to days.
 */
function provenIn({ task, calls, policy }: Scene, scheduledMs: number): number {
  const last = calls.at(-1)
  const unheard =
    policy.lookup === 'consistent' &&
    last?.kind === 'lookup' &&
    last.outcome.kind === 'not_found' &&
    last.doubtAgeMs === null &&
    task.doubtAgeMs !== null
  return unheard ? Math.min(scheduledMs, policy.notFoundGraceMs + PENDING_MS_MIN) : scheduledMs
}

/**
 * The gateway has it in hand. It is asked again as scheduled, and when its time is over. The grace
 * of a later "not found" counts from the last time that the gateway said so: a lookup without a
 * word is no charge. What it then neither ends nor tells the end of is unknown at last, so that
 * people see it: it fails by nobody's guess.
 */
function pending(scene: Scene, outcome: Unsuccessful | NoWord): Next {
  const { task, policy } = scene
  const { endPendingMs = Infinity, lostPendingMs = Infinity } = policy
  const ageMs = task.pendingAgeMs ?? 0
  if (task.lookups > 0) return unknown(scene, reasonOf(outcome), askedOf(outcome))
  if (ageMs >= lostPendingMs) return unknown(scene, NOT_FINISHED, askedOf(outcome))
  const late = ageMs >= endPendingMs
  const asSoonMs = task.ending ? pendingDelayMs(0) : late ? ENDING_DELAY_MS_MAX : Infinity
  const scheduledMs = Math.min(provenIn(scene, pendingDelayMs(task.pendings)), asSoonMs)
  const turnMs = late ? lostPendingMs : Math.min(endPendingMs, lostPendingMs)
  const leftMs = Math.max(turnMs - ageMs, PENDING_MS_MIN)
  const delayMs = Math.ceil(Math.max(askedOf(outcome), Math.min(scheduledMs, leftMs)))
  const doubt = outcome.kind === 'pending'
  const decision = { step: 'pending', delayMs, reason: reasonOf(outcome), doubt } as const
  if (outcome.kind !== 'pending') return decide(decision)
  const { gatewayRef = null, action = null } = outcome
  return decide({ ...decision, underway: { gatewayRef, action } satisfies Underway })
}

/** Whether the gateway has worked on it for longer than it may. */
function outlived({ task, policy }: Scene): boolean {
  const { endPendingMs } = policy
  return endPendingMs !== undefined && (task.pendingAgeMs ?? 0) >= endPendingMs
}

function call(kind: Call['kind']): Next {
  return { kind: 'call', call: kind }
}

function decide(decision: Decision): Next {
  return { kind: 'decide', decision }
}
