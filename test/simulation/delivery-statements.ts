import type { EventTypeName } from '../../src/domain/event.ts'
import type { DeliveryRow } from './delivery-rows.ts'
import { writeEvent } from './event-statements.ts'
import { ids, ints, texts, time, type Handlers } from './handlers.ts'
import type { Tables } from './tables.ts'

const FRESH = {
  state: 'pending',
  fence: 0,
  attempts: 0,
  leased: false,
  endedAt: null,
  replayId: null,
  retryId: null,
  setAside: false,
} as const

/** The key of a delivery, and of what a shard knows of an endpoint. */
export const deliveryKey = (eventId: bigint, endpointId: bigint) => `${eventId} ${endpointId}`
export const knownKey = (shard: unknown, endpointId: unknown) => `${String(shard)} ${endpointId}`

/** The position of the newest event of a shard. */
function head({ events }: Tables, shard: unknown): bigint {
  let newest = 0n
  for (const { shard: own, position } of events.rows.values()) {
    if (own === shard && position !== null && position > newest) newest = position
  }
  return newest
}

/** The deliveries of an endpoint in a shard that have not ended. */
export function pendingOf(
  { deliveries }: Tables,
  shard: unknown,
  endpointId: bigint,
): DeliveryRow[] {
  return [...deliveries.rows.values()].filter(
    (row) => row.shard === shard && row.endpointId === endpointId && row.state === 'pending',
  )
}

/** Those of them that are due, in their order. */
export function dueOf(
  tables: Tables,
  shard: unknown,
  endpointId: bigint,
  nowMs: number,
): DeliveryRow[] {
  return pendingOf(tables, shard, endpointId)
    .filter(({ runAt }) => runAt <= nowMs)
    .sort((one, other) => one.runAt - other.runAt || Number(one.eventId - other.eventId))
}

/** The first event of the same payment that is still on its way; undefined: this one is. */
export function earlierOf(tables: Tables, { paymentId, position, ...own }: DeliveryRow) {
  const [first] = pendingOf(tables, own.shard, own.endpointId)
    .filter((earlier) => paymentId > 0n && earlier.paymentId === paymentId)
    .filter((earlier) => earlier.position < position)
    .sort((one, other) => Number(one.position - other.position))
  return first
}

/** Whether an earlier event of the same payment is still on its way. */
export function waitsForEarlier(tables: Tables, own: DeliveryRow): boolean {
  return earlierOf(tables, own) !== undefined
}

/** Make due what was put aside behind a delivery that ends. */
function wakeNext(tables: Tables, over: DeliveryRow, nowMs: number): void {
  const known = tables.subscriptions.get(knownKey(over.shard, over.endpointId))
  if (over.state === 'pending' || known?.ordered !== true) return
  const [next] = pendingOf(tables, over.shard, over.endpointId)
    .filter(({ paymentId, position }) => paymentId === over.paymentId && position > over.position)
    .filter(({ setAside, leased }) => setAside && !leased)
    .sort((one, other) => Number(one.position - other.position))
  if (next !== undefined) free(tables, next, nowMs)
}

/** Make a delivery due that was put aside. */
export function free(tables: Tables, row: DeliveryRow, nowMs: number): void {
  const key = deliveryKey(row.eventId, row.endpointId)
  tables.deliveries.set(key, { ...row, runAt: nowMs, setAside: false })
}

/** Places of events, and their deliveries. */
export const placing: Handlers = {
  events_feed: {
    run(tables, [shard, at, limit], context) {
      const nowMs = time(at, context)
      const fresh = [...tables.events.rows]
        .filter(([, event]) => event.shard === shard && event.position === null)
        .slice(0, Number(limit))
      let position = fresh.length > 0 ? head(tables, shard) : 0n
      const known = [...tables.subscriptions.rows.values()].filter((own) => own.shard === shard)
      for (const [number, event] of fresh) {
        position += 1n
        tables.events.set(number, { ...event, position })
        for (const { deliver, types, endpointId } of known) {
          if (!deliver || !types.includes(event.type)) continue
          const { id: eventId, paymentId } = event
          const about = { shard: event.shard, eventId, endpointId, paymentId, position }
          const key = deliveryKey(eventId, endpointId)
          tables.deliveries.set(key, { ...about, ...FRESH, runAt: nowMs })
        }
      }
      return [{ count: fresh.length }]
    },
  },
  events_tell: {
    run(tables, [shard, , type, body]) {
      const about = { shard: Number(shard), paymentId: 0n, type: type as EventTypeName }
      writeEvent(tables, { ...about, sequence: null, body: String(body) })
      return []
    },
  },
}

/** Write the calls that were made, each once; what was answered to those that hold their claim. */
function writeCalls(tables: Tables, values: readonly unknown[], nowMs: number): void {
  const [shard, eventIds, endpointIds, fences, , mades, , ages, tooks, ...said] = values
  const [statuses, reasons, replies] = said.map(texts)
  ids(eventIds).forEach((eventId, index) => {
    if (texts(mades)[index] !== 'true') return
    const endpointId = ids(endpointIds)[index] as bigint
    const fence = ints(fences)[index] as number
    const key = `${deliveryKey(eventId, endpointId)} ${fence}`
    const was = tables.deliveries.get(deliveryKey(eventId, endpointId))
    const holds = was?.fence === fence && was.leased && was.state === 'pending'
    if (tables.calls.get(key) !== undefined) return
    const status = statuses?.[index] ?? null
    tables.calls.set(key, {
      shard: Number(shard),
      eventId,
      endpointId,
      fence,
      startedAt: nowMs - (ints(ages)[index] as number),
      tookMs: ints(tooks)[index] as number,
      status: status === null ? null : Number(status),
      reason: reasons?.[index] ?? null,
      reply: holds ? (replies?.[index] ?? null) : null,
    })
  })
}

/** What becomes of deliveries. */
export const delivering: Handlers = {
  deliveries_claim: {
    run(tables, [shard, at, limit, leaseMs, look, endpointIds, frees], context) {
      const nowMs = time(at, context)
      const due = ids(endpointIds).flatMap((endpointId, index) => {
        const known = tables.subscriptions.get(knownKey(shard, endpointId))
        if (known === undefined || !known.deliver || (known.pausedUntil ?? 0) > nowMs) return []
        const first = dueOf(tables, shard, endpointId, nowMs)
        const untilMs = (known.ordered ? first[Number(look) - 1]?.runAt : undefined) ?? nowMs
        return first
          .filter((own) => own.runAt <= untilMs)
          .filter((own) => !known.ordered || !waitsForEarlier(tables, own))
          .slice(0, ints(frees)[index])
      })
      const bodies = new Map([...tables.events.rows.values()].map(({ id, body }) => [id, body]))
      return due.slice(0, Number(limit)).map((was) => {
        const { eventId, endpointId } = was
        const attempts = was.attempts + Number(was.leased)
        const fence = was.fence + 1
        const runAt = nowMs + Number(leaseMs)
        const held = { ...was, runAt, fence, attempts, leased: true, setAside: false }
        tables.deliveries.set(deliveryKey(eventId, endpointId), held)
        return { eventId, endpointId, fence, attempts, body: bodies.get(eventId) }
      })
    },
  },
  deliveries_settle: {
    run(tables, [shard, at, eventIds, endpointIds, fences, ...said], context) {
      const nowMs = time(at, context)
      const [states, mades, delays] = said.map(texts)
      writeCalls(tables, [shard, eventIds, endpointIds, fences, ...said], nowMs)
      ids(eventIds).forEach((eventId, index) => {
        const key = deliveryKey(eventId, ids(endpointIds)[index] as bigint)
        const state = states?.[index] as DeliveryRow['state']
        const known = tables.subscriptions.get(knownKey(shard, ids(endpointIds)[index]))
        const quiet = (known?.deliveredAt ?? Number.NEGATIVE_INFINITY) < nowMs - 60_000
        if (known !== undefined && state === 'delivered' && quiet) {
          tables.subscriptions.set(knownKey(shard, known.endpointId), {
            ...known,
            deliveredAt: nowMs,
          })
        }
        const was = tables.deliveries.get(key)
        if (was === undefined || was.fence !== ints(fences)[index]) return
        if (!was.leased || was.state !== 'pending') return
        tables.deliveries.set(key, {
          ...was,
          state,
          runAt: nowMs + Number(delays?.[index]),
          leased: false,
          setAside: false,
          attempts: was.attempts + Number(mades?.[index] === 'true'),
          endedAt: state === 'pending' ? null : nowMs,
        })
        wakeNext(tables, { ...was, state }, nowMs)
      })
      return []
    },
  },
  deliveries_known: {
    run(tables, [, eventId, endpointId]) {
      const key = deliveryKey(BigInt(eventId as bigint), BigInt(endpointId as bigint))
      const row = tables.deliveries.get(key)
      return row === undefined ? [] : [{ leased: row.leased, retryId: row.retryId }]
    },
  },
  deliveries_retry: {
    run(tables, [, at, eventId, endpointId, act], context) {
      const key = deliveryKey(BigInt(eventId as bigint), BigInt(endpointId as bigint))
      const was = tables.deliveries.get(key)
      const retryId = BigInt(act as bigint)
      if (was === undefined || was.leased || (was.retryId ?? 0n) >= retryId) return []
      const again = { state: 'pending', runAt: time(at, context), attempts: 0, retryId } as const
      tables.deliveries.set(key, { ...was, ...again, endedAt: null, setAside: false })
      return [{ eventId: was.eventId }]
    },
  },
  deliveries_replay: {
    run(tables, [shard, at, endpoint, replay, eventIds, delays], context) {
      const nowMs = time(at, context)
      const [endpointId, replayId] = [BigInt(endpoint as bigint), BigInt(replay as bigint)]
      const known = tables.subscriptions.get(knownKey(shard, endpointId))
      if (known === undefined || known.types.length === 0) return []
      const placed = new Map([...tables.events.rows.values()].map((event) => [event.id, event]))
      return ids(eventIds).flatMap((eventId, index) => {
        const event = placed.get(eventId)
        if (event === undefined || event.position === null) return []
        const key = deliveryKey(eventId, endpointId)
        const was = tables.deliveries.get(key)
        const runAt = nowMs + Number(texts(delays)[index])
        const { paymentId, position } = event
        const about = { shard: event.shard, eventId, endpointId, paymentId, position }
        const again = { ...about, ...FRESH, runAt, replayId, retryId: was?.retryId ?? null }
        if (was?.replayId === replayId) return [{ eventId }]
        const fence = was === undefined ? 0 : was.fence + Number(was.leased)
        tables.deliveries.set(key, { ...again, fence })
        return [{ eventId }]
      })
    },
  },
}

const POSITION_MAX = 9_223_372_036_854_775_807n
const SLACK_MS = 600_000

/** Which events match, and what became of those that were sent again. */
export const replaying: Handlers = {
  replayed_place: {
    run(tables, [shard, since]) {
      const fromMs = (since as Date).getTime() - SLACK_MS
      let first = head(tables, shard) + 1n
      for (const { shard: own, position, createdAt } of tables.events.rows.values()) {
        if (own !== shard || position === null || createdAt < fromMs) continue
        if (position < first) first = position
      }
      return [{ position: first }]
    },
  },
  replayed_look: {
    run(tables, [shard, endpoint, types, undelivered, from, to, after, end, since]) {
      const endpointId = BigInt(endpoint as bigint)
      const looked = [...tables.events.rows.values()]
        .filter((event) => event.shard === shard && event.position !== null)
        .filter(({ position }) => between(position, after as bigint, end as bigint))
      const upTo = looked.at(-1)?.position
      if (upTo === undefined) return []
      const matching = looked.filter(({ id, type, createdAt: atMs }) => {
        const own = tables.deliveries.get(deliveryKey(id, endpointId))
        if (undelivered === true && own !== undefined && own.state !== 'failed') return false
        const countsFrom = (since as readonly Date[])[texts(types).indexOf(type)]?.getTime() ?? 0
        if (undelivered === true && own === undefined && atMs < countsFrom) return false
        const inTime = atMs >= (from as Date).getTime() && atMs < (to as Date).getTime()
        return inTime && texts(types).includes(type)
      })
      const none = { id: null, type: null, createdAt: null, position: null }
      if (matching.length === 0) return [{ upTo, ...none }]
      return matching.map(({ id, type, position, createdAt }) => {
        return { upTo, id, type, position, createdAt: new Date(createdAt) }
      })
    },
  },
  replayed_next: {
    run(tables, [shard, after, end]) {
      const next = [...tables.events.rows.values()].find(
        (event) => event.shard === shard && between(event.position, after as bigint, end as bigint),
      )
      return next === undefined ? [] : [{ createdAt: new Date(next.createdAt) }]
    },
  },
  deliveries_replay_states: {
    run(tables, [shard, replayId]) {
      const counts = new Map<string, number>()
      for (const row of tables.deliveries.rows.values()) {
        if (row.shard !== shard || row.replayId !== replayId) continue
        counts.set(row.state, (counts.get(row.state) ?? 0) + 1)
      }
      return [...counts].map(([state, count]) => ({ state, count }))
    },
  },
}

function between(position: bigint | null, after: bigint, end: bigint): boolean {
  return position !== null && position > after && (position < end || end === POSITION_MAX)
}
