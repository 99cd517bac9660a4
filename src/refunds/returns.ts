import assert from 'node:assert'
import type { GivenBackMove } from '../domain/ends.ts'
import type { FeePolicies } from '../domain/fee.ts'
import { formatMoney } from '../domain/money.ts'
import { CANCELED } from '../domain/cancel.ts'
import {
  decideReturns,
  returnKeyOf,
  type OpenRefund,
  type ReturnAnswer,
  type ReturnBooks,
  type ReturnDraft,
  type ReturnParent,
  type ReturnVerdict,
} from '../domain/returns.ts'
import { executedAfterAll } from '../dead-letters/store.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
import { aboutPayment, underKey } from '../operators/under-key.ts'
import type { Operator } from '../domain/operator.ts'
import { post } from '../ledger/post.ts'
import { corrections } from '../ledger/store.ts'
import {
  lockParents,
  moveGivenBack,
  readParents,
  type StoredParent,
} from '../payments/back-store.ts'
import { childrenOf, insertReturns, type Child } from '../payments/returns-store.ts'
import { findRef } from '../payments/gateway-refs-store.ts'
import { paidFor, refundRef } from '../payments/was-refund.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { finishPayments } from '../payments/store.ts'
import type { Db, Shard, Tx } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { insertWatches } from '../queue/watches-store.ts'
import { answeredByShard } from '../each-shard.ts'
import { lockUsers } from '../users/store.ts'
import { canceled } from '../operators/cancel.ts'
import { toParent } from './refund.ts'
import { lockFreeSeen, type TaskSeen } from '../queue/lock-store.ts'

export interface ReturnWorld extends FeePolicies {
  readonly db: Db
}

/** How long returns wait for locks, in milliseconds; then they are refused as `busy`. */
const LOCK_MS = 500

/**
 * Book what came back: N drafts in, N answers out, in order; one transaction per shard. What is
 * booked is final. The users are locked, then the parents. The tasks of refunds come behind them
 * and are not waited for: what somebody else has locked is in hand, so it may be sent. `isNews`
 * says whether the drafts still hold; not there: they do.
 */
export async function bookReturns(
  world: ReturnWorld,
  by: Operator,
  drafts: readonly ReturnDraft[],
  isNews?: IsNews,
): Promise<readonly ReturnAnswer[]> {
  const parentOf = ({ parentId }: ReturnDraft) => parentId
  const places = await world.db.find('payment', drafts.map(parentOf))
  return answeredByShard(places, drafts, parentOf, (shard, part) =>
    returnInShard({ world, by, isNews }, shard, part),
  )
}

type Returned =
  | { readonly kind: 'booked'; readonly id: bigint; readonly canceled: readonly bigint[] }
  | { readonly kind: 'known'; readonly paymentId: bigint }

/** Book one return, once for the key of a request; null: it has none. */
export function returnUnderKey(
  world: ReturnWorld,
  { draft, key }: { readonly draft: ReturnDraft; readonly key: string | null },
  by: Operator,
) {
  const { reason } = by
  const { parentId, kind, amount, ref } = draft
  const besides_refund = draft.besidesRefund === true ? 'true' : null
  const fields = { kind, amount: `${amount}`, gateway_ref: ref, reason, besides_refund }
  return underKey<Returned>(
    world.db,
    { key, about: aboutPayment(parentId), act: 'return', fields },
    async (stored) => {
      const [answer] = await bookReturns(world, { ...by, key: stored }, [draft])
      if (answer?.kind !== 'booked') {
        return answer ?? { kind: 'refused', refusal: { code: 'payment_not_found' } }
      }
      return { kind: 'booked', id: answer.payment.id, canceled: answer.canceled }
    },
    ({ after }) => {
      const unsent = (after['canceled'] ?? '').split(',').filter((id) => id !== '')
      return { kind: 'booked', id: BigInt(after['return'] ?? 0), canceled: unsent.map(BigInt) }
    },
  )
}

/** Whether nothing newer is known, asked behind the locks; false: all drafts are `busy`. */
type IsNews = (tx: Tx) => Promise<boolean>

async function returnInShard(
  {
    world,
    by,
    isNews,
  }: { readonly world: ReturnWorld; readonly by: Operator; readonly isNews: IsNews | undefined },
  shard: Shard,
  drafts: readonly ReturnDraft[],
): Promise<readonly ReturnAnswer[]> {
  const ids = [...new Set(drafts.map(({ parentId }) => parentId))]
  // Whose a payment is never changes, so this needs no lock.
  const found = await readParents(shard, ids)
  return shard.transaction(async (tx) => {
    const userIds = [...new Set(found.map(({ userId }) => userId))]
    const [users, parents, children, corrected, newIds] = await Promise.all([
      lockUsers(tx, userIds),
      lockParents(tx, ids),
      childrenOf(tx, ids),
      corrections(tx, userIds, ids),
      tx.ids('payment_ids', drafts.length),
    ])
    if (isNews !== undefined && !(await isNews(tx))) return drafts.map(busy)
    const open = children.filter(isOpenRefund)
    const tasks = await lockFreeSeen(
      tx,
      open.map(({ id }) => id),
    )
    const before = new Map(
      parents.map((stored) => {
        const siblings = children.filter(({ parentId }) => parentId === stored.id)
        const parent = toParent(stored, world.db.currency)
        const openRefunds = siblings.filter(isOpenRefund).map((child): OpenRefund => {
          return { ...child, task: tasks.get(child.id) ?? null }
        })
        const paid = paidFor(siblings, stored.id)
        const late = corrected.find(({ paymentId }) => paymentId === stored.id)
        // Of a withdrawal its returns have paid losses, of a deposit nothing was lost.
        const lost = late === undefined || late.losses === 0n ? 0n : paid.loss - late.losses
        const { refunded } = stored
        const refundedThere = siblings.reduce((sum, { kind, amount }) => {
          return kind === 'refunded_there' ? sum + amount : sum
        }, 0n)
        const booked = { corrected: late !== undefined, lost, paid, refundedThere }
        return [stored.id, { ...parent, ...booked, refunded, openRefunds }]
      }),
    )
    const books: ReturnBooks = {
      parents: before,
      available: new Map(users.map((user) => [user.id, user.available])),
      earlier: new Map(children.flatMap(known)),
      refunds: new Set(children.flatMap(refundRef)),
      unnamed: children.filter(isUnnamed),
      named: await namedBy(tx, drafts, parents),
      ids: newIds,
    }
    const verdict = decideReturns(drafts, books, world)
    await lookAgain(tx, verdict, { parents, children })
    await write(tx, by, verdict, { before, tasks })
    return verdict.answers
  }, LOCK_MS)
}

/**
 * What is booked may be a refund that failed here and was made there: its gateway knows, so that it
 * is asked, and the letter that says so is closed.
 */
async function lookAgain(
  tx: Tx,
  { payments }: ReturnVerdict,
  { parents, children }: { parents: readonly StoredParent[]; children: readonly Child[] },
): Promise<void> {
  const booked = new Set(payments.map(({ parentId }) => parentId))
  const failed = children.filter(({ type, status, parentId }) => {
    return type === 'refund' && status === 'failed' && booked.has(parentId)
  })
  const executed = new Set(
    await executedAfterAll(
      tx,
      failed.map(({ id }) => id),
    ),
  )
  const asked = new Set(failed.filter(({ id }) => executed.has(id)).map((one) => one.parentId))
  const wanted = parents.filter(({ id }) => asked.has(id))
  insertWatches(
    tx,
    wanted.map(({ id: paymentId, gateway }) => ({ paymentId, gateway, delayMs: 0 })),
  )
}

function busy(): ReturnAnswer {
  return { kind: 'refused', refusal: { code: 'busy' } }
}

function isOpenRefund({ type, status }: Child): boolean {
  return type === 'refund' && (status === 'new' || status === 'unknown')
}

function isUnnamed({ type, status, ref }: Child): boolean {
  return type === 'refund' && status === 'success' && ref === null
}

/** The payments that a gateway calls as people typed, by their `returnKeyOf`. */
async function namedBy(
  tx: Tx,
  drafts: readonly ReturnDraft[],
  parents: readonly StoredParent[],
): Promise<ReadonlyMap<string, bigint>> {
  const named = new Map<string, bigint>()
  for (const { parentId, ref } of drafts.filter(({ typed }) => typed === true)) {
    const parent = parents.find(({ id }) => id === parentId)
    if (parent === undefined) continue
    const { gateway, gatewayRef } = parent
    const holder = gatewayRef === ref ? parentId : await findRef(tx, gateway, ref)
    if (holder !== null) named.set(returnKeyOf(parentId, ref), holder)
  }
  return named
}

/** An earlier return, by its reference. */
function known({ parentId, id, kind, amount, ref }: Child) {
  if (ref === null || kind === null) return []
  return [[returnKeyOf(parentId, ref), { id, kind, amount }] as const]
}

async function write(
  tx: Tx,
  by: Operator,
  { answers, payments, entries, parents }: ReturnVerdict,
  {
    before,
    tasks,
  }: {
    readonly before: ReadonlyMap<bigint, ReturnParent>
    readonly tasks: ReadonlyMap<bigint, TaskSeen>
  },
): Promise<void> {
  const made = answers.flatMap((answer) => (answer.kind === 'booked' ? [answer] : []))
  const canceledBy = new Map(made.map(({ payment, canceled: ids }) => [payment.id, ids]))
  const unsent = made.flatMap((answer) => answer.canceled)
  insertReturns(tx, payments)
  finishPayments(
    tx,
    unsent.map((id) => {
      const attempts = tasks.get(id)?.attempts ?? 0
      return { id, status: 'failed', attempts, error: CANCELED, gatewayRef: null }
    }),
  )
  deleteTasks(tx, unsent)
  post(tx, entries)
  moveGivenBack(
    tx,
    parents.map((parent) => moveOf(before.get(parent.id) ?? parent, parent)),
  )
  const booked = payments.map(({ id, parentId, kind, amount, ref }) => ({
    ...by,
    act: 'return' as const,
    paymentId: parentId,
    letterId: null,
    before: { payment: before.get(parentId)?.status ?? null },
    after: {
      return: String(id),
      kind,
      amount: textOf(before.get(parentId), amount),
      gateway_ref: ref,
      ...canceledWith(canceledBy.get(id) ?? []),
    },
  }))
  await insertActs(tx, booked)
  await insertActs(
    tx,
    // The key is that of the return.
    unsent.map((id) => canceled(id, { ...by, key: null })),
  )
  // The last lock of the transaction, because everybody's minute is the same.
  noteNow(
    tx,
    payments.map(({ id }) => id),
  )
}

/** The refunds that a return canceled, as its act has them. */
function canceledWith(ids: readonly bigint[]): OperatorAct['after'] {
  return ids.length === 0 ? {} : { canceled: ids.join() }
}

function textOf(parent: ReturnParent | undefined, amount: bigint): string {
  assert(parent !== undefined, 'a return has a parent')
  return formatMoney(amount, parent.exponent)
}

function moveOf(before: ReturnParent, after: ReturnParent): GivenBackMove {
  return {
    parentId: after.id,
    refundReserved: after.refundReserved - before.refundReserved,
    feeReserved: after.feeReserved - before.feeReserved,
    refunded: after.refunded - before.refunded,
    returned: after.returned - before.returned,
    returnedFee: after.returnedFee - before.returnedFee,
  }
}
