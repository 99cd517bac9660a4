import {
  BUSY,
  decideBatch,
  keyOf,
  type Answer,
  type Books,
  type PaymentDraft,
  type Gateways,
  type Terms,
  type AcceptanceVerdict,
} from '../domain/acceptance.ts'
import { exponentOf } from '../domain/currency.ts'
import { feeIn, type Fees } from '../domain/fee.ts'
import type { BookedType } from '../domain/payment.ts'
import { isLocked, type Runner, type Shard, type Tx } from '../ports.ts'
import { lockFreeUsers, lockUsers, readUsers, type Spendable } from '../users/store.ts'
import { paymentsByReferences, sentOf, writeNoted } from './details-store.ts'
import { writeAccepted } from './accept-store.ts'
import { paymentsByKeys } from './store.ts'
import { writeTraces, type Traced } from './traces-store.ts'

interface AcceptWorld {
  readonly shard: Shard
  /** The currency of the books. */
  readonly currency: string
  readonly fees: Fees
  /** Where payments go; not there: to the one gateway there is. */
  readonly gateways?: Gateways
  /** Told after each commit how many tasks were put in the queue. */
  readonly onEnqueued?: (count: number) => void
  /** Whether drafts may have a place in a trace, which is then kept with their payments. */
  readonly traced?: boolean
  /** Told after each commit which payments were written, in order of their ids. */
  readonly onWritten?: (payments: AcceptanceVerdict['payments']) => void
}

/** How a batch treats users whose rows somebody else has locked. */
interface Patience {
  /** How long it waits for them, in milliseconds; then it leaves them out. */
  readonly lockMs: number
  /**
   * Told who is left out, before `onDecided`. Their drafts are answered `busy`: nothing was done.
   */
  readonly onBusy?: (userIds: ReadonlySet<bigint>) => void
}

/** Accepts drafts: N in, N answers out, in order. */
export type Accept = (
  drafts: readonly PaymentDraft[],
  onDecided?: () => void,
  patience?: Patience,
) => Promise<readonly Answer[]>

/**
 * Make the operation that accepts payments of one shard: N drafts in, N answers out, in order.
 *
 * The drafts are one transaction of two round trips, whatever N: lock and read what the decisions
 * depend on; decide in pure functions; write payments, tasks and holds together, so an accepted
 * payment is always in the queue and an answered key never hangs "in progress". Throws
 * `Unavailable` or `Busy` (nothing was written) or `CommitUnknown` (it may have been; the retry
 * finds out).
 *
 * `onDecided` is called when everything has been read and the writes are on their way. The next
 * drafts may be accepted from then on: where they depend on these, they wait for the locks of
 * these. It is called again when the transaction has to be repeated.
 *
 * With `patience` no draft waits long for a user that is not its own: when locks cannot be had in
 * that time, the drafts of the users that are locked are left out and answered `busy`, and those of
 * all others are accepted. Without it the database's own limit holds, and ends the whole batch.
 */
export function acceptor(world: AcceptWorld): Accept {
  const { shard, currency, fees, gateways, onEnqueued, onWritten, traced = false } = world
  const routed = gateways === undefined ? {} : { gateways }
  const home = termsIn(currency, fees)
  // Ids that a batch took and did not use, kept for the next one so that replays leave no gaps; and
  // how many batches have begun, because ids that are older than those of another batch would come
  // too late.
  let spare: readonly bigint[] = []
  let begun = 0

  return async (drafts, onDecided = () => undefined, patience) => {
    const turn = (begun += 1)
    let ids = spare.slice(0, drafts.length)
    spare = spare.slice(drafts.length)
    const left = leftOut(patience)
    const attempt = (read: typeof readBooks, lockMs?: number) =>
      shard.transaction(async (tx) => {
        const [books, taken] = await Promise.all([
          read(tx, drafts),
          tx.ids('payment_ids', drafts.length - foreignOf(drafts, home) - ids.length),
        ])
        // What is kept from the batch before may be newer: a reserve is older than both.
        ids = inOrder([...ids, ...taken])
        left.note(books.busy)
        const elsewhere = termsElsewhere(books.users, fees)
        // Only where some account is in another currency, and its amount is none of the books'.
        if (elsewhere.size > 0 && ids.length < drafts.length) {
          ids = inOrder([...ids, ...(await tx.ids('payment_ids', drafts.length - ids.length))])
        }
        const decided = decideBatch(
          left.without(drafts),
          { ...books, ...routed, ids, elsewhere },
          home,
        )
        writeAccepted(tx, decided, fees.bps)
        writeNoted(tx, decided.noted)
        if (traced) writeTraces(tx, tracesOf(left.without(drafts), decided.answers))
        onDecided()
        return decided
      }, lockMs)
    const verdict = await waitingLittle(attempt, patience)
    const unused = ids.slice(verdict.idsUsed)
    spare = turn === begun ? [...unused, ...spare] : []
    const queued = verdict.payments.filter((payment) => payment.refusedFor === null).length
    if (queued > 0) onEnqueued?.(queued)
    onWritten?.(verdict.payments)
    return left.answers(drafts, verdict)
  }
}

function inOrder(ids: readonly bigint[]): bigint[] {
  return ids.toSorted((one, other) => (one < other ? -1 : 1))
}

/**
 * Wait for locks only a moment: a lock that an own batch holds is free again by then. One that is
 * not belongs to somebody who takes longer, and is left out by the second attempt.
 */
async function waitingLittle(
  attempt: (read: typeof readBooks, lockMs?: number) => Promise<AcceptanceVerdict>,
  patience: Patience | undefined,
): Promise<AcceptanceVerdict> {
  if (patience === undefined) return attempt(readBooks)
  try {
    if (patience.lockMs > 0) return await attempt(readBooks, patience.lockMs)
  } catch (error) {
    if (!isLocked(error)) throw error
  }
  return attempt(readFreeBooks)
}

/** Who is left out of a batch. Whoever is, stays so when the transaction has to be repeated. */
function leftOut(patience: Patience | undefined) {
  const out = new Set<bigint>()
  return {
    note(busy: ReadonlySet<bigint>): void {
      const before = out.size
      for (const userId of busy) out.add(userId)
      if (out.size > before) patience?.onBusy?.(out)
    },
    without: (drafts: readonly PaymentDraft[]): readonly PaymentDraft[] =>
      out.size === 0 ? drafts : drafts.filter(({ userId }) => !out.has(userId)),
    answers(drafts: readonly PaymentDraft[], { answers }: AcceptanceVerdict): readonly Answer[] {
      if (out.size === 0) return answers
      const given = answers.values()
      return drafts.map(({ userId }) => (out.has(userId) ? BUSY : (given.next().value ?? BUSY)))
    },
  }
}

/** The traces of those drafts that became payments now. */
function tracesOf(drafts: readonly PaymentDraft[], answers: readonly Answer[]): Traced[] {
  return drafts.flatMap(({ traceparent }, place) => {
    const answer = answers[place]
    if (traceparent === undefined || answer?.kind !== 'accepted' || answer.replayed) return []
    return [{ paymentId: answer.payment.id, traceparent }]
  })
}

/** What a batch is decided on, and whose drafts cannot be decided. */
interface BooksRead extends Omit<Books, 'ids' | 'elsewhere'> {
  readonly users: readonly Spendable[]
  readonly busy: ReadonlySet<bigint>
}

const NOBODY: ReadonlySet<bigint> = new Set()

/**
 * Lock and read what a batch depends on. Users are locked where money is held or a key must be
 * unique: then no other batch can decide on the same balance or key. Key lookups come after the
 * locks, as a statement of their own, so they see what the lock's last holder committed.
 */
async function readBooks(tx: Tx, drafts: readonly PaymentDraft[]): Promise<BooksRead> {
  const { locked, free, keys } = dependencies(drafts)
  const [lockedUsers, freeUsers, earlier, references] = await Promise.all([
    lockUsers(tx, [...locked]),
    readUsers(tx, [...free]),
    earlierPayments(tx, keys),
    referencesOf(tx, drafts),
  ])
  const users = [...lockedUsers, ...freeUsers]
  return { available: availableOf(users), ...earlier, references, users, busy: NOBODY }
}

/** The same without waiting for anybody: users that somebody else has locked are `busy`. */
async function readFreeBooks(tx: Tx, drafts: readonly PaymentDraft[]): Promise<BooksRead> {
  const { locked, free, keys } = dependencies(drafts)
  const [lockedUsers, all, earlier, references] = await Promise.all([
    lockFreeUsers(tx, [...locked]),
    readUsers(tx, [...locked, ...free]),
    earlierPayments(tx, keys),
    referencesOf(tx, drafts),
  ])
  const busy = new Set<bigint>()
  for (const { id } of all) if (locked.has(id)) busy.add(id)
  for (const { id } of lockedUsers) busy.delete(id)
  const users = [...lockedUsers, ...all.filter(({ id }) => !locked.has(id))]
  return { available: availableOf(users), ...earlier, references, users, busy }
}

/**
 * Whether a draft locks its user: it spends, or its key or reference must be unique. Two batches
 * with drafts of the same locked user would wait for each other.
 */
export function locksUser({ type, idempotencyKey, given }: PaymentDraft): boolean {
  return type === 'withdraw' || idempotencyKey !== null || given !== undefined
}

/** Which users a batch has to lock, which it has only to know, and which keys it has to look up. */
function dependencies(drafts: readonly PaymentDraft[]) {
  const locked = new Set<bigint>()
  const keys = new Map<string, { userId: bigint; key: string }>()
  for (const draft of drafts) {
    const { userId, idempotencyKey: key } = draft
    if (locksUser(draft)) locked.add(userId)
    if (key !== null) keys.set(keyOf(userId, key), { userId, key })
  }
  const free = new Set<bigint>()
  for (const { userId } of drafts) if (!locked.has(userId)) free.add(userId)
  return { locked, free, keys }
}

/** What accounts in a currency are decided on. */
function termsIn(currency: string, fees: Fees): Terms {
  const exponent = exponentOf(currency)
  if (exponent === undefined) throw new Error(`${currency} is no currency of ISO 4217`)
  return { currency, exponent, fee: feeIn(fees, currency) }
}

/** How many drafts have an amount that is none of the books' currency: they need no id there. */
function foreignOf(drafts: readonly PaymentDraft[], { exponent }: Terms): number {
  let count = 0
  for (const { asked } of drafts) {
    if (asked?.currency === null && asked.amount.scale > exponent) count += 1
  }
  return count
}

const NOWHERE: ReadonlyMap<bigint, Terms> = new Map()

/** The terms of users whose accounts are not in the books' currency: mostly of nobody. */
function termsElsewhere(users: readonly Spendable[], fees: Fees): ReadonlyMap<bigint, Terms> {
  let terms: Map<bigint, Terms> | null = null
  for (const { id, currency } of users) {
    if (currency === null) continue
    terms ??= new Map()
    terms.set(id, termsIn(currency, fees))
  }
  return terms ?? NOWHERE
}

function availableOf(users: readonly Spendable[]): Map<bigint, bigint> {
  return new Map(users.map((user) => [user.id, user.available]))
}

/** The payments first made under these keys, and what was said about them then. */
async function earlierPayments(
  tx: Runner,
  keys: ReadonlyMap<string, { userId: bigint; key: string }>,
): Promise<Pick<Books, 'earlier' | 'sent'>> {
  const payments = await paymentsByKeys(tx, [...keys.values()])
  const earlier = new Map(
    payments.map((payment) => [keyOf(payment.userId, payment.idempotencyKey ?? ''), payment]),
  )
  // Only a repeated key needs this, and few are. A refund has other fields under the same names.
  const alike = payments.filter(({ type }: { readonly type: BookedType }) => type !== 'refund')
  const sent = await sentOf(
    tx,
    alike.map(({ id }) => id),
  )
  return { earlier, sent }
}

/** The payments that have the references of these drafts; behind the locks, as those by keys. */
async function referencesOf(
  tx: Runner,
  drafts: readonly PaymentDraft[],
): Promise<ReadonlyMap<string, bigint>> {
  const wanted: { userId: bigint; reference: string }[] = []
  for (const { userId, given } of drafts) {
    const reference = given?.details.reference ?? null
    if (reference !== null) wanted.push({ userId, reference })
  }
  const taken = await paymentsByReferences(tx, wanted)
  return new Map(
    taken.map(({ userId, reference, paymentId }) => [keyOf(userId, reference), paymentId]),
  )
}
