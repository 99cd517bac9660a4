import type { ActWorld } from '../../src/dead-letters/letter-act.ts'
import { CALL_MS_MAX } from './limits.ts'
import { feePolicies } from '../../src/domain/fee.ts'
import type { Api, World } from './world-types.ts'

/** What operators act on in an API process. */
export function actWorld({ plan }: World, { db }: Pick<Api, 'db'>): ActWorld {
  const { profile } = plan
  return { db, terms: () => ({ ...profile, timeoutMs: CALL_MS_MAX }), ...feePolicies(plan) }
}
