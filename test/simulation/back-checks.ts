import type { FeePolicy } from '../../src/domain/fee.ts'
import { ACCOUNT_NAMES } from '../../src/domain/ledger.ts'
import { must } from './promises.ts'
import { isCorrected } from './watch-statements.ts'
import type { PaymentRow, Tables } from './tables.ts'

/** What goes back is judged by; nothing of it comes from the code under test. */
interface BackWorld {
  readonly tables: Tables
  readonly refundFee: FeePolicy
  readonly returnFee: FeePolicy
}

/** What was given back of a payment before something else was, added up from its children. */
interface Before {
  readonly reserved: bigint
  readonly feeReserved: bigint
  readonly refunded: bigint
  readonly returned: bigint
  readonly returnedFee: bigint
  /** Of what came back, whatever was won of it since: only that is bounded by nothing before. */
  readonly chargedBack: bigint
  /** Who paid for its returns: the user and we. */
  readonly paidByUser: bigint
  readonly lost: bigint
  /** What payouts that came back have paid of what they had lost us. */
  readonly wonBack: bigint
}

const NOTHING: Before = {
  reserved: 0n,
  feeReserved: 0n,
  refunded: 0n,
  returned: 0n,
  returnedFee: 0n,
  chargedBack: 0n,
  paidByUser: 0n,
  lost: 0n,
  wonBack: 0n,
}

const NOTHING_MOVED = { user: 0n, losses: 0n } as const

/**
 * Check what went back of every payment: the sums on it are those of its refunds and returns, no
 * more goes back than it came to, and each refund and return that is new is as large as it may be,
 * takes from the commission what it should, and from the user no more than is there.
 */
export function checkGivenBack(world: BackWorld, known: ReadonlyMap<bigint, PaymentRow>): void {
  const { tables } = world
  if (tables.children.rows.size === 0) return
  for (const [parentId, children] of childrenByParent(tables)) {
    const parent = tables.payments.get(parentId)
    must(parent !== undefined, 'what goes back is of a payment', parentId)
    if (parent === undefined) continue
    checkSums(parent, children, tables)
    checkBookedOnce(children)
    // In the order of their effect: what was there before, and then what is new, by ids.
    const old = children.filter(({ id }) => known.has(id))
    const fresh = children.filter(({ id }) => !known.has(id)).toSorted(byId)
    fresh.forEach((child, index) => {
      const earlier = [...old, ...fresh.slice(0, index)]
      checkArrived(world, { child, parent, before: sumsOf(earlier, tables) }, fresh.length === 1)
    })
  }
}

function byId(one: PaymentRow, other: PaymentRow): number {
  return one.id < other.id ? -1 : 1
}

function childrenByParent(tables: Tables): Map<bigint, PaymentRow[]> {
  const children = new Map<bigint, PaymentRow[]>()
  for (const { parentId, paymentId } of tables.children.rows.values()) {
    const child = tables.payments.get(paymentId)
    must(child?.parentId === parentId, 'what is listed is of the payment it is listed with', child)
    if (child === undefined) continue
    const own = children.get(parentId)
    if (own === undefined) children.set(parentId, [child])
    else own.push(child)
  }
  return children
}

function sumsOf(children: readonly PaymentRow[], tables: Tables): Before {
  const sums = { ...NOTHING } as { -readonly [Name in keyof Before]: bigint }
  for (const { id, userId, type, status, amount, feeReturned, returnKind } of children) {
    const fee = feeReturned ?? 0n
    if (type === 'refund' && status !== 'failed') {
      sums.reserved += amount
      sums.feeReserved += fee
      if (status === 'success') sums.refunded += amount
    }
    if (type !== 'return') continue
    const sign = returnKind === 'dispute_won' || returnKind === 'was_refund' ? -1n : 1n
    sums.returned += sign * amount
    sums.returnedFee += sign * fee
    sums.chargedBack += returnKind === 'charged_back' ? amount : 0n
    const { user, losses } = tables.postings.get(`${userId} ${id} settle`) ?? NOTHING_MOVED
    const payout = returnKind === 'payout_returned'
    sums.wonBack += payout ? losses : 0n
    sums.paidByUser -= payout ? 0n : user
    sums.lost -= payout ? 0n : losses
  }
  return sums
}

/** The sums on a payment, which nobody may exceed. */
function checkSums(parent: PaymentRow, children: readonly PaymentRow[], tables: Tables): void {
  const sums = sumsOf(children, tables)
  const { amount, commission } = parent
  must((parent.refundReserved ?? 0n) === sums.reserved, 'what is reserved is its refunds', parent)
  must((parent.feeReserved ?? 0n) === sums.feeReserved, 'what refunds return of the fee', parent)
  must((parent.refunded ?? 0n) === sums.refunded, 'what is refunded is its refunds', parent)
  must((parent.returned ?? 0n) === sums.returned, 'what came back is its returns', parent)
  must((parent.returnedFee ?? 0n) === sums.returnedFee, 'what returns return of the fee', parent)
  must(sums.reserved <= amount, 'no refund goes beyond its payment', parent)
  const most = amount + sums.chargedBack
  must(sums.returned >= 0n && sums.returned <= most, 'no more comes back than went', parent)
  const fees = sums.feeReserved + sums.returnedFee
  must(fees >= 0n && fees <= commission, 'no more of a commission goes back than it was', parent)
  must(sums.lost >= 0n && sums.paidByUser >= 0n, 'nobody earns from what came back', parent)
}

interface Arrival {
  readonly child: PaymentRow
  readonly parent: PaymentRow
  readonly before: Before
}

function checkArrived(world: BackWorld, arrival: Arrival, alone: boolean): void {
  const { child, parent } = arrival
  const there = parent.status === 'success' || isCorrected(world.tables, parent)
  must(there, 'only what succeeded goes back, or was corrected', child)
  must(parent.userId === child.userId, 'what goes back is of the same user', child)
  if (child.type === 'refund') checkRefund(world, arrival)
  else if (child.returnKind === 'payout_returned') checkPayout(world, arrival)
  else if (child.returnKind === 'dispute_won') checkDispute(world, arrival)
  else if (child.returnKind === 'was_refund') checkTakenBack(world, child)
  else checkChargeBack(world, arrival, alone)
}

interface Sums {
  readonly given: bigint
  readonly before: bigint
  readonly others: bigint
}

/** What of the commission `given` of a payment is worth, without `before` and `others`. */
function share({ amount, commission }: PaymentRow, { given, before, others }: Sums): bigint {
  const due = (commission * given) / amount - before
  const left = commission - before - others
  const most = due < left ? due : left
  return most > 0n ? most : 0n
}

/** Where both policies return it, one share of all that went back. */
function shareOf(world: BackWorld, parent: PaymentRow, sums: Sums, back: bigint): bigint {
  const { given, before, others } = sums
  const both = world.refundFee === 'return' && world.returnFee === 'return'
  const joint = { given: given + back, before: before + others, others: 0n }
  return share(parent, both ? joint : sums)
}

function checkRefund(world: BackWorld, { child, parent, before }: Arrival): void {
  const { amount, feeReturned, refusedFor } = child
  const { reserved, feeReserved, returned, returnedFee } = before
  must(parent.type === 'deposit', 'only a deposit is refunded', child)
  must(amount <= parent.amount - reserved - returned, 'no more is refunded than is left', child)
  const { tables, refundFee } = world
  const sums = { given: reserved + amount, before: feeReserved, others: returnedFee }
  const due = shareOf(world, parent, sums, returned)
  const fee = refundFee === 'keep' ? 0n : due < amount ? due : amount
  must(feeReturned === fee, 'a refund returns its share of the commission', child)
  if (refusedFor === null) return
  const available = tables.users.get(child.userId)?.available ?? 0n
  must(available < amount - fee, 'a no is true', child)
}

function checkPayout(world: BackWorld, { child, parent, before }: Arrival): void {
  const { id, userId, amount, feeReturned } = child
  const { returned, returnedFee, feeReserved, wonBack } = before
  must(parent.type === 'withdraw', 'only a payout comes back', child)
  const sums = { given: returned + amount, before: returnedFee, others: feeReserved }
  const fee = world.returnFee === 'keep' ? 0n : shareOf(world, parent, sums, 0n)
  must(feeReturned === fee, 'a payout that came back returns its share', child)
  const { postings } = world.tables
  const lost = -(postings.get(`${userId} ${parent.id} settle_late`)?.losses ?? 0n) - wonBack
  const paid = postings.get(`${userId} ${id} settle`)?.losses
  const all = amount + fee
  must(paid === (lost < all ? lost : all), 'a payout that comes back pays our losses first', child)
}

/** A user pays what is there, at most what the deposit is still worth; we pay the rest. */
function checkChargeBack(
  world: BackWorld,
  { child, parent, before }: Arrival,
  alone: boolean,
): void {
  const { id, userId, amount, feeReturned } = child
  // A refund that was sent counts as made; those that were not are canceled with this.
  const { reserved, returned, returnedFee, feeReserved } = before
  must(parent.type === 'deposit', 'only a deposit is charged back', child)
  const worth = parent.amount - reserved - returned
  const covered = worth < 0n ? 0n : worth < amount ? worth : amount
  const sums = { given: returned + covered, before: returnedFee, others: feeReserved }
  const { tables, returnFee } = world
  const due = covered > 0n ? shareOf(world, parent, sums, reserved) : 0n
  const fee = returnFee === 'keep' ? 0n : due < covered ? due : covered
  must(feeReturned === fee, 'a charge-back returns its share of the commission', child)
  const paid = -(tables.postings.get(`${userId} ${id} settle`)?.user ?? 0n)
  must(paid <= covered - fee, 'nobody pays twice for one deposit', child)
  const empty = tables.users.get(userId)?.available === 0n
  must(!alone || paid === covered - fee || empty, 'a loss is what a user cannot pay', child)
}

/** What went back under one reference is booked once, unless a dispute helped. */
function checkBookedOnce(children: readonly PaymentRow[]): void {
  if (children.some(({ returnKind }) => returnKind === 'dispute_won')) return
  for (const { id, type, status, gatewayRef } of children) {
    if (type !== 'refund' || status !== 'success' || gatewayRef === null) continue
    const booked = children.find((one) => one.type === 'return' && one.gatewayRef === gatewayRef)
    const back = children.find((one) => one.gatewayRef === `refund ${id}`)
    must((booked === undefined) === (back === undefined), 'what went back is booked once', id)
  }
}

/** A return that was a refund of ours is taken back whole, each account what it had moved. */
function checkTakenBack({ tables }: BackWorld, child: PaymentRow): void {
  const { id, userId, parentId, gatewayRef } = child
  const own = [...tables.payments.rows.values()].filter((one) => one.parentId === parentId)
  const refund = own.find((one) => gatewayRef === `refund ${one.id}`)
  const done = refund?.type === 'refund' && refund.status === 'success'
  must(done, 'only a refund that is done takes a return back', child)
  const booked = own.find((one) => one.type === 'return' && one.gatewayRef === refund?.gatewayRef)
  must(booked !== undefined, 'only a return under the name of a refund is taken back', child)
  if (own.some(({ returnKind }) => returnKind === 'dispute_won')) return
  const [first, back] = [booked?.id, id].map((one) =>
    tables.postings.get(`${userId} ${one} settle`),
  )
  for (const account of ACCOUNT_NAMES) {
    must(first?.[account] === -(back?.[account] ?? 0n), 'what is taken back was taken', child)
  }
}

/** Money that comes back from a dispute is for our losses first, and then the user's. */
function checkDispute({ tables }: BackWorld, { child, parent, before }: Arrival): void {
  const { id, userId, amount, feeReturned } = child
  const entry = tables.postings.get(`${userId} ${id} settle`)
  must(parent.type === 'deposit', 'a dispute is about a deposit', child)
  const lost = before.lost < amount ? before.lost : amount
  const rest = amount - lost
  const user = before.paidByUser < rest ? before.paidByUser : rest
  must(entry?.losses === lost, 'a dispute pays our losses first', child)
  must(entry?.user === user, 'a dispute pays the user next', child)
  must(feeReturned === rest - user, 'the rest of a dispute is commission', child)
}
