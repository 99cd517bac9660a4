import assert from 'node:assert'
import type { Payment } from './payment.ts'

/** What moves in one journal entry, in minor units; the five accounts sum to zero. */
export interface Entry {
  readonly userId: bigint
  /** 0 for an opening balance. */
  readonly paymentId: bigint
  readonly kind: 'opening' | 'hold' | 'settle' | 'release'
  /** What the user can spend. */
  readonly user: bigint
  /** What is reserved for withdrawals that are not finished. */
  readonly held: bigint
  /** Paid out through the gateway less what was taken in; negative: it holds that much for us. */
  readonly gateway: bigint
  readonly fees: bigint
  readonly opening: bigint
}

type Priced = Pick<Payment, 'id' | 'userId' | 'type' | 'amount' | 'commission'>

/** What a withdrawal costs the user in all. */
export function total(payment: Pick<Payment, 'amount' | 'commission'>): bigint {
  return payment.amount + payment.commission
}

/** A user's balance at the start. */
export function openingEntry(userId: bigint, balance: bigint): Entry {
  return entry(userId, 0n, 'opening', { user: balance, opening: -balance })
}

/** Reserve what a withdrawal will cost. */
export function holdEntry(payment: Priced): Entry {
  assert(payment.type === 'withdraw', 'only withdrawals hold money')
  const cost = total(payment)
  return entry(payment.userId, payment.id, 'hold', { user: -cost, held: cost })
}

/**
 * Book a payment that the gateway executed. A deposit of A: the gateway took A, the user gets A −
 * C. A withdrawal of A: the hold A + C is spent, A through the gateway. C is earned here and only
 * here.
 */
export function settleEntry(payment: Priced): Entry {
  const { amount, commission } = payment
  if (payment.type === 'deposit') {
    const legs = { gateway: -amount, user: amount - commission, fees: commission }
    return entry(payment.userId, payment.id, 'settle', legs)
  }
  const legs = { held: -total(payment), gateway: amount, fees: commission }
  return entry(payment.userId, payment.id, 'settle', legs)
}

/** Give back the hold of a withdrawal that the gateway did not execute. */
export function releaseEntry(payment: Priced): Entry {
  assert(payment.type === 'withdraw', 'only withdrawals hold money')
  const cost = total(payment)
  return entry(payment.userId, payment.id, 'release', { user: cost, held: -cost })
}

function entry(
  userId: bigint,
  paymentId: bigint,
  kind: Entry['kind'],
  legs: Partial<Pick<Entry, 'user' | 'held' | 'gateway' | 'fees' | 'opening'>>,
): Entry {
  const { user = 0n, held = 0n, gateway = 0n, fees = 0n, opening = 0n } = legs
  assert(user + held + gateway + fees + opening === 0n, 'a journal entry sums to zero')
  return { userId, paymentId, kind, user, held, gateway, fees, opening }
}
