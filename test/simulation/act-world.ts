import type { ActWorld } from '../../src/dead-letters/letter-act.ts'
import { CALL_MS_MAX } from './limits.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import type { Api, World } from './world-types.ts'

/** When what they end is looked at; in most histories nobody does. */
const WATCH_MS = [60_000]

/** What operators act on in an API process. */
export function actWorld({ plan }: World, { db }: Pick<Api, 'db'>): ActWorld {
  const terms = {
    ...plan.profile,
    watchMs: WATCH_MS,
    namesByRef: true as const,
    timeoutMs: CALL_MS_MAX,
  }
  return { db, terms: () => terms, ...feePolicies(plan) }
}
