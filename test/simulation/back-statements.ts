import {
  ids,
  idsOrNone,
  paymentLock,
  sorted,
  texts,
  time,
  userLock,
  type Handlers,
} from './handlers.ts'
import { tell } from './event-statements.ts'
import { insertPayment, underKeys } from './statements.ts'
import { lockingTasksAs } from './task-statements.ts'
import {
  inShard,
  NOTHING_BACK,
  refuseUnless,
  type ChildRow,
  type PaymentRow,
  type Tables,
} from './tables.ts'

/** A payment as whoever gives its money back reads it. */
function parentOf(payment: PaymentRow) {
  const { id, userId, type, status, amount, commission } = payment
  return {
    id,
    userId,
    type,
    status,
    amount,
    commission,
    refundReserved: payment.refundReserved ?? 0n,
    feeReserved: payment.feeReserved ?? 0n,
    refunded: payment.refunded ?? 0n,
    returned: payment.returned ?? 0n,
    returnedFee: payment.returnedFee ?? 0n,
    currency: payment.currency,
    gateway: payment.gateway,
  }
}

function paymentsOf(tables: Tables, shard: unknown, paymentIds: unknown): PaymentRow[] {
  return sorted(ids(paymentIds)).flatMap((id) => inShard(tables.payments, id, shard) ?? [])
}

/** What every payment that gives back has, and no other. */
const GIVING = {
  commission: 0n,
  feeBps: 0,
  attempts: 0,
  redriveOf: null,
} as const

function addChild(tables: Tables, child: ChildRow): void {
  const { parentId, paymentId, ref } = child
  if (ref !== null) {
    const indexed = `${parentId} ${ref}`
    refuseUnless(tables.childRefs.get(indexed) === undefined, '23505', 'payment_children_ref')
    tables.childRefs.set(indexed, paymentId)
  }
  tables.children.set(`${parentId} ${paymentId}`, child)
}

const lockingSeen = lockingTasksAs(({ paymentId, attempts, leased, firstSentAt, pendings }) => {
  return { paymentId, attempts, leased, sent: firstSentAt !== null, pending: pendings > 0 }
})

const tasks: Handlers = {
  tasks_lock_seen: lockingSeen,
  tasks_lock_seen_free: { ...lockingSeen, skipsLocked: true },
}

const parents: Handlers = {
  payments_read_parents: {
    run: (tables, [shard, paymentIds]) => paymentsOf(tables, shard, paymentIds).map(parentOf),
  },
  payments_lock_parents: {
    locks: (tables, [shard, paymentIds]) =>
      paymentsOf(tables, shard, paymentIds).map(({ id }) => paymentLock(id)),
    run: (tables, [shard, paymentIds], { mine }) =>
      paymentsOf(tables, shard, paymentIds)
        .filter(({ id }) => mine(paymentLock(id)))
        .map(parentOf),
  },
  payments_move_given_back: {
    run(tables, [shard, , parentIds, ...columns], { free }) {
      const [reserved, fees, refunded, returned, returnedFees] = columns.map(ids)
      const before = new Map(paymentsOf(tables, shard, parentIds).map((one) => [one.id, one]))
      ids(parentIds).forEach((id, index) => {
        const payment = inShard(tables.payments, id, shard)
        if (payment === undefined) return
        // What is written on a payment of its giving back is guarded by its user's lock.
        if (!free(userLock(payment.userId)))
          throw new Error('what goes back moves only where nobody else holds the user')
        const by = (of: readonly bigint[] | undefined) => of?.[index] ?? 0n
        tables.payments.set(id, {
          ...payment,
          refundReserved: (payment.refundReserved ?? 0n) + by(reserved),
          feeReserved: (payment.feeReserved ?? 0n) + by(fees),
          refunded: (payment.refunded ?? 0n) + by(refunded),
          returned: (payment.returned ?? 0n) + by(returned),
          returnedFee: (payment.returnedFee ?? 0n) + by(returnedFees),
        })
      })
      // The checks are on the sums of a statement, as the statement adds up before it writes.
      for (const payment of paymentsOf(tables, shard, parentIds)) {
        refuseUnless(givenBackFits(payment), '23514', 'payments_given_back')
        tellBack(tables, before.get(payment.id), payment)
      }
      return []
    },
  },
}

/** Tell what went back, once for all that one statement moves. */
function tellBack(tables: Tables, before: PaymentRow | undefined, now: PaymentRow): void {
  if (before === undefined) return
  let { transitions } = now
  const changed = (field: 'refunded' | 'returned') => (now[field] ?? 0n) !== (before[field] ?? 0n)
  if (changed('refunded')) tell(tables, now, 'payment.refunded', (transitions += 1))
  if (changed('returned')) tell(tables, now, 'payment.returned', (transitions += 1))
  tables.payments.set(now.id, { ...now, transitions })
}

function givenBackFits(payment: PaymentRow): boolean {
  const { amount, commission, type } = payment
  const { refundReserved: reserved, refunded, returned } = payment
  // More than a deposit was may be charged back.
  const returnedMost = type === 'deposit' ? (returned ?? 0n) : amount
  const { feeReserved, returnedFee } = payment
  const within = (value: bigint | null, most: bigint) =>
    (value ?? 0n) >= 0n && (value ?? 0n) <= most
  return (
    within(reserved, amount) &&
    within(refunded, reserved ?? 0n) &&
    within(returned, returnedMost) &&
    within(feeReserved, commission) &&
    within(returnedFee, commission - (feeReserved ?? 0n))
  )
}

const refunds: Handlers = {
  payments_refund_shares: {
    run: (tables, [shard, paymentIds]) =>
      paymentsOf(tables, shard, paymentIds).flatMap(({ id, parentId, feeReturned }) => {
        const parent = inShard(tables.payments, parentId ?? -1n, shard)
        if (parent === undefined) return []
        const { gatewayRef: parentRef } = parent
        return [{ id, parentId, feeReturned: feeReturned ?? 0n, parentRef }]
      }),
  },
  payments_insert_refunds: {
    run(tables, values, context) {
      const [shard, at, paymentIds, userIds, parentIds, amounts, fees] = values
      const [keys, refused] = values.slice(7)
      const createdAt = time(at, context)
      ids(paymentIds).forEach((id, index) => {
        const refusedFor = texts(refused)[index] ?? null
        const parentId = ids(parentIds)[index] as bigint
        insertPayment(tables, {
          ...NOTHING_BACK,
          ...GIVING,
          shard: Number(shard),
          id,
          userId: ids(userIds)[index] as bigint,
          type: 'refund',
          status: refusedFor === null ? 'new' : 'failed',
          amount: ids(amounts)[index] as bigint,
          parentId,
          feeReturned: ids(fees)[index] as bigint,
          createdAt,
          finishedAt: refusedFor === null ? null : createdAt,
          gatewayKey: `key-${id}`,
          idempotencyKey: texts(keys)[index] ?? null,
          lastError: refusedFor === null ? null : `refused:${refusedFor}`,
          refusedFor,
          gatewayRef: null,
          currency: tables.payments.get(parentId)?.currency ?? null,
          gateway: tables.payments.get(parentId)?.gateway ?? 'http',
        })
        addChild(tables, { shard: Number(shard), parentId, paymentId: id, ref: null })
      })
      return []
    },
  },
  payments_refunds_by_keys: {
    run: (tables, values) =>
      underKeys(tables, values).map((payment) => {
        const { id, userId, type, amount, parentId, feeReturned } = payment
        const { idempotencyKey, refusedFor } = payment
        const sent = tables.details.get(id)?.sent ?? null
        const known = { id, userId, type, amount, parentId, feeReturned }
        return { ...known, idempotencyKey, refusedFor, sent }
      }),
  },
  payments_insert_refund_repeats: {
    run(tables, [shard, at, paymentIds, repeated, fees], context) {
      ids(paymentIds).forEach((id, index) => {
        const first = inShard(tables.payments, ids(repeated)[index] as bigint, shard)
        if (first === undefined) return
        const { userId, type, amount, parentId } = first
        insertPayment(tables, {
          ...NOTHING_BACK,
          ...GIVING,
          shard: first.shard,
          id,
          userId,
          type,
          status: 'new',
          amount,
          parentId,
          feeReturned: ids(fees)[index] as bigint,
          createdAt: time(at, context),
          finishedAt: null,
          gatewayKey: `key-${id}`,
          idempotencyKey: null,
          lastError: null,
          refusedFor: null,
          gatewayRef: null,
          redriveOf: first.id,
          currency: first.currency,
          gateway: first.gateway,
        })
        const child = { parentId: parentId ?? 0n, paymentId: id, ref: null }
        addChild(tables, { shard: first.shard, ...child })
      })
      return []
    },
  },
}

const returns: Handlers = {
  payments_children: {
    run: (tables, [shard, parentIds]) => {
      const asked = new Set(ids(parentIds))
      const own = [...tables.children.rows.values()].filter(({ parentId }) => asked.has(parentId))
      return own.sort(inOrder).flatMap(({ parentId, paymentId, ref }) => {
        const payment = inShard(tables.payments, paymentId, shard)
        if (payment === undefined) return []
        const { id, userId, type, status, amount, returnKind: kind } = payment
        const entry = type === 'return' ? tables.postings.get(`${userId} ${id} settle`) : undefined
        const { user = 0n, fees = 0n, losses = 0n } = entry ?? {}
        const feeReturned = payment.feeReturned ?? 0n
        const createdAt = new Date(payment.createdAt)
        const about = { parentId, id, userId, type, status, amount, feeReturned, createdAt }
        return [{ ...about, kind, ref: ref ?? payment.gatewayRef, user, fees, losses }]
      })
    },
  },
  payments_named_so: {
    run: (tables, [shard, own, userIds, types, gateways, refs]) =>
      ids(userIds).flatMap((userId, index) => {
        const [type, gateway, ref] = [types, gateways, refs].map((all) => texts(all)[index])
        const said = [...tables.acts.rows.values()]
          .filter(({ act, after }) => {
            const executed =
              act === 'correct' || (act === 'resolve' && after['payment'] === 'success')
            return executed && after['gateway_ref'] === ref
          })
          .map(({ paymentId }) => paymentId)
        const called = new Set([...said, tables.refs.get(`${gateway} ${ref}`)])
        const same = [...tables.payments.rows.values()].filter(
          (one) =>
            one.shard === shard &&
            one.type === type &&
            one.id !== ids(own)[index] &&
            (called.has(one.id) || (one.userId === userId && one.gatewayRef === ref)) &&
            (one.status !== 'failed' ||
              tables.postings.get(`${one.userId} ${one.id} settle_late`) !== undefined),
        )
        const [other] = same.map((one) => one.id).toSorted((a, b) => (a < b ? -1 : 1))
        return other === undefined ? [] : [{ userId, type, gateway, ref, other }]
      }),
  },
  payments_booked_under: {
    run: (tables, [shard, parentIds, refs]) =>
      ids(parentIds).flatMap((parentId, index) => {
        const ref = texts(refs)[index] ?? ''
        const paymentId = tables.childRefs.get(`${parentId} ${ref}`)
        const payment =
          paymentId === undefined ? undefined : inShard(tables.payments, paymentId, shard)
        if (payment === undefined) return []
        const { returnKind: kind, amount } = payment
        return [{ parentId, ref, kind, amount }]
      }),
  },
  payments_insert_returns: {
    run(tables, values, context) {
      const [shard, at, paymentIds, userIds, parentIds, refs, kinds, amounts, fees] = values
      const createdAt = time(at, context)
      ids(paymentIds).forEach((id, index) => {
        const parentId = ids(parentIds)[index] as bigint
        const ref = texts(refs)[index] ?? null
        insertPayment(tables, {
          ...NOTHING_BACK,
          ...GIVING,
          shard: Number(shard),
          id,
          userId: ids(userIds)[index] as bigint,
          type: 'return',
          status: 'success',
          amount: ids(amounts)[index] as bigint,
          parentId,
          feeReturned: idsOrNone(fees)[index] ?? null,
          returnKind: texts(kinds)[index] as PaymentRow['returnKind'],
          createdAt,
          finishedAt: createdAt,
          gatewayKey: `key-${id}`,
          idempotencyKey: null,
          lastError: null,
          refusedFor: null,
          gatewayRef: ref,
          currency: tables.payments.get(parentId)?.currency ?? null,
          gateway: tables.payments.get(parentId)?.gateway ?? 'http',
        })
        addChild(tables, { shard: Number(shard), parentId, paymentId: id, ref })
      })
      return []
    },
  },
  payments_relatives: {
    run: (tables, [shard, paymentIds]) =>
      sorted(ids(paymentIds)).flatMap((of) =>
        chainOf(tables, inShard(tables.payments, of, shard)).flatMap((payment) => {
          const { id, userId, status, gatewayRef } = payment
          const word = [...tables.acts.rows.values()].find((one) => {
            return one.paymentId === id && one.act === 'correct'
          })
          const corrected = tables.postings.get(`${userId} ${id} settle_late`) !== undefined
          const correctedAs = word?.after['gateway_ref'] ?? null
          return id === of ? [] : [{ of, id, status, gatewayRef, corrected, correctedAs }]
        }),
      ),
  },
  // No gateway of the simulator names payments by its own references, but people do.
  gateway_refs_keep: { run: () => [] },
  gateway_refs_keep_said: {
    run(tables, [, gateways, refs, paymentIds]) {
      ids(paymentIds).forEach((id, index) => {
        const name = `${texts(gateways)[index]} ${texts(refs)[index]}`
        if (tables.refs.get(name) === undefined) tables.refs.set(name, id)
      })
      return []
    },
  },
  payments_corrected_as: {
    run: (tables, [, paymentIds]) =>
      ids(paymentIds).flatMap((paymentId) => {
        const words = [...tables.acts.rows.values()].filter(
          (one) => one.paymentId === paymentId && one.act === 'correct',
        )
        const ref = words.map(({ after }) => after['gateway_ref'] ?? null).find(Boolean) ?? null
        return ref === null ? [] : [{ paymentId, ref }]
      }),
  },
  postings_corrected: {
    run: (tables, [, userIds, paymentIds]) => {
      const asked = new Set(ids(paymentIds))
      const users = new Set(ids(userIds))
      return [...tables.postings.rows.values()]
        .filter(({ kind, paymentId }) => kind === 'settle_late' && asked.has(paymentId))
        .filter(({ userId }) => users.has(userId))
        .map(({ paymentId, losses }) => ({ paymentId, losses }))
    },
  },
}

/** The payments that redrives made one of the other, the first one first. */
function chainOf(tables: Tables, payment: PaymentRow | undefined): PaymentRow[] {
  let first = payment
  while (first !== undefined && first.redriveOf !== null)
    first = tables.payments.get(first.redriveOf)
  const chain = first === undefined ? [] : [first]
  for (const { id } of chain) {
    const next = [...tables.payments.rows.values()].find(({ redriveOf }) => redriveOf === id)
    if (next !== undefined) chain.push(next)
  }
  return chain
}

function inOrder(one: ChildRow, other: ChildRow): number {
  if (one.parentId !== other.parentId) return one.parentId < other.parentId ? -1 : 1
  return one.paymentId < other.paymentId ? -1 : 1
}

/** What goes back: refunds, what came back by itself, cancelations and corrections. */
export const goingBack: Handlers = { ...tasks, ...parents, ...refunds, ...returns }
