import type { RetryPolicy } from './charge-decision.ts'

/**
 * When payments in doubt are looked up, counted from the moment the tries ran out. The last
 * interval repeats: a payment in doubt is never given up, and never failed without the gateway's
 * word.
 */
export const LOOKUP_DELAYS_MS: readonly number[] = [
  5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000,
]

/**
 * How long a gateway has to end what has been in its hands for too long. It is asked to so often.
 */
export const ENDING_MS = 86_400_000
export const ENDING_DELAY_MS_MAX = 3_600_000

/** When payments that the gateway works on are asked about. The last interval repeats. */
const PENDING_DELAYS_MS: readonly number[] = [
  10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000,
]

/**
 * The wait after the `tries`-th try: base × 2^(tries−1), at most the maximum, plus up to `jitterMs`
 * of chance so that payments that failed together do not return together.
 */
export function backoffMs(tries: number, policy: RetryPolicy, chance: number): number {
  const doubled = policy.backoffBaseMs * 2 ** Math.min(tries - 1, 30)
  return Math.round(Math.min(policy.backoffMaxMs, doubled) + chance * policy.jitterMs)
}

/** The wait before the next lookup of a payment in doubt, after `lookups` of them. */
export function lookupDelayMs(lookups: number): number {
  return nth(LOOKUP_DELAYS_MS, lookups)
}

/** The wait before the gateway is asked again about what it works on, after `pendings` of that. */
export function pendingDelayMs(pendings: number): number {
  return nth(PENDING_DELAYS_MS, pendings)
}

function nth(delays: readonly number[], index: number): number {
  return delays[Math.min(index, delays.length - 1)] as number
}
