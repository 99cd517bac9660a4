import { numbers } from '../domain/array-parameters.ts'
import {
  CLOCK,
  LEASE,
  timed,
  timedUnsharded,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Tx,
  type Unsharded,
} from '../ports.ts'
import { ASIDE, FREED_MAX, LOOKS_ASIDE, RESULTS, ROOMS } from './delivery-values.ts'
import type { ClaimLimits, DeliveryResult, DueDelivery, Room } from './delivery-values.ts'

/**
 * Claim up to `$3` due deliveries, and of each endpoint as many as there is room for: so one that
 * is slow takes nobody's place. A claim moves `run_at` to the end of its lease of `$4`
 * milliseconds, so those of a dead worker come due again. One that was lost counts as a call: it
 * may have been made. Where an endpoint is `ordered`, nothing is claimed of a payment whose earlier
 * event is still on its way: of such an endpoint the first `$5` that are due are looked at, and
 * what waits among them is put aside by the statement below. The ids come as arrays, for the
 * planner's sake.
 */
const CLAIM: Statement<DueDelivery> = {
  name: 'deliveries_claim',
  ...timed`
  with ${CLOCK}, ${LEASE}, room as materialized (
    select
      room.endpoint_id, room.free, known.ordered,
      coalesce(
        case when known.ordered then (
          select ahead.run_at
          from deliveries ahead
          where ahead.shard = $1 and ahead.endpoint_id = room.endpoint_id
            and ahead.state = 'pending' and ahead.run_at <= (select time from clock)
          order by ahead.run_at
          offset $5::int - 1
          limit 1
        ) end,
        (select time from clock)
      ) as until
    from ${ROOMS.unnest('room', 6)}
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
        and own.run_at <= room.until
        and not (room.ordered and own.payment_id <> 0 and exists (
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
    run_at = lease.until,
    fence = delivery.fence + 1,
    attempts = delivery.attempts + delivery.leased::int,
    leased = true,
    set_aside = false
  from lease, due
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

/**
 * Put aside what waits for an earlier event of its payment, where at least `$4` deliveries of an
 * ordered endpoint are due: of the first `$5`, so that the next claim finds others. Each comes
 * due again when the earlier one does, in an hour at most: so nothing is lost where that one ends
 * unseen. A delivery that changes meanwhile is left as it is, and one that is locked too. `is not
 * distinct` keeps the planner from the index of times, where many are the same.
 */
const SET_ASIDE: Statement<{ count: number }> = {
  name: 'deliveries_set_aside',
  ...timed`
  with ${CLOCK}, looked as materialized (
    select next.*
    from unnest($3::bigint[]) as asked (endpoint_id)
    join webhook_subscriptions known
      on known.shard = $1 and known.endpoint_id = asked.endpoint_id
        and known.deliver and known.ordered
    cross join lateral (
      select first.*, count(*) over () as found
      from (
        select own.event_id, own.endpoint_id, own.payment_id, own.position, own.run_at
        from deliveries own
        where own.shard = $1 and own.endpoint_id = known.endpoint_id and own.state = 'pending'
          and own.run_at <= (select time from clock)
        order by own.run_at
        limit $5
      ) first
    ) next
    where next.found >= $4::int
      and (known.paused_until is null or known.paused_until <= (select time from clock))
  ), waiting as materialized (
    select own.event_id, own.endpoint_id, earlier.run_at
    from looked
    cross join lateral (
      select head.run_at
      from deliveries head
      where head.shard = $1 and head.endpoint_id = looked.endpoint_id
        and head.payment_id = looked.payment_id and head.payment_id <> 0
        and head.state = 'pending'
        and head.position < looked.position
      order by head.position
      limit 1
    ) earlier
    cross join lateral (
      select event_id, endpoint_id
      from deliveries
      where shard = $1 and event_id = looked.event_id and endpoint_id = looked.endpoint_id
        and state = 'pending' and run_at is not distinct from looked.run_at
      limit 1
      for update skip locked
    ) own
  ), bounds as materialized (
    select time + ${ASIDE.min} as soonest, time + ${ASIDE.max} as latest
    from clock
  ), aside as (
    update deliveries delivery
    set
      run_at = greatest(least(waiting.run_at, bounds.latest), bounds.soonest),
      fence = delivery.fence + delivery.leased::int,
      attempts = delivery.attempts + delivery.leased::int,
      leased = false,
      set_aside = true
    from bounds, waiting
    where delivery.shard = $1 and delivery.event_id = waiting.event_id
      and delivery.endpoint_id = waiting.endpoint_id
    returning delivery.event_id
  )
  select count(*)::int as count
  from aside`,
}

/**
 * Make due what was put aside for an endpoint that is not ordered any more, of the next `$4`
 * deliveries: those behind them come due by themselves.
 */
const FREE: Statement<never> = {
  name: 'deliveries_free',
  ...timed`
  with ${CLOCK}, looked as materialized (
    select own.event_id, own.set_aside
    from deliveries own
    where own.shard = $1 and own.endpoint_id = $3 and own.state = 'pending'
      and own.run_at > (select time from clock)
    order by own.run_at
    limit $4
  ), aside as materialized (
    select own.event_id
    from looked
    cross join lateral (
      select event_id
      from deliveries
      where shard = $1 and event_id = looked.event_id and endpoint_id = $3
        and set_aside and not leased
      limit 1
      for update skip locked
    ) own
    where looked.set_aside
  )
  update deliveries
  set run_at = clock.time, set_aside = false
  from clock
  where shard = $1 and endpoint_id = $3 and event_id = any (array(select event_id from aside))`,
}

/**
 * Write what claims came to, and the calls that were made. A claim that lost its lease changes
 * nothing and leaves its call, without what was answered: an erasure may have taken the lease away.
 * Deliveries are locked in the order of their key, as replays lock
 * them. When something arrives, an endpoint is not silent: noted once a minute, because all its
 * deliveries would wait for one row, and by whoever finds that row free. What was put aside behind
 * a delivery that ends is due at once; one that is locked comes due by itself.
 */
const SETTLE: Statement<never> = {
  name: 'deliveries_settle',
  ...timed`
  with ${CLOCK}, result as materialized (
    select *
    from ${RESULTS.unnest('result', 3)}
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
    select ended.*, held.payment_id, held.position
    from (
      select
        result.*, clock.time, clock.time + result.delay_ms * interval '1 millisecond' as due_at
      from clock, result
      order by result.event_id, result.endpoint_id
    ) ended
    cross join lateral (
      select payment_id, position
      from deliveries
      where shard = $1 and event_id = ended.event_id and endpoint_id = ended.endpoint_id
        and fence = ended.fence and leased and state = 'pending'
      limit 1
      for update
    ) held
  ), called as (
    insert into delivery_attempts
      (shard, event_id, endpoint_id, fence, started_at, took_ms, status, reason, reply)
    select
      $1::int, result.event_id, result.endpoint_id, result.fence,
      clock.time - result.age_ms * interval '1 millisecond', result.took_ms, result.status,
      result.reason, own.reply
    from clock
    cross join result
    left join own
      on own.event_id = result.event_id and own.endpoint_id = result.endpoint_id
        and own.fence = result.fence
    where result.made
    on conflict (shard, event_id, endpoint_id, fence) do nothing
  ), later as materialized (
    select next.event_id, next.endpoint_id
    from own
    cross join lateral (
      select behind.event_id, behind.endpoint_id
      from deliveries behind
      where behind.shard = $1 and behind.endpoint_id = own.endpoint_id
        and behind.payment_id = own.payment_id and behind.state = 'pending'
        and behind.position > own.position and behind.set_aside and not behind.leased
      order by behind.position
      limit 1
      for update skip locked
    ) next
    where own.state <> 'pending' and own.endpoint_id = any (array(
      select endpoint_id
      from webhook_subscriptions
      where shard = $1 and ordered
    ))
  ), woken as (
    update deliveries delivery
    set run_at = clock.time, set_aside = false
    from clock, later
    where delivery.shard = $1 and delivery.event_id = later.event_id
      and delivery.endpoint_id = later.endpoint_id
  )
  update deliveries delivery
  set
    state = own.state,
    run_at = own.due_at,
    leased = false,
    set_aside = false,
    attempts = delivery.attempts + own.made::int,
    ended_at = case when own.state = 'pending' then null else own.time end
  from own
  where delivery.shard = $1 and delivery.event_id = own.event_id
    and delivery.endpoint_id = own.endpoint_id`,
}

/**
 * Which shards of a server, from `$2` to `$3`, have due deliveries: one look at an end of the
 * claim's index for each endpoint that a shard delivers to.
 */
const SHARDS_DUE: Unsharded<{ number: number }> = {
  name: 'looks_deliveries',
  ...timedUnsharded`
  with ${CLOCK}
  select asked.number
  from clock, generate_series($2::int, $3::int) as asked (number)
  where exists (
    select
    from webhook_subscriptions known
    cross join lateral (
      select run_at
      from deliveries
      where shard = asked.number and endpoint_id = known.endpoint_id and state = 'pending'
      order by run_at
      limit 1
    ) oldest
    where known.shard = asked.number and known.deliver and oldest.run_at <= time
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
  { limit, leaseMs, look }: ClaimLimits,
  rooms: readonly Room[],
): Promise<DueDelivery[]> {
  return shard.run(CLAIM, [limit, leaseMs, look, ...ROOMS.of(rooms)])
}

/**
 * Put aside what waits for an earlier event, of ordered endpoints with `look` due deliveries or
 * more. Returns how many were.
 */
export async function setWaitingAside(
  shard: Runner,
  endpointIds: readonly bigint[],
  look: number,
): Promise<number> {
  const [row] = await shard.run(SET_ASIDE, [numbers(endpointIds), look, look * LOOKS_ASIDE])
  return row?.count ?? 0
}

/** Make due what was put aside for an endpoint that is not ordered any more. */
export async function freeDeliveries(shard: Runner, endpointId: bigint): Promise<void> {
  await shard.run(FREE, [endpointId, FREED_MAX])
}

/** Write what claims came to, in one statement. */
export async function settleDeliveries(
  shard: Runner,
  results: readonly DeliveryResult[],
): Promise<void> {
  await shard.run(SETTLE, RESULTS.of(results))
}

/** Drop the deliveries of events, and their attempts. */
export function dropDeliveries(tx: Tx, eventIds: readonly bigint[]): void {
  tx.write(DROP, [numbers(eventIds)])
}

/** Which shards of a server have due deliveries. */
export async function shardsWithDeliveries(
  session: Shard,
  { first, last }: Server,
): Promise<readonly number[]> {
  const rows = await session.run(SHARDS_DUE, [first, last])
  return rows.map(({ number }) => number)
}
