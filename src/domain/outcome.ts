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
  | { readonly kind: 'declined'; readonly reason: string }
  /** The gateway has taken it and has not finished it: only a lookup tells what became of it. */
  | ({ readonly kind: 'pending'; readonly reason: string } & Asked)
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

/** What a lookup by our key came to. */
export type LookupOutcome =
  | { readonly kind: 'success'; readonly gatewayRef: string | null }
  | { readonly kind: 'declined'; readonly reason: string }
  /** The gateway knows the charge and has not finished it. */
  | { readonly kind: 'pending' }
  /**
   * The gateway says in its own words that it does not know the key. Proof only as `retry.ts` says.
   */
  | { readonly kind: 'not_found' }
  /** We may not ask: credentials are wrong. No information. */
  | ({ readonly kind: 'misconfigured'; readonly reason: string } & Asked)
  /** The lookup itself failed: no information. */
  | ({ readonly kind: 'no_answer'; readonly reason: string } & Asked)
