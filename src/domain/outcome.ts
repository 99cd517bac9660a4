/**
 * How long the gateway asked us to wait with Retry-After, clamped to 1 s … 5 min; null: it did not.
 */
interface Asked {
  readonly retryAfterMs?: number | null
}

/**
 * What a charge came to. `reason` is a short, stable code such as `timeout`, `http_502` or
 * `connection_refused`; it is stored, shown and counted, and never holds text from the gateway.
 */
export type ChargeOutcome =
  /** The gateway said yes. */
  | { readonly kind: 'success'; readonly gatewayRef: string | null }
  /** The gateway said a definite no, in the words that its driver documents for it. */
  | Declined
  /** The gateway has taken it and has not finished it: only a lookup tells what became of it. */
  | ({ readonly kind: 'pending'; readonly reason: string } & Asked & Underway)
  /** The gateway refused this request in its own words: it was not executed. */
  | ({ readonly kind: 'rejected'; readonly reason: string } & Asked & Unproven)
  /**
   * Credentials, address or contract are wrong: it was not executed, and no other would have been.
   */
  | ({ readonly kind: 'misconfigured'; readonly reason: string } & Asked & Unproven)
  /** Provably nothing happened: the request never left, or the gateway refused to start. */
  | ({ readonly kind: 'not_executed'; readonly reason: string } & Asked & Unproven)
  /** Sent, and nobody here knows what became of it. */
  | ({ readonly kind: 'in_doubt'; readonly reason: string } & Asked)

/**
 * The answer names no payment and came over a connection that had carried others, so it may have
 * been meant for one of them: what it says of the gateway counts, what it says of this charge does
 * not.
 */
interface Unproven {
  readonly unproven?: true
}

/** A no: `reason` is a word of ours, `code` the gateway's own, kept as evidence alone. */
interface Declined {
  readonly kind: 'declined'
  readonly reason: string
  readonly code?: string
}

/** What the payer has to do before a gateway goes on: open a page. */
export interface PayerAction {
  readonly type: 'redirect'
  readonly url: string
  /** Null: the gateway did not say. */
  readonly expiresAt: Date | null
}

/** What is known of a charge that a gateway has not finished. */
export interface Underway {
  /** The gateway's own name for it; null or not there: it gave none. */
  readonly gatewayRef?: string | null
  /** What the payer has to do; null or not there: nothing. */
  readonly action?: PayerAction | null
}

/** What came back of a final payment by itself, as a lookup of it tells. In minor units. */
export interface CameBack {
  readonly ref: string
  readonly amount: bigint
  readonly kind: 'payout_returned' | 'charged_back' | 'refunded_there' | 'dispute_won'
  readonly at: Date | null
  /** Of a dispute won: the `ref` of what was taken; not there: the gateway does not say. */
  readonly undoes?: string
  /** The gateway tells refunds of ours from others, and it is none of them. */
  readonly besidesRefund?: true
}

/** A refund with our names in its metadata, as the gateway tells it beside its charge. */
export interface ToldRefund {
  readonly ref: string
  readonly ours: { readonly paymentId: bigint; readonly key: string }
  /** False: it failed there. */
  readonly made: boolean
  /**
   * What is booked of it if it turns out to be none of ours: a return; of one that failed, what
   * takes that back.
   */
  readonly back: CameBack
}

/** What came back as the gateway tells it, in a way that nothing can be booked of. */
export interface UnreadReturn {
  /** Null: it is none that could be stored. */
  readonly ref: string | null
  readonly code:
    | 'ref_unreadable'
    | 'kind_unknown'
    | 'amount_unreadable'
    | 'currency_differs'
    /** A dispute in a state that we do not know. */
    | 'dispute_unknown'
    /** A dispute is over, and its money has not moved. */
    | 'dispute_not_taken'
    /** The money of a dispute moved once more, or in part. */
    | 'dispute_moved'
}

/** What a lookup came to; what is known after a gateway was asked to end what it had taken. */
export type LookupOutcome =
  | {
      readonly kind: 'success'
      readonly gatewayRef: string | null
      /** What was refunded of it there, in minor units; not there: nothing is known of it. */
      readonly refunded?: bigint
      readonly returns?: readonly CameBack[]
      /** Refunds that say that they are ours, done or failed; not there: none, or nobody says. */
      readonly refunds?: readonly ToldRefund[]
      /** Not there: all that came back could be read. */
      readonly unread?: readonly UnreadReturn[]
    }
  | Declined
  /** The gateway knows the charge and has not finished it. */
  | ({ readonly kind: 'pending' } & Underway)
  /**
   * The gateway says in its own words that it does not know the key. Proof only as `retry.ts` says.
   */
  | { readonly kind: 'not_found' }
  /** We may not ask: credentials are wrong. No information. */
  | ({ readonly kind: 'misconfigured'; readonly reason: string } & Asked)
  /** The lookup itself failed: no information. */
  | ({ readonly kind: 'no_answer'; readonly reason: string } & Asked)
