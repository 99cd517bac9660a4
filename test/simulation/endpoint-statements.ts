import { writeJson } from '../../src/domain/exact-json.ts'
import type { EndpointRow, SubscriptionRow } from './delivery-rows.ts'
import { knownKey } from './delivery-statements.ts'
import { texts, time, type Handlers } from './handlers.ts'
import type { Tables } from './tables.ts'

/** An endpoint as its statements return it. */
function shown(row: EndpointRow) {
  const { disabledAt, createdAt, secret: _secret, acts: _acts, ...own } = row
  return {
    ...own,
    description: null,
    ratePerSecond: null,
    disabledAt: disabledAt === null ? null : new Date(disabledAt),
    createdAt: new Date(createdAt),
  }
}

const there = ({ endpoints }: Tables, id: unknown): EndpointRow | undefined => {
  const row = endpoints.get(BigInt(id as bigint))
  return row?.state === 'removed' ? undefined : row
}

/** What is kept of an endpoint in the record of what was done to it. */
const recorded = ({ types, state }: EndpointRow) => ({ types, state })

/** Change an endpoint, keep that it was done, and return it. */
function changed(
  tables: Tables,
  was: EndpointRow,
  act: 'change' | 'disable' | 'remove',
  change: Partial<EndpointRow>,
) {
  const row = { ...was, ...change, version: was.version + 1 }
  const did = { act, before: recorded(was), after: recorded(row), createdAt: row.changedAt }
  tables.nextval('endpoint_act_ids')
  tables.endpoints.set(row.id, { ...row, acts: [...was.acts, did] })
  return [shown(row)]
}

function actsOf(tables: Tables, id: unknown): EndpointRow['acts'] {
  return tables.endpoints.get(BigInt(id as bigint))?.acts ?? []
}

function turned({ before, after }: EndpointRow['acts'][number], to: EndpointRow['state']): boolean {
  return before !== null && before.state !== to && after.state === to
}

const DAY_MS = 86_400_000
/** So many of the newest acts are read. */
const ACTS_MAX = 100

/** Endpoints, at the home side. */
export const endpoints: Handlers = {
  endpoints_insert: {
    run(tables, [at, url, types, , actor, payload, ordered, secret], context) {
      const nowMs = time(at, context)
      const row: EndpointRow = {
        id: tables.nextval('webhook_endpoint_ids'),
        url: url as string | null,
        types: texts(types) as string[],
        state: 'enabled',
        payload: payload as EndpointRow['payload'],
        ordered: ordered === true,
        secret: secret as string | null,
        version: 1,
        disabledWhy: null,
        disabledAt: null,
        enabledAt: nowMs,
        changedAt: nowMs,
        createdAt: nowMs,
        createdBy: String(actor),
        acts: [],
      }
      const did = { act: 'create', before: null, after: recorded(row), createdAt: nowMs } as const
      tables.nextval('endpoint_act_ids')
      tables.endpoints.set(row.id, { ...row, acts: [did] })
      return [shown(row)]
    },
  },
  endpoints_forget: {
    run(tables, [id]) {
      const was = there(tables, id)
      return was?.version === 1 ? [{ id: was.id }] : []
    },
  },
  endpoints_read: {
    run(tables, [id]) {
      const row = there(tables, id)
      return row === undefined ? [] : [shown(row)]
    },
  },
  endpoints_list: {
    run: (tables) =>
      [...tables.endpoints.rows.values()].filter(({ state }) => state !== 'removed').map(shown),
  },
  endpoints_known: {
    run: (tables, [at], context) =>
      [...tables.endpoints.rows.values()]
        .filter((row) => row.state !== 'removed' || row.changedAt > time(at, context) - DAY_MS)
        .map(shown),
  },
  endpoints_change: {
    run(tables, [at, id, types, , , payload, ordered, state, why, url], context) {
      const was = there(tables, id)
      if (was === undefined || (url !== null && was.url === null)) return []
      const changedAt = time(at, context)
      const change = {
        types: types === null ? was.types : (texts(types) as string[]),
        payload: (payload as EndpointRow['payload'] | null) ?? was.payload,
        ordered: (ordered as boolean | null) ?? was.ordered,
        url: (url as string | null) ?? was.url,
        changedAt,
      }
      if (state === was.state) return changed(tables, was, 'change', change)
      if (state === 'disabled') {
        const off = { disabledWhy: String(why), disabledAt: changedAt }
        return changed(tables, was, 'change', { ...change, state, ...off })
      }
      if (state !== 'enabled') return changed(tables, was, 'change', change)
      const on = { state, disabledWhy: null, disabledAt: null } as const
      return changed(tables, was, 'change', { ...change, ...on, enabledAt: changedAt })
    },
  },
  endpoints_disable: {
    run(tables, [at, id, why, enabledMs, url], context) {
      const nowMs = time(at, context)
      const was = there(tables, id)
      if (was === undefined || was.state !== 'enabled' || was.url !== url) return []
      if (enabledMs !== null && was.enabledAt > nowMs - Number(enabledMs)) return []
      const off = { disabledWhy: String(why), disabledAt: nowMs, changedAt: nowMs }
      return changed(tables, was, 'disable', { state: 'disabled', ...off })
    },
  },
  endpoints_told: { run: () => [] },
  endpoints_remove: {
    run(tables, [at, id], context) {
      const was = there(tables, id)
      if (was === undefined) return []
      const gone = { url: null, secret: null, changedAt: time(at, context) }
      return changed(tables, was, 'remove', { state: 'removed', ...gone })
    },
  },
  endpoints_retry: {
    run: (tables, [, id]) =>
      there(tables, id)?.state === 'enabled' ? [{ id: tables.nextval('endpoint_act_ids') }] : [],
  },
  endpoints_changes: {
    run: (tables, [id]) =>
      (tables.endpoints.get(BigInt(id as bigint))?.acts ?? [])
        .toReversed()
        .slice(0, ACTS_MAX)
        .map((did) => ({
          ...did,
          actor: null,
          requestId: null,
          createdAt: new Date(did.createdAt),
        })),
  },
  endpoints_recorded_since: {
    run: (tables, [id]) =>
      actsOf(tables, id)
        .slice(0, 1)
        .map(({ createdAt }) => ({ since: new Date(createdAt) })),
  },
  endpoints_types_changed: {
    run: (tables, [id, floor, limit]) =>
      actsOf(tables, id)
        .filter(({ createdAt }) => createdAt >= (floor as Date).getTime())
        .map(({ before, after, createdAt }) => ({
          before: before?.types ?? null,
          after: after.types,
          at: new Date(createdAt),
        }))
        .filter(({ before, after }) => writeJson(before) !== writeJson(after))
        .toReversed()
        .slice(0, Number(limit)),
  },
  endpoints_disabled_lately: {
    run(tables, [at, id, withinMs], context) {
      const floor = time(at, context) - Number(withinMs)
      const acts = actsOf(tables, id).toReversed()
      const place = acts.findIndex((did) => did.createdAt >= floor && turned(did, 'enabled'))
      const off = place === -1 ? [] : acts.slice(place + 1).filter((did) => turned(did, 'disabled'))
      return off.slice(0, 1).map(({ createdAt }) => ({ at: new Date(createdAt) }))
    },
  },
  endpoints_called: {
    run: (tables) =>
      [...tables.endpoints.rows.values()]
        .filter(({ url, state }) => url !== null && state === 'enabled')
        .map(({ id, url, version, payload, ordered, secret }) => ({
          id,
          url,
          version,
          payload,
          ordered,
          sealed: [secret],
          left: null,
        })),
  },
}

function told(
  tables: Tables,
  shard: unknown,
  id: unknown,
  change: (was: SubscriptionRow) => SubscriptionRow,
): void {
  const was = tables.subscriptions.get(knownKey(shard, id))
  if (was !== undefined) tables.subscriptions.set(knownKey(shard, id), change(was))
}

/** What shards know of them. In a history every type is wanted by somebody who polls. */
export const subscriptions: Handlers = {
  event_wants_lock: { locks: () => ['event_wants'], run: () => [] },
  event_wants_set: { run: () => [] },
  subscriptions_wanted: { run: () => [] },
  subscriptions_read: {
    run: (tables, [shard]) =>
      [...tables.subscriptions.rows.values()].filter((row) => row.shard === shard),
  },
  subscriptions_write: {
    run(tables, [shard, id, version, types, deliver, ordered]) {
      const endpointId = BigInt(id as bigint)
      const was = tables.subscriptions.get(knownKey(shard, endpointId))
      if (was !== undefined && was.version > Number(version)) return []
      tables.subscriptions.set(knownKey(shard, endpointId), {
        shard: Number(shard),
        endpointId,
        version: Number(version),
        types: texts(types) as string[],
        deliver: deliver === true,
        ordered: ordered === true,
        pausedUntil: was?.version === Number(version) ? was.pausedUntil : null,
        deliveredAt: was?.deliveredAt ?? null,
      })
      return []
    },
  },
  subscriptions_pause: {
    run(tables, [shard, at, id, ms, version], context) {
      const untilMs = time(at, context) + Number(ms)
      told(tables, shard, id, (was) => {
        if (was.version > Number(version)) return was
        return { ...was, pausedUntil: Math.max(was.pausedUntil ?? 0, untilMs) }
      })
      return []
    },
  },
  subscriptions_pauses: {
    run(tables, [shard, at], context) {
      const nowMs = time(at, context)
      return [...tables.subscriptions.rows.values()]
        .filter((row) => row.shard === Number(shard) && row.deliver)
        .filter(({ pausedUntil }) => (pausedUntil ?? 0) > nowMs)
        .map((row) => ({ endpointId: row.endpointId, pausedUntil: new Date(row.pausedUntil ?? 0) }))
    },
  },
  subscriptions_arrived: {
    run(tables, [shard, at, id, ms], context) {
      const row = tables.subscriptions.get(knownKey(shard, id))
      const sinceMs = time(at, context) - Number(ms)
      const arrived = (row?.deliveredAt ?? Number.NEGATIVE_INFINITY) > sinceMs
      return arrived ? [{ endpointId: row?.endpointId }] : []
    },
  },
}
