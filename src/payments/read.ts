import { exponentIn, type Exponent } from '../domain/currency.ts'
import {
  shownStatus,
  transactionStatus,
  type Payment,
  type PaymentStatus,
} from '../domain/payment.ts'
import type { Details } from '../domain/details.ts'
import type { Db, Shard } from '../ports.ts'
import { readTasks, type TaskView } from '../queue/store.ts'
import type { PaymentFilter } from './filter-store.ts'
import { lookAtPayments } from './list-store.ts'
import { readWhole, type WholePayment } from './back-store.ts'
import { detailsOf, detailsOfFirst } from './details-store.ts'
import { readPayments } from './store.ts'
import { eachPart, eachShard, partly, shardWith, whole } from '../each-shard.ts'

/** A payment as it is shown: what is stored, joined with what its task knows while it is open. */
export interface PaymentView {
  readonly payment: WholePayment
  readonly currency: string
  readonly exponent: Exponent
  readonly status: PaymentStatus
  readonly transactionStatus: 'processing' | 'success' | 'failed'
  readonly attempts: number
  readonly lastError: string | null
  /** When it is tried or looked up next; null when it is final or being processed. */
  readonly nextAt: Date | null
  /** What the payer has to do before it goes on; null: nothing. */
  readonly action: TaskView['action']
  /** What was said about it; null: nothing. */
  readonly details: Details | null
}

/** A payment of which nothing but its id is known; undefined: there is none. */
export async function findPayment(db: Db, id: bigint): Promise<Payment | undefined> {
  const [payment] = await readPayments(await shardWith(db, 'payment', id), [id])
  return payment
}

/**
 * Read payments by id, in order; null where there is none. Three statements per shard, whatever N,
 * and a fourth where some repeat others.
 */
export async function viewPayments(
  db: Db,
  ids: readonly bigint[],
): Promise<(PaymentView | null)[]> {
  const views = new Map<bigint, PaymentView>()
  const read = await eachPart(
    await db.find('payment', ids),
    ids,
    (id) => id,
    async (shard, part) => {
      const [payments, tasks, said] = await Promise.all([
        readWhole(shard, part),
        readTasks(shard, part),
        detailsOfFirst(shard, part),
      ])
      // Few repeat another, and only theirs is found by way of it.
      const repeats = payments.filter((payment) => payment.repeats !== null).map(({ id }) => id)
      const ofRepeats = await detailsOf(shard, repeats)
      for (const payment of payments) {
        const { id } = payment
        views.set(id, {
          ...view(payment, tasks.get(id)),
          currency: payment.currency ?? db.currency,
          exponent: exponentIn(payment.currency, db.currency),
          details: (payment.repeats === null ? said : ofRepeats).get(id) ?? null,
        })
      }
    },
  )
  whole(read)
  return ids.map((id) => views.get(id) ?? null)
}

/** A page of a list, and below which id the next one begins; null: there is no more. */
export interface PageOfViews {
  readonly views: readonly PaymentView[]
  readonly next: bigint | null
  /** The shards that could not be asked: their payments are not on the page. */
  readonly missing: readonly number[]
}

/**
 * A page of payments over all shards, newest first, with ids below `before`. With a filter it may
 * hold fewer than `limit`, or none, although there is a next one: a page looks at so many payments
 * only. Payments of a shard that cannot be asked are left out; it throws when none can be asked.
 */
export async function pageOfViews(
  db: Db,
  filter: PaymentFilter,
  before: bigint,
  limit: number,
): Promise<PageOfViews> {
  const shards = await shardsOf(db, filter)
  const { known: looks, missing } = partly(
    await eachShard(shards, (shard) => lookAtPayments(shard, filter, before, limit + 1)),
  )
  // Below that, a shard that was not looked through might have one that belongs in between.
  const downTo = looks.reduce((highest, look) => {
    return look.downTo !== null && look.downTo > highest ? look.downTo : highest
  }, 0n)
  const newest = looks
    .flatMap(({ payments }) => payments)
    .filter(({ id }) => id >= downTo)
    .sort((one, other) => (one.id < other.id ? 1 : -1))
  const ids = newest.slice(0, limit).map(({ id }) => id)
  const views = await viewPayments(db, ids)
  const beyond = newest.length > limit ? (ids.at(-1) ?? null) : downTo
  const shown = views.filter((one) => one !== null)
  return { views: shown, next: beyond === 0n ? null : beyond, missing }
}

/** A payment, and what came back of it, lives where its user does. */
async function shardsOf(db: Db, { userId, parentId }: PaymentFilter): Promise<readonly Shard[]> {
  if (userId !== null) return [db.of(userId)]
  return parentId === null ? db.shards : [await shardWith(db, 'payment', parentId)]
}

function view(
  payment: WholePayment,
  task: TaskView | undefined,
): Omit<PaymentView, 'details' | 'currency' | 'exponent'> {
  const { status, attempts, lastError } = payment
  const ended = transactionStatus(status)
  const common = { payment, status: shownStatus(status, task), transactionStatus: ended }
  // A task that is there says more of an open payment than its row does, and nothing of another.
  if (ended !== 'processing' || task === undefined) {
    return { ...common, attempts, lastError, nextAt: null, action: null }
  }
  const nextAt = task.leased ? null : task.runAt
  const why = lastError ?? task.lastError
  const action = status === 'new' ? task.action : null
  return { ...common, attempts: task.attempts, lastError: why, nextAt, action }
}
