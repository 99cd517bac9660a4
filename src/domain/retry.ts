import assert from 'node:assert'
import type { ChargeOutcome, LookupOutcome } from './outcome.ts'

/** What a gateway does when a key is used again, and what it can be asked. Part of its profile. */
export interface Promises {
  /**
   * What a charge under a key that was used before does. `first_answer`: nothing, and the first
   * answer is given again. `executes_once`: nothing, and the answer says nothing of the first
   * charge. `may_execute_again`: it may charge again, so a charge in doubt is never repeated.
   */
  readonly repeats: 'first_answer' | 'executes_once' | 'may_execute_again'
  /** How long the gateway remembers a key, from its first use, in milliseconds. */
  readonly keyLifeMs: number
  /**
   * Whether a charge can be looked up by our key. `consistent` also promises that "not found" is
   * true of every charge whose request has ended; `eventual` promises nothing of the kind.
   */
  readonly lookup: 'none' | 'eventual' | 'consistent'
}

/** How often and how long to try, and what the gateway in use can do. Times in milliseconds. */
export interface RetryPolicy extends Promises {
  readonly attemptsMax: number
  /** How old the first try must be before a payment that was never executed fails. */
  readonly giveUpMs: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  readonly jitterMs: number
  /** How long after the last charge may have been sent a consistent "not found" is proof. */
  readonly notFoundGraceMs: number
  /** The longest a gateway call can take. */
  readonly timeoutMs: number
}

/** What is known of a claimed task. Ages are as of now, however long the claim has lasted. */
export interface TaskState {
  /** How much of the limit earlier claims used up, since the payment was accepted or redriven. */
  readonly tries: number
  /** Time since the first of them; null: there was none. */
  readonly triedAgeMs: number | null
  /**
   * Lookups made since the tries ran out; above 0 the payment is `unknown` and is never charged.
   */
  readonly lookups: number
  /** How often the gateway said that it is working on it; above 0 it is never charged. */
  readonly pendings: number
  /** Time since the last moment a charge of unknown outcome may have been sent; null: none was. */
  readonly doubtAgeMs: number | null
  /** Time since the first charge may have been sent, and the gateway's memory of our key began. */
  readonly firstSentAgeMs: number | null
  /** The gateway would not talk to us about it before, and has answered others well since. */
  readonly odd?: boolean
  /** Only asked out of turn: nothing may be sent, and without a word everything stays as it is. */
  readonly lookupOnly?: boolean
}

/** One gateway call of this claim, and what came of it. */
export type Call =
  | { readonly kind: 'charge'; readonly outcome: ChargeOutcome }
  | {
      readonly kind: 'lookup'
      readonly outcome: LookupOutcome
      /** How old the doubt was when the gateway was asked: whoever decides may have stood still. */
      readonly doubtAgeMs: number | null
    }

/** What becomes of a payment after a claim. */
export type Decision =
  /**
   * Final. `twice`: the key had outlived the gateway's memory, so an earlier charge may be another.
   */
  | { readonly step: 'succeed'; readonly gatewayRef: string | null; readonly twice: boolean }
  /** Final: the gateway said no, or provably nothing happened and the tries ran out. */
  | { readonly step: 'fail'; readonly reason: string }
  /**
   * Due again after `delayMs`, one try less, or none where it is `free`. `doubt`: a charge of this
   * claim may have happened.
   */
  | (Later<'retry'> & { readonly free?: true })
  /** The gateway would not talk to us: behind all that is due now, and nothing is used up. */
  | Later<'wait'>
  /** The gateway works on it: asked again after `delayMs`, and nothing is used up. */
  | Later<'pending'>
  /**
   * `unknown`, with the hold kept. Looked up again after `delayMs`; null: it cannot be looked up.
   */
  | {
      readonly step: 'doubt'
      readonly delayMs: number | null
      readonly reason: string
      readonly doubt: boolean
    }
  /** Asked out of turn, and nothing was learned: due when it would have been, and as it was. */
  | { readonly step: 'leave'; readonly delayMs: number }
  /** Not started: given back as it was, at once. */
  | { readonly step: 'release' }

interface Later<Step> {
  readonly step: Step
  readonly delayMs: number
  readonly reason: string
  readonly doubt: boolean
}

type Next =
  | { readonly kind: 'call'; readonly call: 'charge' | 'lookup' }
  | { readonly kind: 'decide'; readonly decision: Decision }

/**
 * When payments in doubt are looked up, counted from the moment the tries ran out. The last
 * interval repeats: a payment in doubt is never given up, and never failed without the gateway's
 * word.
 */
export const LOOKUP_DELAYS_MS: readonly number[] = [
  5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000,
]

/** When payments that the gateway works on are asked about. The last interval repeats. */
const PENDING_DELAYS_MS: readonly number[] = [
  10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000,
]

/** Of a key's life this much is used: clocks differ, and the gateway's began before ours ended. */
const KEY_LIFE_SHARE = 0.9

/** Why a payment failed that the gateway refused, each time, as a request. */
const REJECTED = 'rejected'

/** What a step looks at. */
interface Scene {
  readonly task: TaskState
  readonly calls: readonly Call[]
  readonly policy: RetryPolicy
  readonly chance: number
}

/**
 * The next thing to do for a claimed task: a gateway call, or a decision that ends the claim.
 * Chance is an argument in [0, 1). At most three calls are made per claim: lookup, charge, lookup.
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
  if (outcome.kind === 'declined') return decide({ step: 'fail', reason: outcome.reason })
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

/**
 * Whether a charge in doubt may be sent again under its key, if it were sent in `inMs`
 * milliseconds: the gateway must still know the key when the call ends.
 */
export function mayRepeat(
  task: Pick<TaskState, 'firstSentAgeMs'>,
  policy: Promises & Pick<RetryPolicy, 'timeoutMs'>,
  inMs = 0,
): boolean {
  return policy.repeats !== 'may_execute_again' && alive(task, policy, inMs + policy.timeoutMs)
}

function alive(task: Pick<TaskState, 'firstSentAgeMs'>, policy: Promises, inMs: number): boolean {
  const { firstSentAgeMs } = task
  return firstSentAgeMs !== null && firstSentAgeMs + inMs < KEY_LIFE_SHARE * policy.keyLifeMs
}

/**
 * A charge in doubt, and another under a key that the gateway had forgotten: both may be executed.
 */
function perhapsTwice(scene: Scene): boolean {
  const { task, calls, policy } = scene
  if (calls.at(-1)?.kind !== 'charge' || !doubtedBefore(scene)) return false
  return task.firstSentAgeMs === null || task.firstSentAgeMs >= policy.keyLifeMs
}

/** Whether an earlier claim's charge is in doubt, and this claim has not proven it away. */
function doubtedBefore(scene: Scene): boolean {
  return scene.task.doubtAgeMs !== null && !proven(scene)
}

/**
 * Whether a lookup of this claim, made when the grace was over, proves that nothing was executed.
 * The grace counts from the last charge that may have been sent, so never after our own in doubt.
 */
function proven({ task, calls, policy }: Scene): boolean {
  if (policy.lookup !== 'consistent') return false
  const absent = calls.some(
    (made) =>
      made.kind === 'lookup' &&
      made.outcome.kind === 'not_found' &&
      made.doubtAgeMs !== null &&
      made.doubtAgeMs >= policy.notFoundGraceMs,
  )
  return absent && !doubtedNow(task, calls, policy)
}

/** Whether a charge of this claim may have been executed. */
export function doubtedNow(task: TaskState, calls: readonly Call[], policy: RetryPolicy): boolean {
  const outcome = chargeOf(calls)?.outcome
  if (outcome === undefined) return false
  if (outcome.kind === 'in_doubt' || outcome.kind === 'pending') return true
  if (isUnproven(outcome)) return true
  // Where a repeated key is only refused, the refusal may be all that is left of an execution.
  const refused = outcome.kind === 'rejected' || outcome.kind === 'misconfigured'
  return refused && task.doubtAgeMs !== null && policy.repeats === 'executes_once'
}

function chargeOf(calls: readonly Call[]) {
  return calls.find((made) => made.kind === 'charge')
}

function afterCharge(scene: Scene, outcome: Unsuccessful): Next {
  const { task, calls, policy, chance } = scene
  const { kind, reason } = outcome
  if (kind === 'declined') return afterDecline(scene, reason)
  const doubt = doubtedNow(task, calls, policy)
  const asked = askedOf(outcome)
  if (kind === 'pending' && policy.lookup !== 'none') return pending(task, reason, asked)
  if (kind === 'misconfigured' && !task.odd) {
    const delayMs = Math.max(asked, Math.round(policy.backoffMaxMs + chance * policy.jitterMs))
    return decide({ step: 'wait', delayMs, reason, doubt })
  }
  return tryAgain(scene, outcome, doubt)
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
function spared({ task, calls, policy, chance }: Scene, outcome: Unsuccessful, inDoubt: boolean) {
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
  const doubt = doubtedNow(task, calls, policy)
  return decide({ step: 'retry', delayMs, reason, doubt, free: true })
}

/** The last try is used up, or no other would be of use. */
function runOut(scene: Scene, { kind, reason }: Unsuccessful, inDoubt: boolean): Next {
  if (inDoubt) return ask(scene, reason)
  const refused = kind === 'rejected' || kind === 'misconfigured'
  return decide({ step: 'fail', reason: refused ? REJECTED : reason })
}

/** Whether it is not known if the answer was about this charge. */
export function isUnproven(outcome: ChargeOutcome | LookupOutcome): boolean {
  return 'unproven' in outcome && outcome.unproven === true
}

/** Ask what became of it, where that is possible. */
function ask(scene: Scene, reason: string): Next {
  return scene.policy.lookup === 'none' ? unknown(scene, reason) : call('lookup')
}

function afterLookup(scene: Scene, outcome: NoWord): Next {
  const { task, calls, policy, chance } = scene
  const charge = chargeOf(calls)
  const doubt = doubtedNow(task, calls, policy)
  const reason = reasonOf(doubt && charge !== undefined ? charge.outcome : outcome)
  const asked = askedOf(outcome)
  const proof = proven(scene)
  if (task.lookups === 0) {
    if (outcome.kind === 'pending') return pending(task, 'pending', asked)
    if (task.pendings > 0 && !proof) return pending(task, reason, asked)
  }
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

/** A question out of turn ends a payment by the gateway's word; without one it is as it was. */
function afterQuestion(scene: Scene, outcome: NoWord): Next {
  const { task } = scene
  const fresh = task.lookups === 0 && task.pendings === 0
  if (fresh && outcome.kind === 'pending') return pending(task, 'pending', 0)
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

function unknown({ task, calls, policy }: Scene, reason: string, asked = 0): Next {
  const waitMs = Math.max(asked, lookupDelayMs(task.lookups))
  const delayMs = policy.lookup === 'none' ? null : waitMs
  return decide({ step: 'doubt', delayMs, reason, doubt: doubtedNow(task, calls, policy) })
}

/** The gateway has it in hand, so the grace of a later "not found" counts from now. */
function pending(task: TaskState, reason: string, asked: number): Next {
  const delayMs = Math.max(asked, nth(PENDING_DELAYS_MS, task.pendings))
  return decide({ step: 'pending', delayMs, reason, doubt: true })
}

/** The wait before the next lookup of a payment in doubt, after `lookups` of them. */
function lookupDelayMs(lookups: number): number {
  return nth(LOOKUP_DELAYS_MS, lookups)
}

function nth(delays: readonly number[], index: number): number {
  return delays[Math.min(index, delays.length - 1)] as number
}

function call(kind: 'charge' | 'lookup'): Next {
  return { kind: 'call', call: kind }
}

function decide(decision: Decision): Next {
  return { kind: 'decide', decision }
}

/**
 * The wait after the `tries`-th try: base × 2^(tries−1), at most the maximum, plus up to `jitterMs`
 * of chance so that payments that failed together do not return together.
 */
export function backoffMs(tries: number, policy: RetryPolicy, chance: number): number {
  const doubled = policy.backoffBaseMs * 2 ** Math.min(tries - 1, 30)
  return Math.round(Math.min(policy.backoffMaxMs, doubled) + chance * policy.jitterMs)
}
