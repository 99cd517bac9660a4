import type { Fee } from '../../src/domain/fee.ts'
import type { GatewayProfile } from '../../src/ports.ts'
import type { Faults } from './faults.ts'

/** What a seed decides before anything happens. */
export interface Plan {
  readonly shards: number
  readonly apis: number
  readonly workers: number
  readonly clients: number
  readonly requests: number
  readonly users: number
  readonly steps: number
  readonly operators: number
  /** Acts of each. */
  readonly acts: number
  readonly profile: GatewayProfile
  readonly fee: Fee
  readonly attemptsMax: number
  readonly giveUpMs: number
}

/** A life that no retry comes near, and one that some outlive. */
const LONG_MS = 3_600_000
const SHORT_MS = 60_000

const PROFILES: readonly GatewayProfile[] = [
  { repeats: 'first_answer', keyLifeMs: LONG_MS, lookup: 'consistent' },
  { repeats: 'first_answer', keyLifeMs: LONG_MS, lookup: 'consistent' },
  { repeats: 'first_answer', keyLifeMs: SHORT_MS, lookup: 'consistent' },
  { repeats: 'first_answer', keyLifeMs: LONG_MS, lookup: 'eventual' },
  { repeats: 'first_answer', keyLifeMs: SHORT_MS, lookup: 'eventual' },
  { repeats: 'first_answer', keyLifeMs: SHORT_MS, lookup: 'none' },
  { repeats: 'executes_once', keyLifeMs: LONG_MS, lookup: 'consistent' },
  { repeats: 'executes_once', keyLifeMs: SHORT_MS, lookup: 'none' },
  { repeats: 'may_execute_again', keyLifeMs: LONG_MS, lookup: 'consistent' },
  { repeats: 'may_execute_again', keyLifeMs: LONG_MS, lookup: 'eventual' },
  { repeats: 'may_execute_again', keyLifeMs: LONG_MS, lookup: 'none' },
]

const FEES: readonly Fee[] = [
  { bps: 200, min: 0n },
  { bps: 200, min: 0n },
  { bps: 0, min: 0n },
  { bps: 333, min: 4n },
]

/** Draw what a seed decides; `profile` is that of a planted bug that needs one. */
export function drawPlan(
  { between, pick }: Faults,
  profile: GatewayProfile | undefined,
  chance: () => number,
): Plan {
  const operators = [0, 0, 1, 2][Math.floor(chance() * 4)] ?? 0
  return {
    operators,
    acts: 1 + Math.floor(chance() * 8),
    shards: pick([1, 1, 2]),
    apis: between(1, 4),
    workers: between(1, 4),
    clients: between(2, 5),
    requests: between(2, 7),
    users: between(1, 4),
    steps: between(100, 500),
    profile: profile ?? pick(PROFILES),
    fee: pick(FEES),
    attemptsMax: between(1, 5),
    giveUpMs: pick([0, 0, 30_000]),
  }
}
