import { ids, texts, time, type Handlers } from './handlers.ts'
import { inShard, type PaymentRow, type Tables, type WatchRow } from './tables.ts'

/** Looks at a payment because of notices are so far apart, in milliseconds. */
const APART_MS = 10_000

/** When a payment may be looked at again because of a notice. */
function soonest({ askedAt }: Pick<WatchRow, 'askedAt'>, nowMs: number): number {
  return Math.max(nowMs, (askedAt ?? Number.NEGATIVE_INFINITY) + APART_MS)
}

const FRESH = { leased: false, looked: false, noticed: false, askedAt: null } as const

/** Whether a payment failed, and that its gateway had executed it is booked. */
export function isCorrected({ postings }: Tables, { userId, id, status }: PaymentRow): boolean {
  return status === 'failed' && postings.get(`${userId} ${id} settle_late`) !== undefined
}

/** Whether a notice that tells this has a payment looked at, now or once it has ended. */
function isNews(
  tables: Tables,
  payment: PaymentRow,
  { cameBack, ofSuccess, ofFailed }: Readonly<Record<string, unknown>>,
): boolean {
  const { id, status, attempts } = payment
  if (status === 'success') return ofSuccess === true
  const corrected = isCorrected(tables, payment)
  if (status === 'failed') return ofFailed === true && (corrected || attempts > 0)
  return cameBack === true || (ofFailed === true && tables.tasks.get(id)?.leased === true)
}

/** Final payments that are looked at again. */
export const watches: Handlers = {
  watches_insert: {
    run(tables, [shard, at, paymentIds, gateways, delays], context) {
      const nowMs = time(at, context)
      ids(paymentIds).forEach((paymentId, index) => {
        const runAt = nowMs + Number(texts(delays)[index])
        const was = tables.watches.get(paymentId)
        if (was !== undefined) {
          if (!was.leased && !was.looked && was.runAt <= runAt) return
          const sooner = was.looked ? soonest(was, runAt) : Math.min(was.runAt, runAt)
          const next = { looked: false, noticed: was.leased }
          tables.watches.set(paymentId, { ...was, ...next, runAt: was.leased ? was.runAt : sooner })
          return
        }
        const about = { shard: Number(shard), paymentId, gateway: texts(gateways)[index] ?? '' }
        tables.watches.set(paymentId, { ...about, ...FRESH, runAt, fence: BigInt(nowMs) })
      })
      return []
    },
  },
  watches_notice: {
    run(tables, [shard, at, id, gateway, type, cameBack, ofSuccess, ofFailed], context) {
      const paymentId = BigInt(id as bigint)
      const payment = inShard(tables.payments, paymentId, shard)
      if (payment === undefined || payment.type !== type || payment.gateway !== gateway) return []
      if (!isNews(tables, payment, { cameBack, ofSuccess, ofFailed })) return []
      const ended = payment.status === 'success' || isCorrected(tables, payment)
      const clockMs = time(at, context)
      // What has not ended well yet may have a minute later.
      const nowMs = clockMs + (ended ? 0 : 60_000)
      const was = tables.watches.get(paymentId)
      if (was === undefined) {
        const about = { shard: Number(shard), paymentId, gateway: payment.gateway }
        const made = { ...about, ...FRESH, runAt: nowMs, fence: BigInt(clockMs) }
        tables.watches.set(paymentId, made)
        return [{ paymentId }]
      }
      const atMs = soonest(was, nowMs)
      if (was.leased ? was.noticed : !was.looked && was.runAt <= atMs) return []
      const runAt = was.leased ? was.runAt : Math.min(was.runAt, atMs)
      tables.watches.set(paymentId, { ...was, looked: false, noticed: was.leased, runAt })
      return [{ paymentId }]
    },
  },
  watches_claim: {
    run(tables, [shard, at, limit, leaseMs, gateway], context) {
      const nowMs = time(at, context)
      const due = [...tables.watches.rows.values()]
        .filter((one) => one.shard === shard && one.gateway === gateway && one.runAt <= nowMs)
        .sort((one, other) => one.runAt - other.runAt)
        .slice(0, Number(limit))
      for (const { paymentId } of due.filter(({ looked }) => looked)) {
        tables.watches.delete(paymentId)
      }
      return due.flatMap((was) => {
        if (was.looked) return []
        const { paymentId } = was
        const fence = was.fence + 1n
        const runAt = nowMs + Number(leaseMs)
        const held = { ...was, fence, runAt, leased: true, noticed: false, askedAt: nowMs }
        tables.watches.set(paymentId, held)
        return [{ paymentId, fence, claimedAt: new Date(nowMs) }]
      })
    },
  },
  watches_held: {
    run(tables, [shard, id, fence]) {
      const was = inShard(tables.watches, BigInt(id as bigint), shard)
      return was?.leased === true && was.fence === fence ? [{ paymentId: was.paymentId }] : []
    },
  },
  watches_end: {
    run(tables, [shard, at, paymentIds, fences, delays], context) {
      const nowMs = time(at, context)
      ids(paymentIds).forEach((paymentId, index) => {
        const was = inShard(tables.watches, paymentId, shard)
        if (was === undefined || !was.leased || was.fence !== ids(fences)[index]) return
        const delay = texts(delays)[index] ?? null
        const later = delay === null ? Infinity : nowMs + Number(delay)
        const again = delay === null || was.noticed ? soonest(was, nowMs) : Infinity
        const looked = delay === null && !was.noticed
        const runAt = Math.min(later, again)
        tables.watches.set(paymentId, { ...was, leased: false, noticed: false, looked, runAt })
      })
      return []
    },
  },
}
