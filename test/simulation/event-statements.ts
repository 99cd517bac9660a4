import type { EventTypeName } from '../../src/domain/event.ts'
import type { EventRow } from './delivery-rows.ts'
import { ids, type Handlers } from './handlers.ts'
import { inShard, type Tables } from './tables.ts'

/** Write an event: in a history every type is wanted, of all shards and from the beginning. */
export function tell(
  tables: Tables,
  of: { readonly shard: number; readonly id: bigint },
  type: EventTypeName,
  sequence: number | null,
): void {
  const { shard, id: paymentId } = of
  const body = `{"type":"${type}","data":{"payment_id":${paymentId},"sequence":${sequence}}}`
  writeEvent(tables, { shard, paymentId, type, sequence, body })
}

/** Write an event that has no place yet. Its id tells its shard. */
export function writeEvent(
  tables: Tables,
  event: Omit<EventRow, 'id' | 'position' | 'createdAt'>,
): void {
  const { nowMs, shards } = tables.telling
  const id = tables.nextval('event_ids') * BigInt(shards) + BigInt(event.shard)
  const row = { ...event, id, createdAt: nowMs, position: null }
  tables.events.set(tables.events.rows.size, row)
}

export const tellsPending: Handlers = {
  payments_name: { run: () => [] },
  payments_pending: {
    run(tables, [shard, , paymentIds]) {
      for (const id of new Set(ids(paymentIds))) {
        const payment = inShard(tables.payments, id, shard)
        if (payment?.status !== 'new') continue
        const transitions = payment.transitions + 1
        tables.payments.set(id, { ...payment, transitions })
        tell(tables, payment, 'payment.pending', transitions)
      }
      return []
    },
  },
}
