import { columns, numbers } from '../domain/columns.ts'
import { CLOCK, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** A delivery that is due, with what is to be sent. */
export interface DueDelivery {
  readonly eventId: bigint
  readonly endpointId: bigint
  /** Only the newest claim may say what came of it. */
  readonly fence: number
  /** Calls before this one. */
  readonly attempts: number
  readonly body: string
}

/** How many deliveries of an endpoint may be claimed. */
interface Room {
  readonly endpointId: bigint
  readonly free: number
}

const ROOMS = columns<Room>({ endpointId: 'bigint', free: 'int' })

/**
 * Claim up to `$3` due deliveries, and of each endpoint as many as there is room for: so one that
 * is slow takes nobody's place. A claim moves `run_at` to the end of its lease of `$4`
 * milliseconds, so those of a dead worker come due again. One that was lost counts as a call: it
 * may have been made. Where an endpoint is `ordered`, nothing is claimed of a payment whose earlier
 * event is still on its way. The ids come as arrays, for the planner's sake.
 */
const CLAIM: Statement<DueDelivery> = {
  name: 'deliveries_claim',
  ...timed`
  with ${CLOCK}, room as materialized (
    select room.endpoint_id, room.free, known.ordered
    from ${ROOMS.unnest('room', 5)}
    join webhook_subscriptions known
      on known.shard = $1 and known.endpoint_id = room.endpoint_id and known.deliver
    where known.paused_until is null or known.paused_until <= (select time from clock)
  ), due as materialized (
    select next.event_id, next.endpoint_id
    from room
    cross join lateral (
      select own.event_id, own.endpoint_id
      from deliveries own
      where own.shard = $1 and own.endpoint_id = room.endpoint_id and own.state = 'pending'
        and own.run_at <= (select time from clock)
        and not (room.ordered and exists (
          select
          from deliveries earlier
          where earlier.shard = $1 and earlier.endpoint_id = own.endpoint_id
            and earlier.payment_id = own.payment_id and earlier.state = 'pending'
            and earlier.position < own.position
        ))
      order by own.run_at
      limit room.free
      for update of own skip locked
    ) next
    limit $3
  )
  update deliveries delivery
  set
    run_at = clock.time + $4::int * interval '1 millisecond',
    fence = delivery.fence + 1,
    attempts = delivery.attempts + delivery.leased::int,
    leased = true
  from clock, due
  cross join lateral (
    select body
    from events
    where events.shard = $1 and events.id = due.event_id
    limit 1
  ) event
  where delivery.shard = $1 and delivery.event_id = due.event_id
    and delivery.endpoint_id = due.endpoint_id
  returning
    delivery.event_id as "eventId", delivery.endpoint_id as "endpointId", delivery.fence,
    delivery.attempts, event.body`,
}

/** An event that is to be sent again, and when. */
interface Replayed {
  readonly eventId: bigint
  readonly delayMs: number
}

const REPLAYED = columns<Replayed>({ eventId: 'bigint', delayMs: 'int' })

/** What a claim came to. */
export interface DeliveryResult {
  readonly eventId: bigint
  readonly endpointId: bigint
  readonly fence: number
  readonly state: 'pending' | 'delivered' | 'failed'
  /** False: it was not made, and counts as no call. */
  readonly made: boolean
  readonly delayMs: number
  readonly ageMs: number
  readonly tookMs: number
  readonly status: number | null
  readonly reason: string | null
  readonly reply: string | null
}

const RESULTS = columns<DeliveryResult>({
  eventId: 'bigint',
  endpointId: 'bigint',
  fence: 'int',
  state: 'word',
  made: 'boolean',
  delayMs: 'bigint',
  ageMs: 'bigint',
  tookMs: 'int',
  status: 'int',
  reason: 'text',
  reply: 'text',
})

/**
 * Write what claims came to, and the calls that were made. A claim that lost its lease changes
 * nothing and leaves its call. Deliveries are locked in the order of their key, as replays lock
 * them. When something arrives, an endpoint is not silent: noted once a minute, because all its
 * deliveries would wait for one row, and by whoever finds that row free.
 */
const SETTLE: Statement<never> = {
  name: 'deliveries_settle',
  ...timed`
  with ${CLOCK}, result as materialized (
    select *
    from ${RESULTS.unnest('result', 3)}
  ), called as (
    insert into delivery_attempts
      (shard, event_id, endpoint_id, fence, started_at, took_ms, status, reason, reply)
    select
      $1::int, event_id, endpoint_id, fence, time - age_ms * interval '1 millisecond', took_ms,
      status, reason, reply
    from clock, result
    where made
    on conflict (shard, event_id, endpoint_id, fence) do nothing
  ), quiet as materialized (
    select endpoint_id
    from webhook_subscriptions
    where shard = $1
      and endpoint_id = any (array(select endpoint_id from result where state = 'delivered'))
      and (
        delivered_at is null or delivered_at < (select time from clock) - interval '1 minute'
      )
    for update skip locked
  ), arrived as (
    update webhook_subscriptions known
    set delivered_at = clock.time
    from clock
    where known.shard = $1 and known.endpoint_id = any (array(select endpoint_id from quiet))
  ), own as materialized (
    select result.*
    from result
    join deliveries held
      on held.shard = $1 and held.event_id = result.event_id
        and held.endpoint_id = result.endpoint_id and held.fence = result.fence
        and held.leased and held.state = 'pending'
    order by held.event_id, held.endpoint_id
    for update of held
  )
  update deliveries delivery
  set
    state = own.state,
    run_at = clock.time + own.delay_ms * interval '1 millisecond',
    leased = false,
    attempts = delivery.attempts + own.made::int,
    ended_at = case when own.state = 'pending' then null else clock.time end
  from clock, own
  where delivery.shard = $1 and delivery.event_id = own.event_id
    and delivery.endpoint_id = own.endpoint_id`,
}

/** Try a delivery again now, as if it had not been tried; not while it is under way. */
const RETRY: Statement<{ eventId: bigint }> = {
  name: 'deliveries_retry',
  ...timed`
  with ${CLOCK}
  update deliveries
  set state = 'pending', run_at = clock.time, attempts = 0, ended_at = null
  from clock
  where shard = $1 and event_id = $3 and endpoint_id = $4 and not leased
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
      fence = own.fence + own.leased::int, ended_at = null, replay_id = excluded.replay_id
    where own.replay_id is distinct from excluded.replay_id
  )
  select id as "eventId"
  from kept`,
}

/**
 * Lock the deliveries of events, and say which events are still on their way to somebody: not to
 * an endpoint that was removed, which nothing is sent to any more.
 */
const ON_THEIR_WAY: Statement<{ eventId: bigint; pending: boolean }> = {
  name: 'deliveries_on_their_way',
  text: `
  select
    own.event_id as "eventId",
    own.state = 'pending' and exists (
      select
      from webhook_subscriptions known
      where known.shard = $1 and known.endpoint_id = own.endpoint_id and known.types <> '{}'
    ) as pending
  from deliveries own
  where own.shard = $1 and own.event_id = any ($2::bigint[])
  order by own.event_id, own.endpoint_id
  for update of own`,
}

/** Which events are still on their way to somebody, as the one above, and without a lock. */
const WAITED_FOR: Statement<{ eventId: bigint }> = {
  name: 'deliveries_waited_for',
  text: `
  select own.event_id as "eventId"
  from deliveries own
  where own.shard = $1 and own.event_id = any ($2::bigint[]) and own.state = 'pending'
    and exists (
      select
      from webhook_subscriptions known
      where known.shard = $1 and known.endpoint_id = own.endpoint_id and known.types <> '{}'
    )`,
}

/** Drop the deliveries of events, with their attempts. They were locked before. */
const DROP: Statement<never> = {
  name: 'deliveries_drop',
  text: `
  with attempts as (
    delete from delivery_attempts
    where shard = $1 and event_id = any ($2::bigint[])
  )
  delete from deliveries
  where shard = $1 and event_id = any ($2::bigint[])`,
}

/** Claim due deliveries. Committed when it returns. */
export function claimDeliveries(
  shard: Runner,
  limit: number,
  leaseMs: number,
  rooms: readonly Room[],
): Promise<DueDelivery[]> {
  return shard.run(CLAIM, [limit, leaseMs, ...ROOMS.of(rooms)])
}

/** Write what claims came to, in one statement. */
export async function settleDeliveries(
  shard: Runner,
  results: readonly DeliveryResult[],
): Promise<void> {
  await shard.run(SETTLE, RESULTS.of(results))
}

/** Try one delivery again; false: there is none, or it is under way. */
export async function retryDelivery(
  shard: Runner,
  eventId: bigint,
  endpointId: bigint,
): Promise<boolean> {
  const rows = await shard.run(RETRY, [eventId, endpointId])
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

/** Lock the deliveries of events; which of the events are still on their way to somebody. */
export async function eventsOnTheirWay(tx: Tx, eventIds: readonly bigint[]): Promise<Set<bigint>> {
  const rows = await tx.run(ON_THEIR_WAY, [numbers(eventIds)])
  return new Set(rows.filter(({ pending }) => pending).map(({ eventId }) => eventId))
}

/** Which of the events are on their way to somebody right now. Locks nothing. */
export async function eventsWaitedFor(
  shard: Runner,
  eventIds: readonly bigint[],
): Promise<Set<bigint>> {
  const rows = await shard.run(WAITED_FOR, [numbers(eventIds)])
  return new Set(rows.map(({ eventId }) => eventId))
}

/** Drop the deliveries of events, and their attempts. */
export function dropDeliveries(tx: Tx, eventIds: readonly bigint[]): void {
  tx.write(DROP, [numbers(eventIds)])
}
