import { TRANSITIONS } from '../../src/domain/payment.ts'
import type { Sequence } from '../../src/ports.ts'
import {
  count,
  inShard,
  NOTHING_BACK,
  refuseUnless,
  type PaymentRow,
  type Tables,
  type UserRow,
} from './tables.ts'

import { tell, tellsPending } from './event-statements.ts'
import { tasks } from './task-statements.ts'
import { type Handler, type Handlers, userLock, texts, ids, ints, time } from './handlers.ts'

const lockingUsers: Handler = {
  locks: (tables, [shard, userIds]) =>
    [...new Set(ids(userIds))]
      .filter((id) => inShard(tables.users, id, shard))
      .sort((one, other) => (one < other ? -1 : 1))
      .map(userLock),
  run: (tables, [shard, userIds], { mine }) =>
    usersOf(tables, shard, userIds)
      .filter(({ id }) => mine(userLock(id)))
      .map(({ id, available, currency }) => ({ id, available, currency })),
}

const users: Handlers = {
  users_ids: {
    run: (tables, [wanted]) =>
      Array.from({ length: Number(wanted) }, () => ({ id: tables.nextval('user_ids') })),
  },
  users_insert: {
    run(tables, [shard, at, userIds, currencies], context) {
      for (const [index, id] of ids(userIds).entries()) {
        refuseUnless(tables.users.get(id) === undefined, '23505', 'users_pkey')
        const createdAt = time(at, context)
        const none = { available: 0n, held: 0n, currency: texts(currencies)[index] ?? null }
        tables.users.set(id, { shard: Number(shard), id, ...none, createdAt })
      }
      return []
    },
  },
  users_lock: lockingUsers,
  users_lock_free: { ...lockingUsers, skipsLocked: true },
  users_read: {
    run: (tables, [shard, userIds]) => usersOf(tables, shard, userIds),
  },
  users_move: {
    run(tables, [shard, userIds, available, held], { free }) {
      const [byAvailable, byHeld] = [ids(available), ids(held)]
      const moved = new Map<bigint, { available: bigint; held: bigint }>()
      ids(userIds).forEach((id, index) => {
        const sum = moved.get(id) ?? { available: 0n, held: 0n }
        sum.available += byAvailable[index] ?? 0n
        sum.held += byHeld[index] ?? 0n
        moved.set(id, sum)
      })
      for (const [id, sum] of moved) {
        const user = inShard(tables.users, id, shard)
        if (user === undefined) continue
        // PostgreSQL would wait here for the other transaction, with COMMIT behind it.
        if (!free(userLock(id)))
          throw new Error('balances move only where nobody else holds the lock')
        const after = { available: user.available + sum.available, held: user.held + sum.held }
        refuseUnless(after.available >= 0n, '23514', 'users_available_check')
        refuseUnless(after.held >= 0n, '23514', 'users_held_check')
        tables.users.set(id, { ...user, ...after })
      }
      return []
    },
  },
}

function usersOf(tables: Tables, shard: unknown, userIds: unknown): UserRow[] {
  const distinct = [...new Set(ids(userIds))]
  return distinct.flatMap((id) => inShard(tables.users, id, shard) ?? [])
}

/** Under which count a payment that was finished goes; `new` is never what one is finished as. */
const COUNTED_AS = {
  new: 'in_doubt',
  unknown: 'in_doubt',
  success: 'succeeded',
  failed: 'failed',
} as const

/** How an event calls what a payment was finished as. */
const ENDED_AS = {
  new: 'payment.unknown',
  unknown: 'payment.unknown',
  success: 'payment.succeeded',
  failed: 'payment.failed',
} as const

/** Payments as a statement shows them. */
const read = (tables: Tables, [shard, paymentIds]: readonly unknown[]) =>
  [...new Set(ids(paymentIds))]
    .flatMap((id) => inShard(tables.payments, id, shard) ?? [])
    .map((payment) => ({
      ...payment,
      createdAt: new Date(payment.createdAt),
      finishedAt: payment.finishedAt === null ? null : new Date(payment.finishedAt),
    }))

/** The payments under keys, of those keys that have one. */
export function underKeys(tables: Tables, values: readonly unknown[]): PaymentRow[] {
  const [shard, userIds, keys] = values
  const asked = texts(keys)
  return ids(userIds).flatMap((userId, index) => {
    const keyed = tables.keys.get(`${userId} ${asked[index]}`) ?? -1n
    return inShard(tables.payments, keyed, shard) ?? []
  })
}

const payments: Handlers = {
  payments_by_keys: {
    run: (tables, values) =>
      underKeys(tables, values).map((payment) => {
        const { id, userId, type, amount, commission, idempotencyKey, refusedFor } = payment
        const { currency, gateway } = payment
        const same = { id, userId, type, amount, commission, idempotencyKey, refusedFor }
        return { ...same, currency, gateway }
      }),
  },
  payments_accept: { parts: (values) => acceptParts(values, 10, 2), run: () => [] },
  payments_accept_routed: { parts: (values) => acceptParts(values, 11, 3), run: () => [] },
  // Parts of `payments_accept`, as `tasks_insert` is.
  payments_insert: {
    run(tables, values, context) {
      const [shard, at, feeBps, paymentIds, userIds, types, amounts, commissions] = values
      const [keys, refused, gateways] = values.slice(8)
      const createdAt = time(at, context)
      ids(paymentIds).forEach((id, index) => {
        const refusedFor = texts(refused)[index] ?? null
        insertPayment(tables, {
          shard: Number(shard),
          id,
          userId: ids(userIds)[index] as bigint,
          type: texts(types)[index] as PaymentRow['type'],
          status: refusedFor === null ? 'new' : 'failed',
          amount: ids(amounts)[index] as bigint,
          commission: ids(commissions)[index] as bigint,
          feeBps: Number(feeBps),
          attempts: 0,
          createdAt,
          finishedAt: refusedFor === null ? null : createdAt,
          gatewayKey: `key-${id}`,
          idempotencyKey: texts(keys)[index] ?? null,
          lastError: refusedFor === null ? null : `refused:${refusedFor}`,
          refusedFor,
          gatewayRef: null,
          gateway: (gateways === undefined ? null : texts(gateways)[index]) ?? 'http',
          redriveOf: null,
          ...NOTHING_BACK,
          currency: null,
        })
      })
      return []
    },
  },
  payments_set_currency: {
    run(tables, [shard, paymentIds, currencies]) {
      ids(paymentIds).forEach((id, index) => {
        const payment = inShard(tables.payments, id, shard)
        const currency = texts(currencies)[index] ?? null
        if (payment !== undefined) tables.payments.set(id, { ...payment, currency })
      })
      return []
    },
  },
  payments_read: { run: read },
  payments_read_whole: {
    run: (tables, values) =>
      read(tables, values).map((payment) => ({
        ...payment,
        repeats: payment.redriveOf,
        refunded: payment.refunded ?? 0n,
        returned: payment.returned ?? 0n,
      })),
  },
  payments_finish: {
    run(tables, [shard, at, paymentIds, statuses, attempts, errors, refs, resolved], context) {
      ids(paymentIds).forEach((id, index) => {
        const payment = inShard(tables.payments, id, shard)
        if (payment === undefined) return
        const status = texts(statuses)[index] as PaymentRow['status']
        if (!TRANSITIONS[payment.status].includes(status)) return
        count(tables, shard, COUNTED_AS[status], 1)
        const resolves = ids(resolved).includes(id)
        const transitions = payment.transitions + (resolves ? 2 : 1)
        tables.payments.set(id, {
          ...payment,
          status,
          attempts: ints(attempts)[index] as number,
          lastError: texts(errors)[index] ?? null,
          gatewayRef: texts(refs)[index] ?? payment.gatewayRef,
          finishedAt: status === 'unknown' ? null : time(at, context),
          transitions,
        })
        if (resolves) tell(tables, payment, 'payment.resolved', transitions - 1)
        tell(tables, payment, ENDED_AS[status], transitions)
      })
      return []
    },
  },
}

/** What accepting is made of: the values of payments, and how many of them a task has. */
function acceptParts(values: readonly unknown[], ofPayment: number, ofTask: number) {
  const [shard, at] = values
  const queued = values.slice(ofPayment, ofPayment + ofTask)
  const [userIds, paymentIds, available, held] = values.slice(ofPayment + ofTask)
  const each = (what: string) => ids(userIds).map(() => what)
  const zeros = each('0')
  const posted = [userIds, paymentIds, each('hold'), available, held, zeros, zeros, zeros]
  return [
    ['payments_insert', values.slice(0, ofPayment)],
    ['tasks_insert', [shard, at, ...queued]],
    ['postings_insert', [shard, at, ...posted]],
    ['users_move', [shard, userIds, available, held]],
  ] as const satisfies readonly (readonly [string, unknown[]])[]
}

export function insertPayment(tables: Tables, payment: PaymentRow): void {
  const { id, userId, type, amount, commission, idempotencyKey: key } = payment
  refuseUnless(tables.payments.get(id) === undefined, '23505', 'payments_pkey')
  refuseUnless(amount > 0n && commission >= 0n, '23514', 'payments_check')
  refuseUnless(type === 'withdraw' || commission <= amount, '23514', 'payments_check')
  if (key !== null) {
    const indexed = `${userId} ${key}`
    refuseUnless(tables.keys.get(indexed) === undefined, '23505', 'payments_idempotency_key')
    tables.keys.set(indexed, id)
  }
  tables.payments.set(id, payment)
}

/** What the session asks for itself. */
const session: Handlers = {
  session_ids: {
    run(tables, [sequence, shards, shard, wanted]) {
      const taken = Array.from(
        { length: Number(wanted) },
        () => tables.nextval(sequence as Sequence) * BigInt(Number(shards)) + BigInt(Number(shard)),
      )
      return [{ ids: taken.join(',') }]
    },
  },
}

/** What is known of users, payments and tasks; `records.ts` has the rest. */
export const states: Handlers = { ...session, ...users, ...payments, ...tasks, ...tellsPending }
