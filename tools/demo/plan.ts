import { seededRandom } from '../../src/domain/random.ts'

/** One payment the demo is going to ask for. Amounts are minor units. */
export interface Planned {
  /** Which of the demo's users, from 0. */
  readonly user: number
  readonly type: 'deposit' | 'withdraw'
  readonly amount: bigint
  /** Null: sent without an Idempotency-Key. */
  readonly key: string | null
  /** The client asks a second time under the same key, as one that lost the answer does. */
  readonly repeated: boolean
  /** No balance covers it: the answer must be 402. */
  readonly tooLarge: boolean
}

/** What every user starts with. */
export const OPENING = 1_000_00n

/** More than all deposits of the longest demo could add up to, and still an amount. */
const TOO_LARGE = 9_000_000_000_00n

/** Shares of the mix: half deposits, two in five withdrawals, the rest more than there is. */
const DEPOSITS = 0.5
const WITHDRAWALS = 0.9
const WITH_KEY = 0.5
const REPEATED = 0.2
const AMOUNT_MAX = 100_00

/** The mix of one run: the same seed asks for the same payments, in the same order. */
export function plan(payments: number, users: number, seed: number): Planned[] {
  const random = seededRandom(seed)
  return Array.from({ length: payments }, (_, index) => {
    const kind = random()
    const amount = BigInt(1 + Math.floor(random() * AMOUNT_MAX))
    const keyed = random() < WITH_KEY
    const repeated = random() < REPEATED
    const tooLarge = kind >= WITHDRAWALS
    return {
      user: Math.floor(random() * users),
      type: kind < DEPOSITS ? 'deposit' : 'withdraw',
      amount: tooLarge ? TOO_LARGE : amount,
      key: keyed ? `demo-${seed}-${index}` : null,
      repeated: keyed && repeated,
      tooLarge,
    }
  })
}
