import assert from 'node:assert'
import {
  refundReleaseEntry,
  refundSettleEntry,
  releaseEntry,
  settleEntry,
  type Entry,
} from './ledger.ts'
import type { BookedType, Payment, PaymentType } from './payment.ts'

/** What a refund is of, and what of the commission of that goes back with it. */
export interface RefundShare {
  readonly parentId: bigint
  readonly feeReturned: bigint
}

/** By how much what is written on a payment of its giving back changes, in minor units. */
export interface GivenBackMove {
  readonly parentId: bigint
  readonly refundReserved: bigint
  readonly feeReserved: bigint
  readonly refunded: bigint
  readonly returned: bigint
  readonly returnedFee: bigint
}

/** What a payment books when it ends, and what that changes on the payment that it gives back. */
interface End {
  readonly entries: readonly Entry[]
  readonly moves: readonly GivenBackMove[]
}

type Ending = Omit<Pick<Payment, 'id' | 'userId' | 'type' | 'amount' | 'commission'>, 'type'> & {
  readonly type: BookedType
}

const NONE: readonly never[] = []

/** Whether it gives nothing back. Only narrows: a copy of a row would cost more than the rest. */
function isPlain(payment: Ending): payment is Ending & { readonly type: PaymentType } {
  assert(payment.type !== 'return', 'a return is final from the start')
  return payment.type !== 'refund'
}

/** A payment that the gateway executed. `refund` is null for all but refunds. */
export function executed(payment: Ending, refund: RefundShare | null): End {
  if (isPlain(payment)) return { entries: [settleEntry(payment)], moves: NONE }
  const { parentId, feeReturned } = shareOf(refund)
  const entry = refundSettleEntry({ ...payment, feeReturned })
  return { entries: [entry], moves: [{ ...NO_MOVE, parentId, refunded: payment.amount }] }
}

/**
 * A payment that was not executed: its hold is given back, and a refund no longer takes anything of
 * its deposit.
 */
export function undone(payment: Ending, refund: RefundShare | null): End {
  if (isPlain(payment)) {
    const entries = payment.type === 'deposit' ? NONE : [releaseEntry(payment)]
    return { entries, moves: NONE }
  }
  const { parentId, feeReturned } = shareOf(refund)
  const entry = refundReleaseEntry({ ...payment, feeReturned })
  const move = { parentId, refundReserved: -payment.amount, feeReserved: -feeReturned }
  return { entries: [entry], moves: [{ ...NO_MOVE, ...move }] }
}

/** The share of a payment as it is stored; null: it is no refund. */
export function refundShare({
  type,
  parentId,
  feeReturned,
}: {
  readonly type: BookedType
  readonly parentId: bigint | null
  readonly feeReturned: bigint | null
}): RefundShare | null {
  if (type !== 'refund') return null
  assert(parentId !== null, 'a refund has a parent')
  return { parentId, feeReturned: feeReturned ?? 0n }
}

/** Of a payment that changes nothing of what was given back. */
export const NO_MOVE = {
  refundReserved: 0n,
  feeReserved: 0n,
  refunded: 0n,
  returned: 0n,
  returnedFee: 0n,
} as const

function shareOf(refund: RefundShare | null): RefundShare {
  assert(refund !== null, 'a refund has a parent')
  return refund
}
