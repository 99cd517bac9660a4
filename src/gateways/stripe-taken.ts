/** Disputes for which Stripe takes the money: others are questions, or over before they began. */
export const TAKEN: ReadonlySet<unknown> = new Set([
  'needs_response',
  'under_review',
  'lost',
  'won',
])
