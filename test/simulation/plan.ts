import type { Fee, FeePolicy, Fees } from '../../src/domain/fee.ts'
import type { Promises } from '../../src/domain/charge-decision.ts'
import type { PaymentType } from '../../src/domain/payment.ts'
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
  readonly profile: Promises
  readonly fee: Fee
  /** Of the accounts, one is drawn for each; null: that of the books, which is USD. */
  readonly currencies: readonly (string | null)[]
  readonly attemptsMax: number
  readonly giveUpMs: number
  /** People who give money back, book what came back, cancel and correct. */
  readonly clerks: number
  /** Acts of each. */
  readonly deeds: number
  /** Whether refunds and returns return their part of the commission. */
  readonly refundFee: FeePolicy
  readonly returnFee: FeePolicy
  /**
   * Which type of payments goes to another gateway; null: there is one, as in all seeds that are
   * not made to have two.
   */
  readonly elsewhere: PaymentType | null
  /**
   * How long the gateway may have a payment in hand until it is asked to end it, in milliseconds;
   * null: it never is, as in all seeds that are not made for it.
   */
  readonly endPendingMs: number | null
  /** And until nobody knows what becomes of it; null: for ever. */
  readonly lostPendingMs: number | null
  /**
   * Whether clerks have the gateway end what it has in hand; not in seeds that are not made for it.
   */
  readonly endsPending: boolean
  /**
   * Whether clerks book payouts whose money their users have spent meanwhile; not in seeds that are
   * not made for it.
   */
  readonly loses: boolean
  /**
   * How old final payments are when they are looked at; none: they are not, and nothing comes back
   * at the gateway, as in all seeds that are not made for it.
   */
  readonly watchMs: readonly number[]
  /**
   * Webhook endpoints; none: nobody is told of events, as in all seeds that are not made for it.
   */
  readonly endpoints: number
  /** Acts of whoever has them. */
  readonly wishes: number
}

/** A life that no retry comes near, and one that some outlive. */
const LONG_MS = 3_600_000
const SHORT_MS = 60_000

const PROFILES: readonly Promises[] = [
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

const CURRENCIES: readonly (readonly (string | null)[])[] = [[null], [null], [null, 'JPY', 'KWD']]

/** The rule of the commission in every currency: one rate, and a floor for each. */
export function feesOf({ bps, min }: Fee): Fees {
  const mins = [
    ['USD', min],
    ['JPY', min * 2n],
    ['KWD', min * 5n],
  ] as const
  return { bps, mins: new Map(mins) }
}

/**
 * Draw what a seed decides; `profile` is that of a planted bug that needs one. Operators and
 * clerks are drawn by chances of their own, so that seeds without them stay what they were.
 */
export function drawPlan(
  { between, pick }: Faults,
  profile: Promises | undefined,
  { chance, back }: { readonly chance: () => number; readonly back: () => number },
): Plan {
  const operators = [0, 0, 1, 2][Math.floor(chance() * 4)] ?? 0
  const policies = ['keep', 'return', 'return'] as const
  const policy = () => policies[Math.floor(back() * 3)] ?? 'keep'
  return {
    operators,
    acts: 1 + Math.floor(chance() * 8),
    clerks: [0, 0, 1, 2, 3][Math.floor(back() * 5)] ?? 0,
    deeds: 2 + Math.floor(back() * 10),
    refundFee: policy(),
    returnFee: policy(),
    elsewhere: null,
    endPendingMs: null,
    lostPendingMs: null,
    endsPending: false,
    loses: false,
    watchMs: [],
    endpoints: 0,
    wishes: 0,
    currencies: CURRENCIES[Math.floor(back() * 3)] ?? [null],
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
