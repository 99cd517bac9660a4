import type { RunRow } from './delivery-rows.ts'
import { ids, texts, time, type Handlers } from './handlers.ts'
import type { Tables } from './tables.ts'

const date = (ms: number | null) => (ms === null ? null : new Date(ms))

/** A run as its statements return it. */
function shown({ eventIds, redriven, createdAt, startedAt, endedAt, ...own }: RunRow) {
  return {
    ...own,
    filter: {},
    total: eventIds.length,
    amount: 0n,
    carriedOut: redriven,
    others: null,
    refused: 0,
    refusals: {},
    createdAt: date(createdAt),
    startedAt: date(startedAt),
    endedAt: date(endedAt),
  }
}

const NEW = {
  state: 'planned',
  position: 0,
  redriven: 0,
  skipped: 0,
  ratePerSecond: 0,
  startedBy: null,
  reason: null,
  requestId: null,
  canceledBy: null,
  startedAt: null,
  endedAt: null,
  nextAt: 0,
} as const

/** The items of a step. */
function itemsOf({ eventIds, position }: RunRow, count: number): readonly string[] {
  return eventIds.slice(position, position + count)
}

/** A run whose step still stands where it stood. */
function standing(tables: Tables, [id, position, items]: readonly unknown[]): RunRow | null {
  const run = tables.runs.get(BigInt(id as bigint))
  const step = (items as readonly string[]).map(String)
  if (run === undefined || run.position !== position) return null
  return itemsOf(run, step.length).join() === step.join() ? run : null
}

const DAY_MS = 86_400_000

/** Runs of events that are sent again. */
export const runs: Handlers = {
  redrives_plan: {
    run(tables, [at, , items, , actor, , endpointId], context) {
      for (const { id, state, createdAt } of tables.runs.rows.values()) {
        const old = createdAt < time(at, context) - DAY_MS
        if (state === 'planned' && old) tables.runs.delete(id)
      }
      const row: RunRow = {
        ...NEW,
        id: tables.nextval('redrive_ids'),
        endpointId: BigInt(endpointId as bigint),
        eventIds: ids(items).map(String),
        createdAt: time(at, context),
        createdBy: String(actor),
      }
      tables.runs.set(row.id, row)
      return [shown(row)]
    },
  },
  redrives_read: {
    run(tables, [id]) {
      const run = tables.runs.get(BigInt(id as bigint))
      return run === undefined ? [] : [shown(run)]
    },
  },
  redrives_waiting: {
    run: (tables, [endpointId, limit]) =>
      [...tables.runs.rows.values()]
        .filter((run) => run.state === 'running' && run.endpointId === endpointId)
        .toSorted((one, other) => Number(one.id - other.id))
        .slice(0, Number(limit))
        .map(({ eventIds, position }) => ({ ids: eventIds.slice(position) })),
  },
  redrives_start: {
    run(tables, [at, id, rate, actor, reason, requestId, ageMax], context) {
      const nowMs = time(at, context)
      const run = tables.runs.get(BigInt(id as bigint))
      if (run?.state !== 'planned' || run.createdAt < nowMs - Number(ageMax)) return []
      const none = run.eventIds.length === 0
      const row: RunRow = {
        ...run,
        state: none ? 'done' : 'running',
        ratePerSecond: Number(rate),
        startedBy: String(actor),
        reason: String(reason),
        requestId: String(requestId),
        startedAt: nowMs,
        nextAt: nowMs,
        endedAt: none ? nowMs : null,
      }
      tables.runs.set(row.id, row)
      return [shown(row)]
    },
  },
  redrives_cancel: {
    run(tables, [at, id, actor], context) {
      const run = tables.runs.get(BigInt(id as bigint))
      if (run?.state !== 'running') return []
      const canceledBy = actor === null ? null : String(actor)
      const row: RunRow = { ...run, state: 'canceled', canceledBy, endedAt: time(at, context) }
      tables.runs.set(row.id, row)
      return [shown(row)]
    },
  },
  redrives_begin: {
    run(tables, [at, id, leaseMs], context) {
      const nowMs = time(at, context)
      const [due] = [...tables.runs.rows.values()]
        .filter((run) => run.state === 'running' && run.nextAt <= nowMs)
        .filter((run) => id === null || run.id === id)
        .sort((one, other) => one.nextAt - other.nextAt)
      if (due === undefined) return []
      tables.runs.set(due.id, { ...due, nextAt: nowMs + Number(leaseMs) })
      const step = { ids: itemsOf(due, due.ratePerSecond), traceparent: null }
      return [{ ...due, ...step, begunAt: new Date(nowMs) }]
    },
  },
  redrives_advance: {
    run(tables, [at, id, position, items, redriven, skipped, , begunAt], context) {
      const run = standing(tables, [id, position, items])
      if (run === null) return []
      const next = run.position + (items as readonly string[]).length
      const ends = next >= run.eventIds.length
      tables.runs.set(run.id, {
        ...run,
        position: next,
        redriven: run.redriven + Number(redriven),
        skipped: run.skipped + Number(skipped),
        nextAt: (begunAt as Date).getTime() + 1_000,
        state: ends && run.state !== 'canceled' ? 'done' : run.state,
        endedAt: ends ? (run.endedAt ?? time(at, context)) : run.endedAt,
      })
      return []
    },
  },
  redrives_put_off: {
    run(tables, [id, position, items, busy, done, redriven, skipped, , begunAt]) {
      const run = standing(tables, [id, position, items])
      if (run === null) return []
      const step = (items as readonly string[]).length
      const { eventIds } = run
      const turned = [
        ...eventIds.slice(0, run.position),
        ...texts(done).map(String),
        ...eventIds.slice(run.position + step),
        ...texts(busy).map(String),
      ]
      tables.runs.set(run.id, {
        ...run,
        eventIds: turned,
        position: run.position + texts(done).length,
        redriven: run.redriven + Number(redriven),
        skipped: run.skipped + Number(skipped),
        nextAt: (begunAt as Date).getTime() + 1_000,
      })
      return []
    },
  },
}
