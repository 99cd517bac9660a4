import type { Runner, Statement } from '../ports.ts'
import { ENDPOINTS_SEEN } from './store.ts'
import { CALL_COLUMNS, NEWEST_CALL, NEXT_AT, PAUSE, type DeliveryView } from './views-store.ts'

/** A delivery of a payment's event, and to which endpoint. */
interface PaymentDelivery extends DeliveryView {
  readonly endpointId: bigint
}

/** Events of a payment that are looked at. */
const EVENTS_MAX = 200

/** The deliveries of a payment's newest events, newest first, each with its newest call. */
const OF_PAYMENT: Statement<PaymentDelivery> = {
  name: 'deliveries_of_payment',
  text: `
  with told as materialized (
    select id, type
    from events
    where shard = $1 and payment_id = $2 and position is not null
    order by position desc
    limit ${EVENTS_MAX}
  )
  select
    own.event_id as "eventId", told.type, own.payment_id as "paymentId", own.state, own.attempts,
    ${NEXT_AT}, own.ended_at as "endedAt",
    own.created_at as "createdAt", own.position, own.endpoint_id as "endpointId", ${CALL_COLUMNS}
  from told
  cross join lateral (
    select *
    from deliveries
    where shard = $1 and event_id = told.id
    order by endpoint_id
    limit ${ENDPOINTS_SEEN}
  ) own${PAUSE}${NEWEST_CALL}
  order by own.position desc, own.endpoint_id`,
}

/** The deliveries of a payment's events, newest first. */
export function deliveriesOfPayment(shard: Runner, paymentId: bigint): Promise<PaymentDelivery[]> {
  return shard.run(OF_PAYMENT, [paymentId])
}
