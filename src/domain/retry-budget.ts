/**
 * A retry budget as a value: first attempts earn, retries spend. A gateway that fails now and then
 * is retried as planned; one that fails most of the time is not called twice as often for it.
 */
export interface RetryBudget {
  readonly tokens: number
}

/** What is saved up at most, so that a long quiet time does not pay for a storm. */
const TOKENS_MAX = 500

/** What a process may spend before it has earned anything: a trickle must not wait. */
export const FULL: RetryBudget = { tokens: TOKENS_MAX }

/** The budget after a first attempt: it pays for one retry. */
export function earned(budget: RetryBudget): RetryBudget {
  return { tokens: Math.min(TOKENS_MAX, budget.tokens + 1) }
}

/** Pay for a retry, or learn that there is nothing left: then it has to wait longer. */
export function spent(budget: RetryBudget): { readonly paid: boolean; readonly left: RetryBudget } {
  return budget.tokens >= 1
    ? { paid: true, left: { tokens: budget.tokens - 1 } }
    : { paid: false, left: budget }
}
