import { openLetters } from '../dead-letters/store.ts'
import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import type { LookupOutcome } from '../domain/outcome.ts'
import type { Payment } from '../domain/payment.ts'
import { corrections } from '../ledger/store.ts'
import { readShares } from '../payments/back-store.ts'
import { childrenOf } from '../payments/returns-store.ts'
import { isLocked, type Db, type Gateway, type Runner, type Tx } from '../ports.ts'
import { holdWatch, type ClaimedWatch } from '../queue/watches-store.ts'
import { lockUsers } from '../users/store.ts'
import { requestOf } from './charge.ts'

/** How long a look waits for the lock of a user, in milliseconds; then it is put off. */
const LOCK_MS = 500

/** A failed payment that is looked at, claimed. */
interface FailedClaim {
  readonly watch: ClaimedWatch
  readonly payment: Payment
  readonly traceparent?: string
}

/**
 * What a look at one came to. `charged`: it was executed, under `ref`. `reason`: why the gateway
 * did not say.
 */
interface FailedSeen {
  readonly what: 'nothing' | 'charged' | 'put_off' | 'no_word'
  readonly ref?: string | null
  readonly reason?: string
  readonly retryAfterMs?: number
}

/** Why a gateway did not say, and how long it is to be left alone, if it asked for that. */
export function whyNoWord({
  reason,
  retryAfterMs,
}: Extract<LookupOutcome, { readonly kind: 'no_answer' | 'misconfigured' }>) {
  return typeof retryAfterMs === 'number' ? { reason, retryAfterMs } : { reason }
}

/**
 * Look at a payment that failed here and was sent, because its gateway sent a notice about it. A
 * final state is never left: where the gateway says that it executed the payment, that has an open
 * letter from then on, as after a late yes.
 */
export async function lookAtFailed(
  db: Db,
  gateway: Gateway,
  { watch: held, payment, traceparent }: FailedClaim,
): Promise<FailedSeen> {
  const { userId, createdAt: sentAt } = payment
  const shard = db.of(userId)
  const asked = await placed(shard, payment, traceparent)
  const { outcome } = await gateway.lookup({
    ...requestOf(asked, db.currency),
    watched: true,
    sentAt,
  })
  if (outcome.kind === 'no_answer' || outcome.kind === 'misconfigured') {
    return { what: 'no_word', ...whyNoWord(outcome) }
  }
  if (outcome.kind !== 'success') return { what: 'nothing' }
  const { gatewayRef: ref } = outcome
  const tell = async (tx: Tx): Promise<FailedSeen> => {
    await lockUsers(tx, [userId])
    const known = !(await holdWatch(tx, held)) || (await isBooked(tx, payment, ref))
    if (known) return { what: 'nothing' }
    await openLetters(tx, [letterOf(payment)])
    return { what: 'charged', ref }
  }
  try {
    return await shard.transaction(tell, LOCK_MS)
  } catch (error) {
    if (!isLocked(error)) throw error
    return { what: 'put_off' }
  }
}

/** A payment with all that its gateway is asked by. */
async function placed(shard: Runner, payment: Payment, traceparent: string | undefined) {
  const traced = traceparent === undefined ? { payment } : { payment, traceparent }
  if (payment.type !== 'refund') return traced
  const refund = (await readShares(shard, [payment.id])).get(payment.id)
  return refund === undefined ? traced : { ...traced, refund }
}

/** Behind the lock of its user: that it was executed is booked, as a correction or as a return. */
async function isBooked(
  tx: Tx,
  { id, userId, type }: Payment,
  gatewayRef: string | null,
): Promise<boolean> {
  if (type !== 'refund') return (await corrections(tx, [userId], [id])).length > 0
  const parentId = (await readShares(tx, [id])).get(id)?.parentId
  const children = parentId === undefined ? [] : await childrenOf(tx, [parentId])
  return children.some(({ ref, type: is }) => is === 'return' && ref === gatewayRef)
}

function letterOf({ id, userId, type, amount, commission, currency, attempts }: Payment) {
  const about = { paymentId: id, userId, type, amount, commission, currency, attempts }
  return { ...about, class: 'unknown', error: CHARGED_AFTER_FAILED } as const
}
