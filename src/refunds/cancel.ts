import { NO_MOVE, type GivenBackMove } from '../domain/ends.ts'
import type { Entry } from '../domain/ledger.ts'
import { CANCELED, decideCancel } from '../domain/refund.ts'
import type { Refusal } from '../domain/refusal.ts'
import { insertActs, type OperatorAct } from '../operators/acts-store.ts'
import { aboutPayment, underKey } from '../operators/under-key.ts'
import type { Operator } from '../domain/operator.ts'
import { post } from '../ledger/post.ts'
import { moveGivenBack, readWhole, type WholePayment } from '../payments/back-store.ts'
import { finishPayments, type Finish } from '../payments/store.ts'
import type { Db, Shard } from '../ports.ts'
import { deleteTasks } from '../queue/store.ts'
import { eachPart, whole } from '../each-shard.ts'
import { lockUsers } from '../users/store.ts'
import { lockSeen, type TaskSeen } from './tasks-store.ts'

type CancelAnswer =
  | { readonly kind: 'canceled'; readonly payment: WholePayment }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

/** How long a cancelation waits for locks, in milliseconds; then it is refused as `busy`. */
const LOCK_MS = 500

/**
 * Cancel payments: N ids in, N answers out, in order; one transaction per shard. Only what was
 * provably never sent ends: its task is locked, so no worker can claim it, and then its user. It
 * fails without a dead letter, its hold is given back, and a refund no longer takes anything of its
 * deposit.
 */
export async function cancelPayments(
  db: Db,
  by: Operator,
  ids: readonly bigint[],
): Promise<CancelAnswer[]> {
  const answers = new Map<bigint, CancelAnswer>()
  const parts = await eachPart(
    db,
    ids,
    (id) => id,
    async (shard, own) => {
      for (const [id, answer] of await cancelInShard(shard, by, own)) answers.set(id, answer)
    },
  )
  whole(parts)
  return ids.map((id) => answers.get(id) ?? refuse({ code: 'payment_not_found' }))
}

/** A payment was canceled, by this request or an earlier one. */
interface Canceled {
  readonly kind: 'canceled'
  readonly userId: bigint
}

/** Cancel one payment, once for the key of a request; null: it has none. */
export function cancelUnderKey(
  db: Db,
  { id, key }: { readonly id: bigint; readonly key: string | null },
  by: Operator,
) {
  const { reason } = by
  return underKey<Canceled>(
    db,
    { key, about: aboutPayment(id), act: 'cancel', fields: { reason } },
    async (own) => {
      const [answer] = await cancelPayments(db, { ...by, key: own }, [id])
      if (answer?.kind === 'canceled') return { kind: 'canceled', userId: answer.payment.userId }
      return answer ?? { kind: 'refused', refusal: { code: 'payment_not_found' } }
    },
    (_, userId) => ({ kind: 'canceled', userId }),
  )
}

function refuse(refusal: Refusal): CancelAnswer {
  return { kind: 'refused', refusal }
}

async function cancelInShard(
  shard: Shard,
  by: Operator,
  ids: readonly bigint[],
): Promise<ReadonlyMap<bigint, CancelAnswer>> {
  // Whose a payment is never changes, so this needs no lock.
  const found = await readWhole(shard, ids)
  if (found.length === 0) return new Map()
  return shard.transaction(async (tx) => {
    const own = found.map(({ id }) => id)
    const [tasks, , payments] = await Promise.all([
      lockSeen(tx, own),
      lockUsers(tx, [...new Set(found.map(({ userId }) => userId))]),
      // Behind the locks, so it is what their last holders left.
      readWhole(tx, own),
    ])
    const verdict = decide(payments, tasks)
    finishPayments(tx, verdict.finishes)
    post(tx, verdict.entries)
    moveGivenBack(tx, verdict.moves)
    deleteTasks(
      tx,
      verdict.finishes.map(({ id }) => id),
    )
    await insertActs(
      tx,
      verdict.finishes.map(({ id }) => canceled(id, by)),
    )
    return verdict.answers
  }, LOCK_MS)
}

/** The record of a payment that was canceled. */
export function canceled(paymentId: bigint, by: Operator): OperatorAct {
  const before = { payment: 'new' }
  const after = { payment: 'failed', error: CANCELED }
  return { ...by, act: 'cancel', paymentId, letterId: null, before, after }
}

/** What a batch of cancelations comes to: the answers, and everything to write. */
interface Verdict {
  readonly answers: Map<bigint, CancelAnswer>
  readonly finishes: Finish[]
  readonly entries: Entry[]
  readonly moves: GivenBackMove[]
}

function decide(payments: readonly WholePayment[], tasks: ReadonlyMap<bigint, TaskSeen>): Verdict {
  const verdict: Verdict = { answers: new Map(), finishes: [], entries: [], moves: [] }
  for (const payment of payments) {
    const { id } = payment
    const task = tasks.get(id) ?? null
    const feeReturned = payment.feeReturned ?? 0n
    // Nothing asks a gateway yet to end what it has not finished.
    const decision = decideCancel({ ...payment, feeReturned }, task, false)
    if (decision.kind === 'refused' || decision.kind === 'ask') {
      const code = decision.kind === 'ask' ? 'in_flight' : decision.refusal.code
      verdict.answers.set(id, refuse({ code, paymentId: id }))
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
