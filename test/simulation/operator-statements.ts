import { TRANSITIONS } from '../../src/domain/payment.ts'
import {
  ids,
  idsOrNone,
  ints,
  sorted,
  taskLock,
  texts,
  time,
  type Handler,
  type Handlers,
} from './handlers.ts'
import { tell } from './event-statements.ts'
import { insertPayment } from './statements.ts'
import { claimTask, FRESH, lockingTasksAs } from './task-statements.ts'
import { count, inShard, type ActRow, type LetterRow, type Tables, type TaskRow } from './tables.ts'

const letterLock = (id: bigint): string => `letter ${id}`

const lockingTasks = lockingTasksAs(({ paymentId, attempts }) => ({ paymentId, attempts }))

const lockingLetters: Handler = {
  locks: (tables, [shard, letterIds]) =>
    sorted(ids(letterIds))
      .filter((id) => inShard(tables.letters, id, shard))
      .map(letterLock),
  run: (tables, [shard, letterIds], { mine }) =>
    lettersOf(tables, shard, letterIds).filter(({ id }) => mine(letterLock(id))),
}

function lettersOf(tables: Tables, shard: unknown, letterIds: unknown): LetterRow[] {
  return sorted(ids(letterIds)).flatMap((id) => inShard(tables.letters, id, shard) ?? [])
}

/** Whether a task may be asked about now, out of turn. */
function mayBeAsked(tables: Tables, task: TaskRow, nowMs: number, intervalMs: number): boolean {
  const sinceMs = nowMs - intervalMs
  if ((task.askedAt ?? 0) > sinceMs || (task.leased && task.runAt > nowMs)) return false
  if (!task.leased && task.lookups === 0 && task.doubtAt === null) return false
  const own = [...tables.attempts.rows.values()].filter((one) => one.paymentId === task.paymentId)
  return own.every(({ startedAt }) => startedAt <= sinceMs)
}

const tasks: Handlers = {
  tasks_claim_ahead: {
    run(tables, [shard, at, paymentId, leaseMs, intervalMs], context) {
      const nowMs = time(at, context)
      const id = BigInt(paymentId as bigint)
      const task = inShard(tables.tasks, id, shard)
      if (task === undefined || !context.free(taskLock(id))) return []
      if (!mayBeAsked(tables, task, nowMs, Number(intervalMs))) return []
      const claimed = claimTask(tables, task, nowMs, Number(leaseMs)) as object
      tables.tasks.set(id, { ...(tables.tasks.get(id) as TaskRow), askedAt: nowMs })
      return [{ ...claimed, dueInMs: Math.max(0, task.runAt - nowMs) }]
    },
  },
  tasks_lock: lockingTasks,
  tasks_lock_free: { ...lockingTasks, skipsLocked: true },
  tasks_read: {
    run: (tables, [shard, , paymentIds]) =>
      sorted(ids(paymentIds)).flatMap((id) => inShard(tables.tasks, id, shard) ?? []),
  },
  tasks_redrive: {
    run(tables, [shard, at, paymentIds, delays, operations], context) {
      const nowMs = time(at, context)
      count(tables, shard, 'enqueued', ids(paymentIds).length)
      ids(paymentIds).forEach((paymentId, index) => {
        const payment = inShard(tables.payments, paymentId, shard)
        if (payment === undefined) return
        const runAt = nowMs + (ints(delays)[index] as number)
        const task = inShard(tables.tasks, paymentId, shard)
        const started = { runAt, tries: 0, triedAt: null, lookups: 0, pendings: 0, leased: false }
        if (task !== undefined) {
          const doubtAt = task.doubtAt ?? nowMs
          const firstSentAt = task.firstSentAt ?? payment.createdAt
          const again = { fence: task.fence + 1, doubtAt, firstSentAt }
          return tables.tasks.set(paymentId, { ...task, ...started, ...again })
        }
        const operation = texts(operations)[index] as TaskRow['operation']
        const { gateway } = payment
        const own = { shard: payment.shard, paymentId, gateway, operation }
        const { attempts, createdAt } = payment
        const kept = { attempts, doubtAt: nowMs, firstSentAt: createdAt }
        const fence = 1_000 + lastFence(tables, paymentId)
        tables.tasks.set(paymentId, { ...FRESH, ...own, ...started, ...kept, fence })
      })
      return []
    },
  },
  tasks_insert_later: {
    run(tables, [shard, at, paymentIds, delays, operations], context) {
      count(tables, shard, 'enqueued', ids(paymentIds).length)
      ids(paymentIds).forEach((paymentId, index) => {
        const operation = texts(operations)[index] as TaskRow['operation']
        const runAt = time(at, context) + (ints(delays)[index] as number)
        const gateway = tables.payments.get(paymentId)?.gateway ?? 'http'
        const own = { shard: Number(shard), paymentId, gateway, operation, runAt }
        tables.tasks.set(paymentId, { ...FRESH, ...own })
      })
      return []
    },
  },
}

function lastFence(tables: Tables, paymentId: bigint): number {
  const own = [...tables.attempts.rows.values()].filter((one) => one.paymentId === paymentId)
  return Math.max(0, ...own.map(({ fence }) => fence))
}

const isDecline = (httpStatus: number) =>
  (httpStatus >= 200 && httpStatus < 300) || [400, 402, 409, 422].includes(httpStatus)

const evidence: Handlers = {
  attempts_known: {
    run: (tables, [shard, at, paymentIds], context) =>
      sorted(ids(paymentIds)).flatMap((paymentId) => {
        const payment = inShard(tables.payments, paymentId, shard)
        if (payment === undefined) return []
        const own = [...tables.attempts.rows.values()].filter((one) => one.paymentId === paymentId)
        const some = (kind: string, ...outcomes: readonly string[]) =>
          own.filter((one) => one.kind === kind && outcomes.includes(one.outcome))
        const since = tables.tasks.get(paymentId)?.firstSentAt ?? payment.createdAt
        return [
          {
            paymentId,
            yes: own.some(({ outcome }) => outcome === 'success'),
            no: some('lookup', 'declined').length > 0,
            declined: some('charge', 'declined').some(
              ({ httpStatus }) => httpStatus === null || isDecline(httpStatus),
            ),
            absent: some('lookup', 'not_found').length > 0,
            doubted: some('charge', 'in_doubt', 'pending').length > 0,
            firstSentAgeMs: time(at, context) - since,
          },
        ]
      }),
  },
}

const payments: Handlers = {
  payments_reopen: {
    run(tables, [shard, paymentIds]) {
      for (const id of ids(paymentIds)) {
        const payment = inShard(tables.payments, id, shard)
        if (payment === undefined || !TRANSITIONS[payment.status].includes('new')) continue
        tables.payments.set(id, { ...payment, status: 'new', lastError: null })
      }
      return []
    },
  },
  // The simulation has no lists of times.
  payment_minutes_note_now: { run: () => [] },
  payments_insert_repeats: {
    run(tables, [shard, at, paymentIds, repeated], context) {
      ids(paymentIds).forEach((id, index) => {
        const first = inShard(tables.payments, ids(repeated)[index] as bigint, shard)
        if (first === undefined) return
        const own = { id, gatewayKey: `key-${id}`, createdAt: time(at, context) }
        const ended = { finishedAt: null, lastError: null }
        const fresh = { status: 'new', attempts: 0, transitions: 0, ...ended } as const
        const unlike = {
          idempotencyKey: null,
          refusedFor: null,
          gatewayRef: null,
          redriveOf: first.id,
        }
        insertPayment(tables, { ...first, ...own, ...fresh, ...unlike })
      })
      return []
    },
  },
}

const letters: Handlers = {
  dead_letters_read: {
    run: (tables, [shard, letterIds]) => lettersOf(tables, shard, letterIds),
  },
  dead_letters_lock: lockingLetters,
  dead_letters_lock_free: { ...lockingLetters, skipsLocked: true },
  dead_letters_executed: {
    run: (tables, [shard, paymentIds]) => {
      const wanted = new Set(ids(paymentIds))
      return [...tables.letters.rows.values()].flatMap(({ paymentId, state, error, ...one }) => {
        const open = state === 'open' && error === 'charged_after_failed' && one.shard === shard
        return open && wanted.has(paymentId) ? [{ paymentId }] : []
      })
    },
  },
  dead_letters_end: {
    run(tables, [shard, at, letterIds, state, actor, reason, redriveId], context) {
      for (const letter of lettersOf(tables, shard, letterIds)) {
        if (letter.state !== 'open') continue
        tables.openLetters.delete(letter.paymentId)
        tables.letters.set(letter.id, {
          ...letter,
          state: state as LetterRow['state'],
          closedAt: time(at, context),
          closedBy: String(actor),
          closedReason: String(reason),
          redriveId: redriveId === null ? null : BigInt(redriveId as bigint),
        })
        tell(tables, { ...letter, id: letter.paymentId }, 'dead_letter.closed', null)
      }
      return []
    },
  },
  operator_acts_cancels: {
    run(tables, [shard, paymentIds]) {
      const asked = new Set(ids(paymentIds))
      const found = [...tables.acts.rows.values()].filter(
        (one) => one.shard === shard && one.act === 'cancel' && asked.has(one.paymentId ?? 0n),
      )
      return [...new Set(found.map(({ paymentId }) => paymentId))].map((paymentId) => ({
        paymentId,
      }))
    },
  },
  operator_acts_insert: {
    run(tables, values, context) {
      const [shard, at, redriveId, act, actor] = values
      const [actIds, paymentIds, letterIds, befores, afters] = values.slice(7)
      ids(paymentIds).forEach((paymentId, index) => {
        const id = ids(actIds)[index] as bigint
        const before = JSON.parse(texts(befores)[index] as string) as ActRow['before']
        const after = JSON.parse(texts(afters)[index] as string) as ActRow['after']
        const [was, now] = [before['payment'], after['payment']]
        if (was === 'unknown' && now === 'success') count(tables, shard, 'resolved_success', 1)
        if (was === 'unknown' && now === 'failed') count(tables, shard, 'resolved_failed', 1)
        tables.acts.set(id, {
          shard: Number(shard),
          id,
          paymentId,
          letterId: idsOrNone(letterIds)[index] ?? null,
          redriveId: redriveId === null ? null : BigInt(redriveId as bigint),
          act: act as ActRow['act'],
          actor: String(actor),
          before,
          after,
          createdAt: time(at, context),
        })
      })
      return []
    },
  },
}

/** What operators do: redrive and resolve, with the evidence that they are judged by. */
export const acting: Handlers = { ...tasks, ...evidence, ...payments, ...letters }
