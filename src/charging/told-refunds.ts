import {
  closeAgreeing,
  executedAfterAll,
  openLetters,
  type Agreeing,
  type NewLetter,
} from '../dead-letters/store.ts'
import { CHARGED_AFTER_FAILED } from '../domain/explain.ts'
import type { CameBack, ToldRefund } from '../domain/outcome.ts'
import type { Payment } from '../domain/payment.ts'
import { readWhole, type WholePayment } from '../payments/back-store.ts'
import { bookedUnder } from '../payments/returns-store.ts'
import type { Db, Shard } from '../ports.ts'
import { lockUsers } from '../users/store.ts'

/** What the refunds of a deposit come to that its gateway tells by our names. */
interface Compared {
  /**
   * Those that are none of ours, whatever they are called: what is to be booked of them. Of one
   * that failed, here and there, it is what takes back a return that somebody booked of it.
   */
  readonly returns: readonly CameBack[]
  /** What contradicts the books, by the gateway's references. */
  readonly wrong: readonly Contradiction[]
}

/**
 * `refund_made_after_all`: it failed here, and was made. `refund_undone`: it was made here, and
 * failed there.
 */
export interface Contradiction {
  readonly ref: string
  readonly code: 'refund_made_after_all' | 'refund_undone'
}

/**
 * Compare refunds that a gateway tells as ours with ours: names in its metadata are believed only
 * where the refund is there, of this deposit and under this key. One that failed here and was made
 * has an open letter from then on, until it is booked as a return, or fails there as well.
 */
export async function compareRefunds(
  db: Db,
  deposit: Payment,
  told: readonly ToldRefund[],
): Promise<Compared> {
  if (told.length === 0) return { returns: [], wrong: [] }
  const shard = db.of(deposit.userId)
  const stored = await readWhole(
    shard,
    told.map(({ ours }) => ours.paymentId),
  )
  const returns: CameBack[] = []
  const wrong: Contradiction[] = []
  const made: Made[] = []
  const agreeing: Agreeing[] = []
  for (const one of told) {
    const { ref, back } = one
    const refund = stored.find((named) => isSame(named, deposit, one.ours))
    const status = refund?.status
    if (status === undefined || (status === 'failed' && !one.made)) returns.push(back)
    if (status === 'success' && !one.made) wrong.push({ ref, code: 'refund_undone' })
    if (refund === undefined || status !== 'failed') continue
    if (!one.made) agreeing.push({ paymentId: refund.id, reason: 'failed' })
    else made.push({ ref, back, refund })
  }
  const unbooked = made.length === 0 ? [] : await openUnbooked(shard, deposit, made)
  for (const one of made) {
    if (unbooked.includes(one)) wrong.push({ ref: one.ref, code: 'refund_made_after_all' })
    else agreeing.push({ paymentId: one.refund.id, reason: 'returned' })
  }
  await closeOpen(shard, agreeing)
  return { returns, wrong }
}

/** A refund that failed here, and was made there. */
interface Made {
  readonly ref: string
  readonly back: CameBack
  readonly refund: WholePayment
}

/** How long the user of a deposit is waited for, in milliseconds. */
const LOCK_MS = 500

/**
 * Open the letters of refunds that were made there and are not booked as returns, and tell which
 * these are. Their user is locked, as whoever books a return has it: a return that is booked
 * meanwhile would find no letter to close, and nobody would look again.
 */
function openUnbooked(shard: Shard, deposit: Payment, made: readonly Made[]): Promise<Made[]> {
  return shard.transaction(async (tx) => {
    await lockUsers(tx, [deposit.userId])
    const booked = await bookedUnder(
      tx,
      made.map(({ ref }) => ({ parentId: deposit.id, ref })),
    )
    const known = new Map(booked.map(({ ref, amount }) => [ref, amount]))
    const unbooked = made.filter(({ ref, back }) => known.get(ref) !== back.amount)
    await openLetters(
      tx,
      unbooked.map(({ refund }) => letterOf(refund)),
    )
    return unbooked
  }, LOCK_MS)
}

/** Close the letters of refunds about which books and gateway agree by now. Few have one. */
async function closeOpen(shard: Shard, agreeing: readonly Agreeing[]): Promise<void> {
  const ids = agreeing.map(({ paymentId }) => paymentId)
  const open = new Set(await executedAfterAll(shard, ids))
  const closing = agreeing.filter(({ paymentId }) => open.has(paymentId))
  if (closing.length > 0) await shard.transaction(async (tx) => closeAgreeing(tx, closing))
}

function isSame(one: WholePayment, deposit: Payment, ours: ToldRefund['ours']): boolean {
  const { id, type, parentId, gatewayKey } = one
  const same = type === 'refund' && parentId === deposit.id
  return same && id === ours.paymentId && gatewayKey === ours.key
}

function letterOf(refund: WholePayment): NewLetter {
  const { id: paymentId, userId, amount, commission, currency, attempts } = refund
  const about = { paymentId, userId, type: 'refund', amount, commission, currency } as const
  return { ...about, attempts, class: 'unknown', error: CHARGED_AFTER_FAILED }
}
