import type { Runner, Statement } from '../ports.ts'
import type { DeliveryOf } from './delivery-values.ts'

/** A delivery as it is shown. */
export interface DeliveryView {
  readonly eventId: bigint
  readonly type: string
  readonly paymentId: bigint | null
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly attempts: number
  readonly nextAt: Date | null
  readonly endedAt: Date | null
  readonly createdAt: Date
  readonly position: bigint
  /** Of the newest call; null: none was made. */
  readonly status: number | null
  readonly reason: string | null
  readonly reply: string | null
  readonly calledAt: Date | null
  readonly tookMs: number | null
}

/** How many deliveries a list with a state looks at in a shard, whatever they are. */
const LOOKED_AT_MAX = 10_000

/** The newest call of the delivery `own`; its columns are null where none was made. */
export const NEWEST_CALL = `
  left join lateral (
    select status, reason, reply, started_at, took_ms
    from delivery_attempts
    where delivery_attempts.shard = $1 and delivery_attempts.event_id = own.event_id
      and delivery_attempts.endpoint_id = own.endpoint_id
    order by fence desc
    limit 1
  ) call on true`

/** The columns of that call. */
export const CALL_COLUMNS = `call.status,
    call.reason, call.reply, call.started_at as "calledAt", call.took_ms as "tookMs"`

/** The pause of the endpoint of the delivery `own`, and when that is tried next at the earliest. */
export const PAUSE = `
  left join webhook_subscriptions known
    on known.shard = $1 and known.endpoint_id = own.endpoint_id`
export const NEXT_AT = `case
      when own.state = 'pending' then greatest(own.run_at, known.paused_until)
    end as "nextAt"`

/** The newest deliveries of an endpoint, below position `$3`, each with its newest call. */
const LIST: Statement<DeliveryView> = {
  name: 'deliveries_list',
  text: `
  select
    own.event_id as "eventId", event.type, nullif(own.payment_id, 0) as "paymentId", own.state,
    own.attempts, ${NEXT_AT},
    own.ended_at as "endedAt", own.created_at as "createdAt", own.position, ${CALL_COLUMNS}
  from (
    select *
    from (
      select *
      from deliveries
      where shard = $1 and endpoint_id = $2 and position < $3
      order by position desc
      limit ${LOOKED_AT_MAX}
    ) looked
    where $4::text is null or state = $4
    order by position desc
    limit $5
  ) own
  left join lateral (
    select type
    from events
    where events.shard = $1 and events.id = own.event_id
    limit 1
  ) event on true${PAUSE}${NEWEST_CALL}
  order by own.position desc`,
}

/** A call of an endpoint, and what came of it. */
export interface AttemptView {
  /** Counts the claims: a number that is missing was claimed and not called. */
  readonly fence: number
  readonly calledAt: Date
  readonly tookMs: number
  readonly status: number | null
  readonly reason: string | null
  readonly reply: string | null
}

/** Calls of one delivery that are shown: ten a round, and a round for each time it was repeated. */
const ATTEMPTS_MAX = 1_000

/** The newest calls of one delivery, newest first. */
const ATTEMPTS: Statement<AttemptView> = {
  name: 'deliveries_attempts',
  text: `
  select fence, started_at as "calledAt", took_ms as "tookMs", status, reason, reply
  from delivery_attempts
  where shard = $1 and event_id = $2 and endpoint_id = $3
  order by fence desc
  limit ${ATTEMPTS_MAX}`,
}

/** How a delivery stands. */
interface KnownDelivery {
  /** Whether it is under way right now. */
  readonly leased: boolean
  /** The newest act that has made it due; null: none has. */
  readonly retryId: bigint | null
}

const KNOWN: Statement<KnownDelivery> = {
  name: 'deliveries_known',
  text: `
  select leased, retry_id as "retryId"
  from deliveries
  where shard = $1 and event_id = $2 and endpoint_id = $3`,
}

/** Deliveries of an endpoint in a shard, newest first. */
export function listDeliveries(
  shard: Runner,
  endpointId: bigint,
  state: DeliveryView['state'] | null,
  limit: number,
): Promise<DeliveryView[]> {
  return shard.run(LIST, [endpointId, 9_223_372_036_854_775_807n, state, limit])
}

/** How one delivery stands; null: there is none. */
export async function knownDelivery(
  shard: Runner,
  { eventId, endpointId }: DeliveryOf,
): Promise<KnownDelivery | null> {
  const [known] = await shard.run(KNOWN, [eventId, endpointId])
  return known ?? null
}

/** The calls of one delivery, newest first; null: there is no such delivery. */
export async function listAttempts(
  shard: Runner,
  eventId: bigint,
  endpointId: bigint,
): Promise<AttemptView[] | null> {
  const known = await knownDelivery(shard, { eventId, endpointId })
  return known === null ? null : shard.run(ATTEMPTS, [eventId, endpointId])
}
