import type { Shares } from '../domain/ledger.ts'
import { returnKeyOf } from '../domain/returns.ts'
import { takeBackReturns, type NamedRefund } from '../domain/was-refund.ts'
import { post } from '../ledger/post.ts'
import type { Tx } from '../ports.ts'
import { lockParents, moveGivenBack } from './back-store.ts'
import { bookedUnder, childrenOf, insertReturns, type Child } from './returns-store.ts'

/**
 * Take back the returns that refunds turn out to be, which end well now under a reference that is
 * booked as a return. Called before the refunds are finished; their users are locked, so nobody
 * books a return meanwhile. Almost never is there one: then it costs one probe of an index. Tells
 * which payments are new: the caller notes them, as the last lock of its transaction.
 */
export async function takeBackBooked(
  tx: Tx,
  refunds: readonly NamedRefund[],
): Promise<readonly bigint[]> {
  const booked = await bookedUnder(tx, refunds)
  if (booked.length === 0) return []
  const parentIds = [...new Set(booked.map(({ parentId }) => parentId))]
  const [parents, children, ids] = await Promise.all([
    lockParents(tx, parentIds),
    childrenOf(tx, parentIds),
    tx.ids('payment_ids', refunds.length),
  ])
  const { payments, entries, moves } = takeBackReturns(refunds, {
    parents: new Map(parents.map((one) => [one.id, { ...one, paid: paidFor(children, one.id) }])),
    taken: new Map(children.flatMap(takenBy)),
    refunds: new Set(children.flatMap(refundRef)),
    ids,
  })
  insertReturns(tx, payments)
  post(tx, entries)
  moveGivenBack(tx, moves)
  return payments.map(({ id }) => id)
}

/** Who paid for the returns of a payment so far, less what came back from disputes. */
export function paidFor(children: readonly Child[], parentId: bigint): Shares {
  const returns = children.filter((child) => child.type === 'return' && child.parentId === parentId)
  return returns.map(sharesOf).reduce(
    (sum, { user, fee, loss }) => {
      return { user: sum.user + user, fee: sum.fee + fee, loss: sum.loss + loss }
    },
    { user: 0n, fee: 0n, loss: 0n },
  )
}

/** What the gateway calls a refund that did not fail, where it has said so. */
export function refundRef({ type, status, parentId, ref }: Child): string[] {
  return type === 'refund' && status !== 'failed' && ref !== null
    ? [returnKeyOf(parentId, ref)]
    : []
}

function sharesOf({ user, fees, losses }: Child): Shares {
  return { user: -user, fee: -fees, loss: -losses }
}

/** Money that went out by itself, under its reference, and who paid for it. */
function takenBy(child: Child) {
  const { kind, ref, parentId } = child
  const out = kind === 'charged_back' || kind === 'refunded_there'
  return out && ref !== null ? [[returnKeyOf(parentId, ref), sharesOf(child)] as const] : []
}
