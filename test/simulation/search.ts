import type { Mutant } from './planting.ts'
import { simulate } from './run.ts'

/** The simulator finds each planted bug within as many seeds; most within ten. */
export const SEEDS_MAX = 3_000

/** Where a planted bug shows, and the promise that it breaks. */
export interface Found {
  readonly seed: number
  readonly message: string
}

/** What a seed says of a bug; null: nothing, or what it says without the bug as well. */
export async function failureAt(seed: number, { plants }: Mutant): Promise<Found | null> {
  const { failure } = await simulate(seed, plants)
  if (failure === null) return null
  const { profile, trouble, plan } = plants
  const same = {
    ...(profile && { profile }),
    ...(trouble && { trouble }),
    ...(plan && { plan }),
  }
  const sound = await simulate(seed, same)
  // The first line: the promise that was broken, or the error that escaped.
  return sound.failure === null ? { seed, message: failure.message.split('\n')[0] ?? '' } : null
}

/** The first seed that fails because of the bug: without it, the same seed keeps every promise. */
export async function firstFailure(mutant: Mutant): Promise<Found | null> {
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const found = await failureAt(seed, mutant)
    if (found !== null) return found
  }
  return null
}
