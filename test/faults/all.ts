import { GATEWAY_MOODS } from './gateway-moods.ts'
import { ILL_SHARD } from './ill-shard.ts'
import { KILLS } from './kills.ts'
import { LATE_WORDS } from './late-words.ts'
import { MIXED_GATEWAYS, MIXED_OPERATIONS } from './mixed-operations.ts'
import { OUTAGES } from './outages.ts'
import { RACES } from './races.ts'
import { REFUSED_STARTS } from './refused-starts.ts'
import type { Scenario } from './scenario.ts'
import { SERVER_KILLED } from './server-killed.ts'
import { TWO_GATEWAYS } from './two-gateways.ts'
import { WEBHOOK_KILLS } from './webhook-kills.ts'

/** Every scenario of the fault suite, in the order in which they are shown. */
export const SCENARIOS: readonly Scenario[] = [
  ...KILLS,
  ...OUTAGES,
  ...GATEWAY_MOODS,
  TWO_GATEWAYS,
  ILL_SHARD,
  SERVER_KILLED,
  ...LATE_WORDS,
  ...RACES,
  MIXED_OPERATIONS,
  MIXED_GATEWAYS,
  WEBHOOK_KILLS,
  REFUSED_STARTS,
]
