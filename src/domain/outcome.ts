/**
 * What a charge came to. `reason` is a short, stable code such as `timeout`, `http_502` or
 * `connection_refused`; it is stored, shown and counted, and never holds text from the gateway.
 */
export type ChargeOutcome =
  /** The gateway said yes. */
  | { readonly kind: 'success'; readonly gatewayRef: string | null }
  /** The gateway said a definite no. */
  | { readonly kind: 'declined'; readonly reason: string }
  /** Provably nothing happened: the request never left, or the gateway refused to start. */
  | {
      readonly kind: 'not_executed'
      readonly reason: string
      /** What the gateway asked for with Retry-After, already clamped to 1 s … 5 min. */
      readonly retryAfterMs: number | null
    }
  /** Sent, and nobody here knows what became of it. */
  | { readonly kind: 'in_doubt'; readonly reason: string }

/** What a lookup by our key came to. */
export type LookupOutcome =
  | { readonly kind: 'success'; readonly gatewayRef: string | null }
  | { readonly kind: 'declined'; readonly reason: string }
  /** The gateway knows the charge and has not finished it. */
  | { readonly kind: 'pending' }
  /** The gateway does not know the key. Proof of nothing by itself: see `retry.ts`. */
  | { readonly kind: 'not_found' }
  /** The lookup itself failed: no information. */
  | { readonly kind: 'no_answer'; readonly reason: string }
