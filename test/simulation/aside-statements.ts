import { deliveryKey, dueOf, earlierOf, free, knownKey, pendingOf } from './delivery-statements.ts'
import { ids, time, type Handlers } from './handlers.ts'

const ASIDE_MS = { min: 1_000, max: 3_600_000 }

/** What waits for an earlier event of its payment. */
export const waiting: Handlers = {
  deliveries_set_aside: {
    run(tables, [shard, at, endpointIds, look, atOnce], context) {
      const nowMs = time(at, context)
      const aside = ids(endpointIds).flatMap((endpointId) => {
        const known = tables.subscriptions.get(knownKey(shard, endpointId))
        if (known === undefined || !known.deliver || !known.ordered) return []
        const first = dueOf(tables, shard, endpointId, nowMs).slice(0, Number(atOnce))
        if (first.length < Number(look) || (known.pausedUntil ?? 0) > nowMs) return []
        return first.flatMap((row) => {
          const earlier = earlierOf(tables, row)
          return earlier === undefined ? [] : [{ row, runAt: earlier.runAt }]
        })
      })
      for (const { row, runAt } of aside) {
        tables.deliveries.set(deliveryKey(row.eventId, row.endpointId), {
          ...row,
          runAt: Math.max(Math.min(runAt, nowMs + ASIDE_MS.max), nowMs + ASIDE_MS.min),
          fence: row.fence + Number(row.leased),
          attempts: row.attempts + Number(row.leased),
          leased: false,
          setAside: true,
        })
      }
      return [{ count: aside.length }]
    },
  },
  deliveries_free: {
    run(tables, [shard, at, endpoint, looked], context) {
      const nowMs = time(at, context)
      const next = pendingOf(tables, shard, BigInt(endpoint as bigint))
        .filter(({ runAt }) => runAt > nowMs)
        .sort((one, other) => one.runAt - other.runAt)
        .slice(0, Number(looked))
      for (const row of next) if (row.setAside && !row.leased) free(tables, row, nowMs)
      return []
    },
  },
}
