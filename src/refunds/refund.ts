import { exponentIn } from '../domain/currency.ts'
import { keyOf, type Noted } from '../domain/acceptance.ts'
import { NO_MOVE } from '../domain/ends.ts'
import type { FeePolicies } from '../domain/fee.ts'
import {
  decideRefunds,
  type EarlierPayment,
  type Parent,
  type RefundAnswer,
  type RefundBooks,
  type RefundDraft,
  type RefundPayment,
  type RefundVerdict,
} from '../domain/refund.ts'
import { insertTasksLater } from '../dead-letters/tasks-store.ts'
import { post } from '../ledger/post.ts'
import {
  insertRefunds,
  lockParents,
  moveGivenBack,
  readParents,
  refundsByKeys,
  type KeyedRefund,
  type StoredParent,
} from '../payments/back-store.ts'
import { paymentsByReferences, writeNoted } from '../payments/details-store.ts'
import { noteNow } from '../payments/time-index-store.ts'
import { writeTraces, type Traced } from '../payments/traces-store.ts'
import { isLocked, type Db, type Shard, type Tx } from '../ports.ts'
import { answeredByShard } from '../each-shard.ts'
import { lockFreeUsers, lockUsers } from '../users/store.ts'

interface RefundWorld extends FeePolicies {
  readonly db: Db
  /** Whether a gateway carries out refunds; not there: each does. */
  readonly refundsAt?: (gateway: string) => boolean
  /** Told after each commit how many tasks were put in the queue. */
  readonly onEnqueued?: (count: number) => void
}

/** How long refunds wait for locks before those of locked users are left out, in milliseconds. */
const LOCK_MS = 500

const BUSY: RefundAnswer = { kind: 'refused', refusal: { code: 'busy' }, replayed: false }

/**
 * Accept refunds: N drafts in, N answers out, in order; one transaction per shard. The user of each
 * parent is locked, then the parent itself, so that what is refundable and what is available stay
 * as they are read. Those of users whom somebody else has locked for longer are answered `busy`.
 */
export async function acceptRefunds(
  world: RefundWorld,
  drafts: readonly RefundDraft[],
): Promise<readonly RefundAnswer[]> {
  const parentOf = ({ parentId }: RefundDraft) => parentId
  const places = await world.db.find('payment', drafts.map(parentOf))
  return answeredByShard(places, drafts, parentOf, (shard, part) =>
    refundInShard(world, shard, part),
  )
}

async function refundInShard(
  world: RefundWorld,
  shard: Shard,
  drafts: readonly RefundDraft[],
): Promise<readonly RefundAnswer[]> {
  // Whose a payment is never changes, so this needs no lock.
  const parents = await readParents(shard, [...new Set(drafts.map(({ parentId }) => parentId))])
  const userOf = new Map(parents.map(({ id, userId }) => [id, userId]))
  const attempt = (lock: typeof lockUsers) =>
    shard.transaction(async (tx) => {
      const users = await lock(tx, [...new Set(userOf.values())])
      const available = new Map(users.map((user) => [user.id, user.available]))
      const free = drafts.filter(({ parentId }) => {
        const userId = userOf.get(parentId)
        return userId === undefined || available.has(userId)
      })
      const books = await readBooks(world, tx, free, userOf)
      const verdict = decideRefunds(free, { ...books, available }, world)
      write(tx, verdict)
      writeTraces(tx, tracesOf(free, verdict.answers))
      const given = new Map(free.map((draft, index) => [draft, verdict.answers[index]]))
      return { verdict, answers: drafts.map((draft) => given.get(draft) ?? BUSY) }
    }, LOCK_MS)
  const { verdict, answers } = await attempt(lockUsers).catch((error: unknown) => {
    if (!isLocked(error)) throw error
    return attempt(lockFreeUsers)
  })
  if (verdict.holds.length > 0) world.onEnqueued?.(verdict.holds.length)
  return answers
}

/** The traces of those drafts that became refunds now. */
function tracesOf(drafts: readonly RefundDraft[], answers: readonly RefundAnswer[]): Traced[] {
  return drafts.flatMap(({ traceparent }, place) => {
    const answer = answers[place]
    if (traceparent === undefined || answer?.kind !== 'accepted' || answer.replayed) return []
    return [{ paymentId: answer.payment.id, traceparent }]
  })
}

/** What the decisions depend on; the users are locked. */
async function readBooks(
  world: RefundWorld,
  tx: Tx,
  drafts: readonly RefundDraft[],
  userOf: ReadonlyMap<bigint, bigint>,
): Promise<Omit<RefundBooks, 'available'>> {
  const keyed = drafts.flatMap(({ parentId, idempotencyKey: key }) => {
    const userId = userOf.get(parentId)
    return userId === undefined || key === null ? [] : [{ userId, key }]
  })
  const referenced = drafts.flatMap(({ parentId, reference = null }) => {
    const userId = userOf.get(parentId)
    return userId === undefined || reference === null ? [] : [{ userId, reference }]
  })
  const [parents, earlier, references, ids] = await Promise.all([
    lockParents(tx, [...userOf.keys()]),
    refundsByKeys(tx, keyed),
    paymentsByReferences(tx, referenced),
    tx.ids('payment_ids', drafts.length),
  ])
  return {
    refundsAt: world.refundsAt ?? (() => true),
    parents: new Map(parents.map((parent) => [parent.id, toParent(parent, world.db.currency)])),
    earlier: new Map(earlier.map((made) => [keyOf(made.userId, made.idempotencyKey), known(made)])),
    references: new Map(
      references.map(({ userId, reference, paymentId }) => [keyOf(userId, reference), paymentId]),
    ),
    ids,
  }
}

/** A parent with the exponent of its user's currency. */
export function toParent(stored: StoredParent, books: string): Parent {
  return { ...stored, exponent: exponentIn(stored.currency, books) }
}

function known(made: KeyedRefund): EarlierPayment {
  const { id, type, userId, parentId, amount, feeReturned, idempotencyKey } = made
  if (type !== 'refund') return { id, type }
  const refusedFor = made.refusedFor === null ? null : 'insufficient_funds'
  // A refund has both, by the checks of its table; its document is the one that was written.
  return {
    id,
    type,
    userId,
    amount,
    idempotencyKey,
    refusedFor,
    parentId: parentId ?? 0n,
    feeReturned: feeReturned ?? 0n,
    said: { reason: '', reference: null, metadata: null },
    sent: made.sent ?? {},
  }
}

/** What was said about a refund: its description is why it was made. */
function noted({ id, userId, refusedFor, said, sent }: RefundPayment): Noted {
  const { reason: description, reference, metadata } = said
  const details = { reference, description, metadata, paymentMethod: null, returnUrl: null }
  return { id, userId, live: refusedFor === null, details, sent }
}

function write(tx: Tx, { payments, holds, reserved }: RefundVerdict): void {
  insertRefunds(tx, payments)
  writeNoted(tx, payments.map(noted))
  insertTasksLater(
    tx,
    holds.map(({ paymentId }) => ({ paymentId, operation: 'refund', delayMs: 0 })),
  )
  post(tx, holds)
  moveGivenBack(
    tx,
    reserved.map(({ parentId, amount, fee }) => {
      return { ...NO_MOVE, parentId, refundReserved: amount, feeReserved: fee }
    }),
  )
  // The last lock of the transaction, because everybody's minute is the same.
  noteNow(
    tx,
    payments.map(({ id }) => id),
  )
}
