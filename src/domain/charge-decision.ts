import type { ChargeOutcome, LookupOutcome, Underway } from './outcome.ts'

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
  /** How long the gateway may work on it until it is asked to end it; not there: it never is. */
  readonly endPendingMs?: number
  /**
   * How long it may work on it until nobody knows what becomes of it, for people to see; not there:
   * for ever.
   */
  readonly lostPendingMs?: number
}

/** What earlier claims left behind of a task. Ages in milliseconds. */
export interface TaskPast {
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
  /** Time since it said so first; null or not there: it never did. */
  readonly pendingAgeMs?: number | null
  /** Time since the last moment a charge of unknown outcome may have been sent; null: none was. */
  readonly doubtAgeMs: number | null
  /** Time since the first charge may have been sent, and the gateway's memory of our key began. */
  readonly firstSentAgeMs: number | null
}

/** What is known of a claimed task. Ages are as of now, however long the claim has lasted. */
export interface TaskState extends TaskPast {
  /** The gateway would not talk to us about it before, and has answered others well since. */
  readonly odd?: boolean
  /** Only asked out of turn: nothing may be sent, and without a word everything stays as it is. */
  readonly lookupOnly?: boolean
  /** Somebody wants it ended: what the gateway has in hand, it is asked to end. */
  readonly ending?: boolean
}

/** One gateway call of this claim, and what came of it. */
export type Call =
  | {
      readonly kind: 'charge'
      readonly outcome: ChargeOutcome
      /** Whether a byte of it may have left; not there: it may. */
      readonly sent?: boolean
    }
  | {
      /** `cancel`: the gateway was asked to end it. */
      readonly kind: 'lookup' | 'cancel'
      readonly outcome: LookupOutcome
      /**
       * How old the doubt was when the gateway was asked: whoever decides may have stood still.
       * Null where there was none, or where the gateway may have stood still ever since.
       */
      readonly doubtAgeMs: number | null
    }

/** What a decision looks at: the task, what this claim has done so far, what the gateway can. */
export interface Known {
  readonly task: TaskState
  readonly calls: readonly Call[]
  readonly policy: RetryPolicy
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
  /**
   * The gateway works on it: asked again after `delayMs`, and nothing is used up. `underway`: what
   * it said of it; not there: nothing was learned.
   */
  | (Later<'pending'> & { readonly underway?: Underway })
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
