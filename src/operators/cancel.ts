import { NO_MOVE, type GivenBackMove } from '../domain/ends.ts'
import type { Entry } from '../domain/ledger.ts'
import { CANCELED, decideCancel } from '../domain/cancel.ts'
import { isOpen } from '../domain/payment.ts'
import type { Refusal } from '../domain/refusal.ts'
import { insertActs, type OperatorAct } from './acts-store.ts'
import { aboutPayment, underKey } from './under-key.ts'
import type { Operator } from '../domain/operator.ts'
import { post } from '../ledger/post.ts'
import { moveGivenBack, readWhole, type WholePayment } from '../payments/back-store.ts'
import { findPayment } from '../payments/read.ts'
import { finishPayments, type Finish } from '../payments/store.ts'
import type { Db, Shard } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { answeredByShard, onceStored } from '../each-shard.ts'
import { lockUsers } from '../users/store.ts'
import { lockSeen, type TaskSeen } from '../queue/lock-store.ts'

type CancelAnswer =
  | { readonly kind: 'canceled' | 'ask'; readonly payment: WholePayment }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** How long a cancelation waits for locks, in milliseconds; then it is refused as `busy`. */
const LOCK_MS = 500

/**
 * Cancel payments: N ids in, N answers out, in order; one transaction per shard. Only what was
 * provably never sent ends: its task is locked, so no worker can claim it, and then its user. It
 * fails without a dead letter, its hold is given back, and a refund no longer takes anything of its
 * deposit. What its gateway has in hand is answered with `ask` where it can be asked, and kept as
 * wanted: nothing else of it changes.
 */
export async function cancelPayments(
  db: Db,
  by: Operator,
  ids: readonly bigint[],
  asks = false,
): Promise<CancelAnswer[]> {
  const places = await db.find('payment', ids)
  return answeredByShard(
    places,
    ids,
    (id) => id,
    async (shard, part) => {
      const answers = await cancelInShard(shard, { by, asks }, part)
      return part.map((id) => answers.get(id) ?? refuse({ code: 'payment_not_found' }))
    },
  )
}

/** A payment was canceled, by this request or an earlier one, or its gateway is to be asked. */
interface Canceled {
  readonly kind: 'canceled' | 'ask'
  readonly userId: bigint
}

export interface CancelWorld {
  readonly db: Db
  /** Ask its gateway to end a payment that it has in hand, if it can be asked now. */
  readonly end: (id: bigint, traceparent?: string) => Promise<void>
}

/**
 * Cancel one payment, once for the key of a request; null: it has none. What its gateway has in
 * hand is ended by its word alone: without one the same request asks again.
 */
export async function cancelUnderKey(
  world: CancelWorld,
  { id, key }: { readonly id: bigint; readonly key: string | null },
  by: Operator,
) {
  const { db } = world
  const { reason } = by
  const { answer, replayed } = await underKey<Canceled>(
    db,
    { key, about: aboutPayment(id), act: 'cancel', fields: { reason } },
    async (stored) => {
      const [made] = await cancelPayments(db, { ...by, key: stored }, [id], true)
      if (made === undefined) return { kind: 'refused', refusal: { code: 'payment_not_found' } }
      return made.kind === 'refused' ? made : { kind: made.kind, userId: made.payment.userId }
    },
    ({ after }, userId) => ({ kind: WANTED in after ? 'ask' : 'canceled', userId }),
  )
  if (answer.kind !== 'ask') return { answer, replayed }
  const refusal = await onceStored(() => endThere(world, id))
  return refusal === null
    ? { answer: { ...answer, kind: 'canceled' as const }, replayed }
    : { answer: { kind: 'refused' as const, refusal }, replayed }
}

/** What the record of a cancelation has where its gateway has to end the payment. */
const WANTED = 'wanted'

/** Have a payment ended by its gateway; null: it ended it, now or before. */
async function endThere({ db, end }: CancelWorld, paymentId: bigint): Promise<Refusal | null> {
  const before = await findPayment(db, paymentId)
  if (before !== undefined && isOpen(before.status)) await end(paymentId)
  const after = await findPayment(db, paymentId)
  if (after === undefined || isOpen(after.status)) return { code: 'not_ended', paymentId }
  if (after.status === 'failed' && after.lastError === CANCELED) return null
  return { code: 'payment_final', paymentId }
}

function refuse(refusal: Refusal): CancelAnswer {
  return { kind: 'refused', refusal }
}

async function cancelInShard(
  shard: Shard,
  { by, asks }: { readonly by: Operator; readonly asks: boolean },
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, CancelAnswer>> {
  // Whose a payment is never changes, so this needs no lock.
  const found = await readWhole(shard, ids)
  if (found.length === 0) return new Map()
  return shard.transaction(async (tx) => {
    const foundIds = found.map(({ id }) => id)
    const [tasks, , payments] = await Promise.all([
      lockSeen(tx, foundIds),
      lockUsers(tx, [...new Set(found.map(({ userId }) => userId))]),
      // Behind the locks, so it is what their last holders left.
      readWhole(tx, foundIds),
    ])
    const verdict = decide(payments, tasks, asks)
    finishPayments(tx, verdict.finishes)
    post(tx, verdict.entries)
    moveGivenBack(tx, verdict.moves)
    deleteTasks(
      tx,
      verdict.finishes.map(({ id }) => id),
    )
    await insertActs(tx, [
      ...verdict.finishes.map(({ id }) => canceled(id, by)),
      ...verdict.asked.map((payment) => wanted(payment, by)),
    ])
    return verdict.answers
  }, LOCK_MS)
}

/** The record of a payment that was canceled. */
export function canceled(paymentId: bigint, by: Operator): OperatorAct {
  const before = { payment: 'new' }
  const after = { payment: 'failed', error: CANCELED }
  return { ...by, act: 'cancel', paymentId, letterId: null, before, after }
}

/** The record of a payment whose gateway is to be asked to end it: written before it is asked. */
function wanted({ id: paymentId, status }: WholePayment, by: Operator): OperatorAct {
  const after = { payment: status, [WANTED]: CANCELED }
  return { ...by, act: 'cancel', paymentId, letterId: null, before: { payment: status }, after }
}

/** What a batch of cancelations comes to: the answers, and everything to write. */
interface Verdict {
  readonly answers: Map<bigint, CancelAnswer>
  readonly finishes: Finish[]
  readonly entries: Entry[]
  readonly moves: GivenBackMove[]
  readonly asked: WholePayment[]
}

function decide(
  payments: readonly WholePayment[],
  tasks: ReadonlyMap<bigint, TaskSeen>,
  asks: boolean,
): Verdict {
  const verdict: Verdict = { answers: new Map(), finishes: [], entries: [], moves: [], asked: [] }
  for (const payment of payments) {
    const { id } = payment
    const task = tasks.get(id) ?? null
    const feeReturned = payment.feeReturned ?? 0n
    const decision = decideCancel({ ...payment, feeReturned }, task, asks)
    if (decision.kind === 'refused') {
      verdict.answers.set(id, refuse({ code: decision.refusal.code, paymentId: id }))
      continue
    }
    if (decision.kind === 'ask') {
      verdict.answers.set(id, { kind: 'ask', payment })
      verdict.asked.push(payment)
      continue
    }
    verdict.answers.set(id, { kind: 'canceled', payment })
    if (decision.kind === 'canceled') continue
    const attempts = task?.attempts ?? payment.attempts
    verdict.finishes.push({ id, status: 'failed', attempts, error: CANCELED, gatewayRef: null })
    verdict.entries.push(...decision.entries)
    const { unreserved } = decision
    if (unreserved === null) continue
    const { parentId, amount, fee } = unreserved
    verdict.moves.push({ ...NO_MOVE, parentId, refundReserved: amount, feeReserved: fee })
  }
  return verdict
}
