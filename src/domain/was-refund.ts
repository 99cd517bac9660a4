import { NO_MOVE, type GivenBackMove } from './ends.ts'
import { least } from './fee.ts'
import { disputeWonEntry, type Entry, type Shares } from './ledger.ts'
import { disputeShares, returnKeyOf, type ReturnPayment } from './returns.ts'

/** A refund of ours that the gateway executed, with what the gateway calls it. */
export interface NamedRefund {
  readonly id: bigint
  readonly parentId: bigint
  readonly ref: string
}

/** A deposit with what came back of it, as it is while its user is locked. */
interface BookedParent {
  readonly id: bigint
  readonly userId: bigint
  readonly returned: bigint
  /** Who paid for its returns so far, less what came back. */
  readonly paid: Shares
}

interface TakenBackBooks {
  readonly parents: ReadonlyMap<bigint, BookedParent>
  /** What was taken by each return of money that went out, by `returnKeyOf`. */
  readonly taken: ReadonlyMap<string, Shares>
  /** What the gateway calls refunds that are done, by `returnKeyOf`. */
  readonly refunds: ReadonlySet<string>
  /** At least one unused payment id for each refund. */
  readonly ids: readonly bigint[]
}

/** What is written, so that money which moved once is booked once. */
interface TakenBack {
  readonly payments: readonly ReturnPayment[]
  readonly entries: readonly Entry[]
  readonly moves: readonly GivenBackMove[]
}

/**
 * The reference of a return that takes another one back: the refund that it really was. No
 * gateway's reference has a space in it.
 */
function refOfTakenBack(refundId: bigint): string {
  return `refund ${refundId}`
}

/**
 * Take back the returns that turn out to be refunds of ours: somebody saw such a refund at the
 * gateway and booked it as a return, while nobody knew here that it was executed. Everybody gets
 * what the return took, so that the refund alone moves money. Where a dispute has given a part of
 * it back already, what is left is given back by the rule of disputes.
 */
export function takeBackReturns(refunds: readonly NamedRefund[], books: TakenBackBooks): TakenBack {
  const parents = new Map(books.parents)
  const done = new Set(books.refunds)
  const payments: ReturnPayment[] = []
  const entries: Entry[] = []
  const moves: GivenBackMove[] = []
  for (const { id: refundId, parentId, ref } of refunds) {
    const key = returnKeyOf(parentId, ref)
    const [parent, shares] = [parents.get(parentId), books.taken.get(key)]
    // A second refund under a reference says nothing of the return, which is the first one's.
    if (parent === undefined || shares === undefined || done.has(key)) continue
    done.add(key)
    const back = sharesBack(parent, shares)
    const amount = sum(back)
    if (amount === 0n) continue
    const id = books.ids[payments.length]
    if (id === undefined) throw new Error('fewer ids than refunds')
    const { userId, returned, paid } = parent
    const about = { id, userId, type: 'return', parentId, kind: 'was_refund' } as const
    payments.push({ ...about, ref: refOfTakenBack(refundId), amount, feeReturned: back.fee })
    entries.push(disputeWonEntry({ id, userId }, back))
    moves.push({ ...NO_MOVE, parentId, returned: -amount, returnedFee: -back.fee })
    parents.set(parentId, { ...parent, returned: returned - amount, paid: less(paid, back) })
  }
  return { payments, entries, moves }
}

/** What everybody gets back of what a return took: all of it, or what disputes left of it. */
function sharesBack({ returned, paid }: BookedParent, taken: Shares): Shares {
  const whole = taken.user <= paid.user && taken.fee <= paid.fee && taken.loss <= paid.loss
  return whole ? taken : disputeShares(paid, least(sum(taken), returned))
}

function sum({ user, fee, loss }: Shares): bigint {
  return user + fee + loss
}

function less(one: Shares, other: Shares): Shares {
  return { user: one.user - other.user, fee: one.fee - other.fee, loss: one.loss - other.loss }
}
