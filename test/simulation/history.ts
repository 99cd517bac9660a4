import type { FeePolicy } from '../../src/domain/fee.ts'
import type { ChargeWorld, Settlement } from '../../src/charging/charge.ts'
import type { Accept } from '../../src/payments/accept.ts'
import type { Db } from '../../src/ports.ts'
import type { WatchEnd } from '../../src/queue/watches-store.ts'
import type { ManualClock, ScriptedGateway } from '../harness.ts'

/** One history against one database, with the choices that its seed makes. */
export interface History {
  readonly between: (from: number, to: number) => number
  readonly pick: <T>(from: readonly T[]) => T
  readonly clock: ManualClock
  readonly gateway: ScriptedGateway
  readonly db: Db
  /** What befalls the next transaction. */
  readonly fate: { next: 'kept' | 'away' | 'reply_lost' }
  readonly shards: number
  readonly accepts: readonly Accept[]
  /** Whether refunds and returns return their part of the commission. */
  readonly policies: { readonly refundFee: FeePolicy; readonly returnFee: FeePolicy }
  readonly world: ChargeWorld
  /** The same at the second gateway. */
  readonly elsewhere: ChargeWorld
  readonly users: bigint[]
  /** Payments that were accepted, and those that were settled as successes, as far as told. */
  readonly accepted: bigint[]
  readonly succeeded: bigint[]
  /** Refunds that were accepted, as far as told. */
  readonly refunds: { readonly id: bigint; readonly parentId: bigint; readonly amount: bigint }[]
  /** Charged and not yet settled, by workers that may have lost their lease meanwhile. */
  unsettled: Settlement[]
  /** Looks at final payments that are not written yet. */
  unended: WatchEnd[]
  /** Everything that anybody was told. */
  readonly told: string[]
}

/** Ids of payments that are asked about: the first of a history, in which most come to an end. */
export const PAYMENTS = 60

/** Letters that there may be: an operator goes by a list that is a little old. */
export function someLetters({ between, shards }: History): bigint[] {
  const count = between(1, 4)
  return Array.from({ length: count }, () => BigInt(between(0, 20 * shards)))
}

export const WHO = { actor: 'jane', reason: 'seen', requestId: 'r' }

/** Anything as text. */
export function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))
}
