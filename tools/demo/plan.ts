import { seededRandom } from '../../src/domain/random.ts'
import { drawOrder } from '../mix.ts'

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

/** One payment in ten is for more than there is. */
const TOO_LARGE_SHARE = 0.1
const WITH_KEY = 0.5
const REPEATED = 0.2
const AMOUNT_MAX = 100_00

/** The mix of one run: the same seed asks for the same payments, in the same order. */
export function plan(payments: number, users: number, seed: number): Planned[] {
  const random = seededRandom(seed)
  return Array.from({ length: payments }, (_, index) => {
    const { type, user, amount } = drawOrder(random, { users, amountMin: 1, amountMax: AMOUNT_MAX })
    const tooLarge = random() < TOO_LARGE_SHARE
    const keyed = random() < WITH_KEY
    const repeated = random() < REPEATED
    return {
      user,
      type: tooLarge ? 'withdraw' : type,
      amount: tooLarge ? TOO_LARGE : BigInt(amount),
      key: keyed ? `demo-${seed}-${index}` : null,
      repeated: keyed && repeated,
      tooLarge,
    }
  })
}
