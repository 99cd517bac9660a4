import { CLOCK, timed, type Runner, type Statement } from '../ports.ts'
import { REPLAYED, type DeliveryOf, type Replayed } from './delivery-values.ts'

/**
 * Try a delivery again now, as if it had not been tried; not while it is under way. The same act,
 * `$5`, does it once, and not when a later one has done it since.
 */
const RETRY: Statement<{ eventId: bigint }> = {
  name: 'deliveries_retry',
  ...timed`
  with ${CLOCK}
  update deliveries
  set
    state = 'pending', run_at = clock.time, attempts = 0, ended_at = null, set_aside = false,
    retry_id = $5
  from clock
  where shard = $1 and event_id = $3 and endpoint_id = $4 and not leased
    and coalesce(retry_id, 0) < $5
  returning event_id as "eventId"`,
}

/**
 * Send events to an endpoint again as if for the first time, `delay_ms` from now: those that were
 * never on their way to it as well. What is under way right now is sent once more: its claim has
 * lost its lease. Repeated by the same run, `$4`, it changes nothing. Returns the events that there
 * still are; none for an endpoint that was removed. The events are locked before any delivery, as
 * whoever drops old ones does, so that none goes while a delivery of it is made.
 */
const REPLAY: Statement<{ eventId: bigint }> = {
  name: 'deliveries_replay',
  ...timed`
  with ${CLOCK}, kept as materialized (
    select event.id, event.payment_id, event.position, asked.delay_ms
    from ${REPLAYED.unnest('asked', 5)}
    cross join lateral (
      select events.id, events.payment_id, events.position
      from events
      where events.shard = $1 and events.id = asked.event_id and events.position is not null
      limit 1
      for key share
    ) event
    where exists (
      select
      from webhook_subscriptions known
      where known.shard = $1 and known.endpoint_id = $3 and known.types <> '{}'
    )
  ), sent as (
    insert into deliveries as own
      (shard, event_id, endpoint_id, payment_id, position, run_at, created_at, replay_id)
    select
      $1::int, id, $3, payment_id, position, clock.time + delay_ms * interval '1 millisecond',
      clock.time, $4
    from clock, kept
    order by id
    on conflict (shard, event_id, endpoint_id) do update
    set
      state = 'pending', run_at = excluded.run_at, attempts = 0, leased = false,
      fence = own.fence + own.leased::int, ended_at = null, replay_id = excluded.replay_id,
      set_aside = false
    where own.replay_id is distinct from excluded.replay_id
  )
  select id as "eventId"
  from kept`,
}

/** Try one delivery again, by an act; false: there is none, it is under way, or that is done. */
export async function retryDelivery(
  shard: Runner,
  { eventId, endpointId }: DeliveryOf,
  actId: bigint,
): Promise<boolean> {
  const rows = await shard.run(RETRY, [eventId, endpointId, actId])
  return rows.length > 0
}

/** Send events to an endpoint again, by a run. Returns how many of them there still are. */
export async function replayDeliveries(
  shard: Runner,
  endpointId: bigint,
  replayId: bigint,
  events: readonly Replayed[],
): Promise<number> {
  const rows = await shard.run(REPLAY, [endpointId, replayId, ...REPLAYED.of(events)])
  return rows.length
}
