import assert from 'node:assert'
import type { Payment } from './payment.ts'

/**
 * The accounts of the ledger: the one list from which columns, checks, sums, the trial balance and
 * exports come. `column` is the account's column of `postings`, `name` what it is called outside.
 */
const ACCOUNTS = {
  user: { column: 'user_available', name: 'user', holds: 'What users can spend.' },
  held: {
    column: 'user_held',
    name: 'user_held',
    holds: 'What is held for withdrawals and refunds that are not finished.',
  },
  gateway: {
    column: 'gateway',
    name: 'gateway',
    holds: 'Paid out through the gateway less what was taken in.',
  },
  fees: { column: 'fees', name: 'fees', holds: 'Commission earned.' },
  opening: {
    column: 'opening',
    name: 'opening',
    holds: 'The other side of opening balances.',
  },
  losses: {
    column: 'losses',
    name: 'losses',
    holds: 'What came back from us and could not be taken from a user: 0 or less.',
  },
} as const satisfies Record<string, { column: string; name: string; holds: string }>

type Account = keyof typeof ACCOUNTS

/** All accounts, in the order in which they are shown. */
// Object.keys forgets the keys' type.
export const ACCOUNT_NAMES = Object.keys(ACCOUNTS) as readonly Account[]

/** What an account is called outside. */
export function accountName(account: Account): string {
  return ACCOUNTS[account].name
}

/** Add up account by account, whatever they are called. */
export function plusEach<Name extends string>(
  one: Readonly<Record<Name, bigint>>,
  other: Readonly<Record<Name, bigint>>,
): Record<Name, bigint> {
  // Object.keys and Object.fromEntries forget the keys' type.
  const names = Object.keys(one) as Name[]
  const sums = names.map((name) => [name, one[name] + other[name]] as const)
  return Object.fromEntries(sums) as Record<Name, bigint>
}

/** An amount for each account, in minor units. */
type Legs = Readonly<Record<Account, bigint>>

/**
 * Why money moved. `settle`: the gateway executed a payment, or said that one came back.
 * `settle_late`: it had executed one that is failed here, and an operator said so. Within a payment
 * the kinds are in the order of their names.
 */
type EntryKind = 'opening' | 'hold' | 'release' | 'settle' | 'settle_late'

/** What moves in one journal entry, in minor units; its accounts sum to zero. */
export interface Entry {
  readonly userId: bigint
  /** 0 for an opening balance. */
  readonly paymentId: bigint
  readonly kind: EntryKind
  /** What the user can spend. */
  readonly user: bigint
  /** What is reserved for withdrawals and refunds that are not finished. */
  readonly held: bigint
  /** Paid out through the gateway less what was taken in; negative: it holds that much for us. */
  readonly gateway: bigint
  readonly fees: bigint
  readonly opening: bigint
  /** What nobody but us could pay for, as 0 or less. */
  readonly losses: bigint
}

type Priced = Pick<Payment, 'id' | 'userId' | 'type' | 'amount' | 'commission'>

/** Whose money an entry moves, and for which payment. */
type About = Pick<Payment, 'id' | 'userId'>

/** What a withdrawal costs the user in all. */
export function total(payment: Pick<Payment, 'amount' | 'commission'>): bigint {
  return payment.amount + payment.commission
}

/** A user's balance at the start. */
export function openingEntry(userId: bigint, balance: bigint): Entry {
  return entry({ userId, id: 0n }, 'opening', { user: balance, opening: -balance })
}

/** Reserve what a withdrawal will cost. */
export function holdEntry(payment: Priced): Entry {
  assert(payment.type === 'withdraw', 'only withdrawals hold money')
  return hold(payment, total(payment))
}

/**
 * Book a payment that the gateway executed. A deposit of A: the gateway took A, the user gets A −
 * C. A withdrawal of A: the hold A + C is spent, A through the gateway. C is earned here and only
 * here.
 */
export function settleEntry(payment: Priced): Entry {
  const { amount, commission } = payment
  if (payment.type === 'deposit') return entry(payment, 'settle', taken(payment))
  const legs = { held: -total(payment), gateway: amount, fees: commission }
  return entry(payment, 'settle', legs)
}

/** Give back the hold of a withdrawal that the gateway did not execute. */
export function releaseEntry(payment: Priced): Entry {
  assert(payment.type === 'withdraw', 'only withdrawals hold money')
  return release(payment, total(payment))
}

/** A refund of a deposit: R goes back through the gateway, f of it out of the commission. */
export interface RefundParts extends About {
  /** R. */
  readonly amount: bigint
  /** f, from 0 to R. */
  readonly feeReturned: bigint
}

/** What a refund costs the user: R − f. */
export function refundCost({ amount, feeReturned }: RefundParts): bigint {
  assert(amount > 0n && feeReturned >= 0n && feeReturned <= amount, 'a refund returns 0 to R')
  return amount - feeReturned
}

/** Reserve what a refund will cost the user. */
export function refundHoldEntry(refund: RefundParts): Entry {
  return hold(refund, refundCost(refund))
}

/** Book a refund that the gateway executed: the hold is spent, and f is earned no more. */
export function refundSettleEntry(refund: RefundParts): Entry {
  const { amount, feeReturned } = refund
  const legs = { held: -refundCost(refund), gateway: amount, fees: -feeReturned }
  return entry(refund, 'settle', legs)
}

/** Give back the hold of a refund that the gateway did not execute. */
export function refundReleaseEntry(refund: RefundParts): Entry {
  return release(refund, refundCost(refund))
}

/**
 * Book a payout of which r came back, and g of the commission with it: `lost`, what nobody has paid
 * of it so far, is paid first, and the user gets the rest.
 */
export function payoutReturnedEntry(about: About, amount: bigint, fee: bigint, lost = 0n): Entry {
  assert(amount > 0n && fee >= 0n, 'what comes back is more than nothing')
  assert(lost >= 0n, 'nobody loses less than nothing')
  const all = amount + fee
  const losses = lost < all ? lost : all
  return entry(about, 'settle', { user: all - losses, gateway: -amount, fees: -fee, losses })
}

/** Who pays for r that was taken back from us, or gets r that came back: the parts sum to r. */
export interface Shares {
  /** u. */
  readonly user: bigint
  /** g, out of the commission. */
  readonly fee: bigint
  /** The rest: ours. */
  readonly loss: bigint
}

/** Book a charge-back, or a refund that was made at the gateway itself. */
export function chargebackEntry(about: About, shares: Shares): Entry {
  const amount = sum(shares)
  const { user, fee, loss } = shares
  return entry(about, 'settle', { user: -user, gateway: amount, fees: -fee, losses: -loss })
}

/** Book money that came back from a dispute: the same with the opposite sign. */
export function disputeWonEntry(about: About, shares: Shares): Entry {
  const amount = sum(shares)
  const { user, fee, loss } = shares
  return entry(about, 'settle', { user, gateway: -amount, fees: fee, losses: loss })
}

function sum({ user, fee, loss }: Shares): bigint {
  assert(user >= 0n && fee >= 0n && loss >= 0n, 'nobody pays less than nothing')
  assert(user + fee + loss > 0n, 'what is booked is more than nothing')
  return user + fee + loss
}

/**
 * Book a payment that failed here although the gateway executed it. A deposit is settled. The hold
 * of a withdrawal was given back, so the user pays A + C as far as `available` goes, and the rest
 * is ours to lose.
 */
export function correctionEntry(payment: Priced, available: bigint): Entry {
  if (payment.type === 'deposit') return entry(payment, 'settle_late', taken(payment))
  assert(available >= 0n, 'no balance is below zero')
  const cost = total(payment)
  const user = available < cost ? available : cost
  const { amount: gateway, commission: fees } = payment
  return entry(payment, 'settle_late', { user: -user, gateway, fees, losses: user - cost })
}

/** What an executed deposit moves. */
function taken({ amount, commission }: Priced): Partial<Legs> {
  return { gateway: -amount, user: amount - commission, fees: commission }
}

/**
 * What a withdrawal or a refund holds: of a withdrawal it is written by
 * src/payments/accept-store.ts.
 */
function hold(about: About, cost: bigint): Entry {
  return entry(about, 'hold', { user: -cost, held: cost })
}

function release(about: About, cost: bigint): Entry {
  return entry(about, 'release', { user: cost, held: -cost })
}

function entry({ userId, id }: About, kind: EntryKind, legs: Partial<Legs>): Entry {
  const { user = 0n, held = 0n, gateway = 0n, fees = 0n, opening = 0n, losses = 0n } = legs
  assert(user + held + gateway + fees + opening + losses === 0n, 'an entry sums to zero')
  return { userId, paymentId: id, kind, user, held, gateway, fees, opening, losses }
}
