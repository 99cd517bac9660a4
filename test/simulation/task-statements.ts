import {
  ids,
  ints,
  sorted,
  taskLock,
  texts,
  time,
  type Context,
  type Handler,
  type Handlers,
} from './handlers.ts'
import { count, inShard, refuseUnless, type Tables, type TaskRow } from './tables.ts'

const lockingOwned: Handler = {
  locks: (tables, values) => ownedTasks(tables, values).map(({ paymentId }) => taskLock(paymentId)),
  run: (tables, values, { mine }) =>
    ownedTasks(tables, values).filter(({ paymentId }) => mine(taskLock(paymentId))),
}

/** Lock tasks and show some of what they are. */
export function lockingTasksAs(shown: (task: TaskRow) => unknown): Handler {
  const found = (tables: Tables, [shard, paymentIds]: readonly unknown[]) =>
    sorted(ids(paymentIds)).flatMap((id) => inShard(tables.tasks, id, shard) ?? [])
  return {
    locks: (tables, values) => found(tables, values).map(({ paymentId }) => taskLock(paymentId)),
    run: (tables, values, { mine }) =>
      found(tables, values)
        .filter(({ paymentId }) => mine(taskLock(paymentId)))
        .map(shown),
  }
}

/** What is known of tasks: claimed, settled, put off. */
export const tasks: Handlers = {
  tasks_insert: {
    run(tables, [shard, at, paymentIds, operations, gateways], context) {
      ids(paymentIds).forEach((paymentId, index) => {
        refuseUnless(tables.tasks.get(paymentId) === undefined, '23505', 'payment_tasks_pkey')
        const runAt = time(at, context)
        const operation = texts(operations)[index] as TaskRow['operation']
        const named = gateways === undefined ? null : texts(gateways)[index]
        const route = { gateway: named ?? 'http', operation }
        tables.tasks.set(paymentId, { shard: Number(shard), paymentId, ...route, runAt, ...FRESH })
      })
      count(tables, shard, 'enqueued', ids(paymentIds).length)
      return []
    },
  },
  tasks_claim: {
    run: (tables, values, context) => claimDue(tables, [...values, 'http'], context),
  },
  tasks_claim_of: { run: claimDue },
  tasks_owned: lockingOwned,
  tasks_owned_free: { ...lockingOwned, skipsLocked: true },
  tasks_owned_read: {
    run: (tables, values) => ownedTasks(tables, values).map(({ paymentId }) => ({ paymentId })),
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
    run(tables, values, context) {
      const [shard, at, paymentIds, delays, lookups, pendings, tries, sent] = values
      const [doubted, unsent, refused, reasons] = values.slice(8)
      const nowMs = time(at, context)
      count(tables, shard, 'retried', ints(tries).filter((added) => added > 0).length)
      ids(paymentIds).forEach((id, index) => {
        const task = inShard(tables.tasks, id, shard)
        if (task === undefined) return
        const added = ints(tries)[index] as number
        const never = texts(unsent)[index] === 'true' && task.doubtAt === null
        tables.tasks.set(id, {
          ...task,
          runAt: nowMs + (ints(delays)[index] as number),
          leased: false,
          attempts: task.attempts + (ints(sent)[index] as number),
          tries: task.tries + added,
          triedAt: added > 0 ? (task.triedAt ?? nowMs) : task.triedAt,
          lookups: ints(lookups)[index] as number,
          pendings: ints(pendings)[index] as number,
          pendingAt: (ints(pendings)[index] as number) > 0 ? sinceOf(task, nowMs) : null,
          doubtAt: texts(doubted)[index] === 'true' ? nowMs : task.doubtAt,
          firstSentAt: never ? null : task.firstSentAt,
          misconfiguredAt: texts(refused)[index] === 'true' ? nowMs : task.misconfiguredAt,
          lastError: texts(reasons)[index] ?? task.lastError,
        })
      })
      return []
    },
  },
  tasks_release: {
    run(tables, [shard, at, paymentIds], context) {
      for (const id of ids(paymentIds)) {
        const task = inShard(tables.tasks, id, shard)
        if (task === undefined) continue
        const firstSentAt = task.doubtAt === null ? null : task.firstSentAt
        tables.tasks.set(id, { ...task, runAt: time(at, context), leased: false, firstSentAt })
      }
      return []
    },
  },
}

/** Since when the gateway has a task in hand of which it says so now. */
function sinceOf({ pendings, pendingAt }: TaskRow, nowMs: number): number {
  return (pendings > 0 ? pendingAt : null) ?? nowMs
}

/** Claim due tasks of a route. */
function claimDue(tables: Tables, values: readonly unknown[], context: Context): unknown[] {
  const [shard, at, limit, leaseMs, operation, gateway] = values
  const nowMs = time(at, context)
  const due = [...tables.tasks.rows.values()]
    .filter((task) => task.shard === shard && task.runAt <= nowMs)
    .filter((task) => task.gateway === gateway && task.operation === operation)
    .sort((one, other) => one.runAt - other.runAt)
    .filter((task) => context.free(taskLock(task.paymentId)))
    .slice(0, Number(limit))
  count(tables, shard, 'started', due.length)
  return due.map((task) => claimTask(tables, task, nowMs, Number(leaseMs)))
}

export const FRESH = {
  fence: 0,
  attempts: 0,
  tries: 0,
  triedAt: null,
  lookups: 0,
  pendings: 0,
  pendingAt: null,
  leased: false,
  doubtAt: null,
  firstSentAt: null,
  misconfiguredAt: null,
  lastError: null,
  askedAt: null,
} as const

/** Claim a task: what is kept of a lost claim, and what its newest claim is told. */
export function claimTask(tables: Tables, task: TaskRow, nowMs: number, leaseMs: number): unknown {
  const { shard, paymentId, fence, lookups, pendings, leased, runAt } = task
  const asking = lookups + pendings > 0
  const key = `${paymentId} ${fence} 0`
  if (leased && tables.attempts.get(key) === undefined) {
    const kind = asking ? 'lookup' : 'charge'
    const lost = { outcome: 'in_doubt', reason: 'worker_lost', sent: true, httpStatus: null }
    const evidence = { ...lost, startedAt: runAt, tookMs: 0, late: false }
    tables.attempts.set(key, { shard, paymentId, fence, call: 0, kind, ...evidence })
  }
  const lost = leased && !asking
  const claimed = {
    ...task,
    runAt: nowMs + leaseMs,
    fence: fence + 1,
    attempts: task.attempts + (lost ? 1 : 0),
    tries: task.tries + (lost ? 1 : 0),
    triedAt: task.triedAt ?? (lost ? runAt : null),
    leased: true,
    doubtAt: lost ? runAt : task.doubtAt,
    firstSentAt: task.firstSentAt ?? nowMs,
  }
  tables.tasks.set(paymentId, claimed)
  const age = (at: number | null) => (at === null ? null : nowMs - at)
  const { attempts, tries } = claimed
  return {
    paymentId,
    fence: claimed.fence,
    attempts,
    tries,
    lookups,
    pendings,
    pendingAgeMs: pendings > 0 ? age(claimed.pendingAt) : null,
    triedAgeMs: age(claimed.triedAt),
    doubtAgeMs: age(claimed.doubtAt),
    firstSentAgeMs: age(claimed.firstSentAt),
    misconfiguredAgeMs: age(claimed.misconfiguredAt),
  }
}

/** A task that a claim may settle, or whose yes it brings. */
export interface Owned {
  readonly paymentId: bigint
  readonly fence: number
  readonly owned: boolean
  readonly attempts: number
}

/**
 * The asked tasks whose newest claim is the asking one, and those that were charged, in id order.
 */
function ownedTasks(tables: Tables, values: readonly unknown[]): Owned[] {
  const [shard, paymentIds, fences, yes] = values
  return ids(paymentIds)
    .flatMap((paymentId, index) => {
      const task = inShard(tables.tasks, paymentId, shard)
      if (task === undefined) return []
      const fence = ints(fences)[index] as number
      const owned = task.leased && task.fence === fence
      if (!owned && texts(yes)[index] !== 'true') return []
      return [{ paymentId, fence, owned, attempts: task.attempts }]
    })
    .sort((one, other) => (one.paymentId < other.paymentId ? -1 : 1))
}
