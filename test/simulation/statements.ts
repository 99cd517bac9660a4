import {
  inShard,
  refuseUnless,
  type PaymentRow,
  type Tables,
  type TaskRow,
  type UserRow,
} from './tables.ts'

/** What a statement can know beside its values. */
export interface Context {
  /** The database's clock. */
  readonly nowMs: number
  /** Whether the transaction of the statement holds this row's lock. */
  readonly mine: (lock: string) => boolean
  /** Whether no other transaction holds this row's lock. */
  readonly free: (lock: string) => boolean
}

/** A statement's counterpart: the rows it locks, in order, and what it does once it has them. */
export interface Handler {
  /** The statements that this one is made of, in order: then they run and not `run`. */
  readonly parts?: (values: readonly unknown[]) => readonly (readonly [string, unknown[]])[]
  readonly locks?: (tables: Tables, values: readonly unknown[]) => string[]
  readonly run: (tables: Tables, values: readonly unknown[], context: Context) => unknown[]
}

/** Handlers by `Statement.name`. */
export type Handlers = Readonly<Record<string, Handler>>

/** The lock of a user's or a task's row. */
export const userLock = (id: bigint): string => `user ${id}`
export const taskLock = (id: bigint): string => `task ${id}`

/** An array parameter: a JavaScript array, or the text of a PostgreSQL array without quotes. */
export function texts(value: unknown): (string | null)[] {
  if (Array.isArray(value)) return value as (string | null)[]
  const inside = String(value).slice(1, -1)
  return inside === '' ? [] : inside.split(',').map((one) => (one === 'null' ? null : one))
}

export function ids(value: unknown): bigint[] {
  return texts(value).map((one) => BigInt(one as string))
}

export function ints(value: unknown): number[] {
  return texts(value).map(Number)
}

/** A time given by the caller, or the database's own: `coalesce($n, clock_timestamp())`. */
export function time(value: unknown, context: Context): number {
  return value instanceof Date ? value.getTime() : context.nowMs
}

const users: Handlers = {
  users_ids: {
    run: (tables, [count]) =>
      Array.from({ length: Number(count) }, () => ({ id: tables.nextval('user_ids') })),
  },
  users_insert: {
    run(tables, [shard, userIds, at], context) {
      for (const id of ids(userIds)) {
        refuseUnless(tables.users.get(id) === undefined, '23505', 'users_pkey')
        const createdAt = time(at, context)
        tables.users.set(id, { shard: Number(shard), id, available: 0n, held: 0n, createdAt })
      }
      return []
    },
  },
  users_lock: {
    locks: (tables, [shard, userIds]) =>
      [...new Set(ids(userIds))]
        .filter((id) => inShard(tables.users, id, shard))
        .sort((one, other) => (one < other ? -1 : 1))
        .map(userLock),
    run: (tables, [shard, userIds], { mine }) =>
      usersOf(tables, shard, userIds)
        .filter(({ id }) => mine(userLock(id)))
        .map(({ id, available }) => ({ id, available })),
  },
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

const payments: Handlers = {
  payments_take_ids: {
    run(tables, [count, shards, shard]) {
      const taken = Array.from(
        { length: Number(count) },
        () => tables.nextval('payment_ids') * BigInt(Number(shards)) + BigInt(Number(shard)),
      )
      return [{ ids: taken.join(',') }]
    },
  },
  payments_by_keys: {
    run: (tables, [shard, userIds, keys]) => {
      const asked = texts(keys)
      return ids(userIds).flatMap((userId, index) => {
        const keyed = tables.keys.get(`${userId} ${asked[index]}`) ?? -1n
        const payment = inShard(tables.payments, keyed, shard)
        if (payment === undefined) return []
        const { id, type, amount, commission, idempotencyKey, lastError } = payment
        return [{ id, userId, type, amount, commission, idempotencyKey, lastError }]
      })
    },
  },
  payments_accept: {
    parts(values) {
      const [shard, , , , , , , , at, , queued, userIds, paymentIds, available, held, operations] =
        values
      const each = (what: string) => ids(userIds).map(() => what)
      const zeros = each('0')
      return [
        ['payments_insert', values.slice(0, 10)],
        ['tasks_insert', [shard, queued, operations, at]],
        [
          'postings_insert',
          [shard, userIds, paymentIds, each('hold'), available, held, zeros, zeros, zeros, at],
        ],
        ['users_move', [shard, userIds, available, held]],
      ]
    },
    run: () => [],
  },
  // Parts of `payments_accept`, as `tasks_insert` is.
  payments_insert: {
    run(tables, values, context) {
      const [shard, paymentIds, userIds, types, amounts, commissions, keys, refused, at] = values
      const createdAt = time(at, context)
      ids(paymentIds).forEach((id, index) => {
        const refusal = texts(refused)[index] ?? null
        insertPayment(tables, {
          shard: Number(shard),
          id,
          userId: ids(userIds)[index] as bigint,
          type: texts(types)[index] as PaymentRow['type'],
          status: refusal === null ? 'new' : 'failed',
          amount: ids(amounts)[index] as bigint,
          commission: ids(commissions)[index] as bigint,
          feeBps: Number(values[9]),
          attempts: 0,
          createdAt,
          finishedAt: refusal === null ? null : createdAt,
          gatewayKey: `key-${id}`,
          idempotencyKey: texts(keys)[index] ?? null,
          lastError: refusal,
          gatewayRef: null,
        })
      })
      return []
    },
  },
  payments_read: {
    run: (tables, [shard, paymentIds]) =>
      [...new Set(ids(paymentIds))]
        .flatMap((id) => inShard(tables.payments, id, shard) ?? [])
        .map((payment) => ({
          ...payment,
          createdAt: new Date(payment.createdAt),
          finishedAt: payment.finishedAt === null ? null : new Date(payment.finishedAt),
        })),
  },
  payments_finish: {
    run(tables, [shard, paymentIds, statuses, attempts, errors, refs, at], context) {
      ids(paymentIds).forEach((id, index) => {
        const payment = inShard(tables.payments, id, shard)
        if (payment === undefined) return
        if (payment.status !== 'new' && payment.status !== 'unknown') return
        const status = texts(statuses)[index] as PaymentRow['status']
        tables.payments.set(id, {
          ...payment,
          status,
          attempts: ints(attempts)[index] as number,
          lastError: texts(errors)[index] ?? null,
          gatewayRef: texts(refs)[index] ?? null,
          finishedAt: status === 'unknown' ? null : time(at, context),
        })
      })
      return []
    },
  },
}

function insertPayment(tables: Tables, payment: PaymentRow): void {
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

const tasks: Handlers = {
  tasks_insert: {
    run(tables, [shard, paymentIds, operations, at], context) {
      ids(paymentIds).forEach((paymentId, index) => {
        refuseUnless(tables.tasks.get(paymentId) === undefined, '23505', 'payment_tasks_pkey')
        const fresh = { fence: 0, attempts: 0, lookups: 0, leased: false, doubtAt: null }
        const runAt = time(at, context)
        const operation = texts(operations)[index] as TaskRow['operation']
        const route = { gateway: 'http', operation }
        const task = { shard: Number(shard), paymentId, ...route, runAt, ...fresh, lastError: null }
        tables.tasks.set(paymentId, task)
      })
      return []
    },
  },
  tasks_claim: {
    run(tables, [shard, limit, leaseMs, at, gateway, operation], context) {
      const nowMs = time(at, context)
      return [...tables.tasks.rows.values()]
        .filter((task) => task.shard === shard && task.runAt <= nowMs)
        .filter((task) => task.gateway === gateway && task.operation === operation)
        .sort((one, other) => one.runAt - other.runAt)
        .filter((task) => context.free(taskLock(task.paymentId)))
        .slice(0, Number(limit))
        .map((task) => claimTask(tables, task, nowMs, Number(leaseMs)))
    },
  },
  tasks_owned: {
    locks: (tables, values) => ownedTasks(tables, values).map(taskLock),
    run: (tables, values, { mine }) =>
      ownedTasks(tables, values)
        .filter((paymentId) => mine(taskLock(paymentId)))
        .map((paymentId) => ({ paymentId, fence: tables.tasks.get(paymentId)?.fence })),
  },
  tasks_delete: {
    run(tables, [shard, paymentIds]) {
      for (const id of ids(paymentIds)) {
        if (inShard(tables.tasks, id, shard)) tables.tasks.delete(id)
      }
      return []
    },
  },
  tasks_reschedule: {
    run(tables, [shard, paymentIds, delays, lookups, doubted, reasons, at], context) {
      const nowMs = time(at, context)
      ids(paymentIds).forEach((id, index) => {
        const task = inShard(tables.tasks, id, shard)
        if (task === undefined) return
        tables.tasks.set(id, {
          ...task,
          runAt: nowMs + (ints(delays)[index] as number),
          leased: false,
          lookups: ints(lookups)[index] as number,
          doubtAt: texts(doubted)[index] === 'true' ? nowMs : task.doubtAt,
          lastError: texts(reasons)[index] ?? null,
        })
      })
      return []
    },
  },
  tasks_release: {
    run(tables, [shard, paymentIds, at], context) {
      for (const id of ids(paymentIds)) {
        const task = inShard(tables.tasks, id, shard)
        if (task === undefined) continue
        const attempts = task.attempts - (task.lookups === 0 ? 1 : 0)
        tables.tasks.set(id, { ...task, runAt: time(at, context), leased: false, attempts })
      }
      return []
    },
  },
}

function claimTask(tables: Tables, task: TaskRow, nowMs: number, leaseMs: number): unknown {
  const { shard, paymentId, fence, lookups, leased, runAt } = task
  const key = `${paymentId} ${fence} 0`
  if (leased && tables.attempts.get(key) === undefined) {
    const kind = lookups > 0 ? 'lookup' : 'charge'
    const lost = { outcome: 'in_doubt', reason: 'worker_lost', sent: true, httpStatus: null }
    const evidence = { ...lost, startedAt: runAt, tookMs: 0, late: false }
    tables.attempts.set(key, { shard, paymentId, fence, call: 0, kind, ...evidence })
  }
  const claimed = {
    ...task,
    runAt: nowMs + leaseMs,
    fence: fence + 1,
    attempts: task.attempts + (lookups === 0 ? 1 : 0),
    leased: true,
    doubtAt: leased && lookups === 0 ? runAt : task.doubtAt,
  }
  tables.tasks.set(paymentId, claimed)
  const doubtAgeMs = claimed.doubtAt === null ? null : nowMs - claimed.doubtAt
  return { paymentId, fence: claimed.fence, attempts: claimed.attempts, lookups, doubtAgeMs }
}

/** The asked tasks whose newest claim is the asking one, in id order. */
function ownedTasks(tables: Tables, [shard, paymentIds, fences]: readonly unknown[]): bigint[] {
  const wanted = ints(fences)
  return ids(paymentIds)
    .filter((id, index) => {
      const task = inShard(tables.tasks, id, shard)
      return task !== undefined && task.leased && task.fence === wanted[index]
    })
    .sort((one, other) => (one < other ? -1 : 1))
}

/** What is known of users, payments and tasks; `records.ts` has the rest. */
export const states: Handlers = { ...users, ...payments, ...tasks }
