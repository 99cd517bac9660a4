import { numbers } from '../domain/array-parameters.ts'
import type { EventTypeName } from '../domain/event.ts'
import {
  CLOCK,
  NOW,
  timed,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Tx,
  type Unsharded,
} from '../ports.ts'

/** An event as it is kept. */
export interface StoredEvent {
  readonly id: bigint
  /** Null: it is of no payment. */
  readonly paymentId: bigint | null
  readonly type: string
  /** Of the changes of its payment; null: it is of something else. */
  readonly sequence: number | null
  /** The document that receivers get. */
  readonly body: string
  readonly createdAt: Date
  /** Where it stands among the events of its shard. */
  readonly position: bigint
}

const COLUMNS = `
    id, nullif(payment_id, 0) as "paymentId", type, sequence, body, created_at as "createdAt",
    position`

/**
 * Keep the types that are wanted from changing anything under somebody who ends payments: whoever
 * has read them holds a share of this lock until the end of the transaction. So what is wanted from
 * now on is known to every transaction that commits from now on.
 */
const LOCK_WANTS: Unsharded<never> = {
  name: 'event_wants_lock',
  sharded: false,
  text: `
  lock table event_wants in access exclusive mode`,
}

/**
 * Say which types are wanted in a shard; those that were wanted before are wanted since then. The
 * table is locked. The number of shards and the currency of the books stand there for the
 * statements that write events.
 */
const SET_WANTS: Statement<never> = {
  name: 'event_wants_set',
  ...timed`
  insert into event_wants (shard, types, since, shards, currency)
  select
    $1::int, coalesce(array_agg(asked.type order by asked.type), '{}'),
    coalesce(array_agg(coalesce(before.since, ${NOW}) order by asked.type), '{}'), $4::int, $5
  from unnest($3::text[]) as asked (type)
  left join (
    select unnest(types) as type, unnest(since) as since
    from event_wants
    where shard = $1
  ) before on before.type = asked.type
  on conflict (shard) do update
  set types = excluded.types, since = excluded.since, shards = excluded.shards,
    currency = excluded.currency`,
}

/** Which shards of a server, from `$1` to `$2`, have events without a position. */
const SHARDS_FRESH: Unsharded<{ number: number }> = {
  name: 'looks_events',
  sharded: false,
  text: `
  select asked.number
  from generate_series($1::int, $2::int) as asked (number)
  cross join lateral (
    select id
    from events
    where shard = asked.number and position is null
    order by id
    limit 1
  ) fresh`,
}

/**
 * Give up to `$3` new events their positions, in the order of their ids, and make a delivery of
 * each to everybody who is called for its type. Under the lock of the
 * shard's row, so no event gets a lower position than one that somebody has seen already: whoever
 * pages by positions misses none. Who finds the row locked leaves it to its holder. An event that
 * another turn was quicker with is left as it is. The ids come as an array, for the planner's sake:
 * while nothing waited, it has learned that nothing ever does. They are sorted, so the place of one
 * is found without walking over all of them.
 */
const FEED: Statement<{ count: number }> = {
  name: 'events_feed',
  ...timed`
  with ${CLOCK}, feed as materialized (
    select position
    from event_wants
    where shard = $1 and exists (
      select from events
      where shard = $1 and position is null
    )
    for update skip locked
  ), fresh as materialized (
    select array_agg(id order by id) as ids
    from (
      select id
      from events
      where shard = $1 and position is null and exists (select from feed)
      order by id
      limit $3
    ) next
  ), moved as (
    update event_wants
    set position = feed.position + cardinality(fresh.ids)
    from feed, fresh
    where shard = $1 and fresh.ids is not null
  ), placed as (
    update events
    set position = feed.position + width_bucket(events.id, fresh.ids)
    from feed, fresh
    where events.shard = $1 and events.id = any (array(select unnest(ids) from fresh))
      and events.position is null
    returning events.id, events.payment_id, events.type, events.position
  ), fanned as (
    insert into deliveries
      (shard, event_id, endpoint_id, payment_id, position, run_at, created_at)
    select
      $1::int, placed.id, known.endpoint_id, placed.payment_id, placed.position, clock.time,
      clock.time
    from clock, placed
    join webhook_subscriptions known
      on known.shard = $1 and known.deliver and placed.type = any (known.types)
  )
  select count(*)::int as count
  from placed`,
}

/** Write an event that is about no payment, where it is wanted. */
const TELL: Statement<never> = {
  name: 'events_tell',
  ...timed`
  insert into events (shard, id, payment_id, type, body, created_at)
  select $1::int, nextval('event_ids') * shards + $1::int, 0, $3, $4, ${NOW}
  from event_wants
  where shard = $1 and $3 = any (types)`,
}

/** The position of the newest event of a shard that has one. */
const HEAD: Statement<{ position: bigint }> = {
  name: 'events_head',
  text: `
  select position
  from event_wants
  where shard = $1`,
}

/**
 * The position of the newest event of a shard, and of the first that there is behind `$2`; null:
 * there is none.
 */
const AHEAD: Statement<{ newest: bigint; first: bigint | null }> = {
  name: 'events_ahead',
  text: `
  select
    wants.position as newest,
    (
      select events.position
      from events
      where events.shard = $1 and events.position > $2
      order by events.position
      limit 1
    ) as first
  from event_wants wants
  where wants.shard = $1`,
}

/** The highest position of which an event was dropped for its age. */
const DROPPED: Statement<{ dropped: bigint }> = {
  name: 'events_dropped',
  text: `
  select dropped
  from event_wants
  where shard = $1`,
}

/** The next `$4` events behind position `$3`, and whether each was created over `$5` days ago. */
const AGES: Statement<{ id: bigint; position: bigint; old: boolean }> = {
  name: 'events_ages',
  ...timed`
  select id, position, created_at < ${NOW} - $5::int * interval '1 day' as old
  from events
  where shard = $1 and position > $3
  order by position
  limit $4`,
}

/** Lock events, but those that somebody sends again right now. */
const LOCK: Statement<{ id: bigint }> = {
  name: 'events_lock',
  text: `
  select id
  from events
  where shard = $1 and id = any ($2::bigint[])
  order by id
  for update skip locked`,
}

/** Drop events that were locked before, and note up to where some are gone. */
const DROP: Statement<never> = {
  name: 'events_drop',
  text: `
  with gone as (
    delete from events
    where shard = $1 and id = any ($2::bigint[])
    returning position, created_at
  ), furthest as (
    select max(position) as position, max(created_at) as created_at
    from gone
  )
  update event_wants
  set
    dropped = greatest(dropped, furthest.position),
    kept_since = greatest(kept_since, furthest.created_at)
  from furthest
  where shard = $1`,
}

/** Events with positions above `$2` up to `$3`, of all types or of those in `$4`. */
const PAGE: Statement<StoredEvent> = {
  name: 'events_page',
  text: `
  select ${COLUMNS}
  from events
  where shard = $1 and position > $2 and position <= $3
    and ($4::text[] is null or type = any ($4))
  order by position
  limit $5`,
}

/** The events of one payment with positions above `$3`, oldest first. */
const OF_PAYMENT: Statement<StoredEvent> = {
  name: 'events_of_payment',
  text: `
  select ${COLUMNS}
  from events
  where shard = $1 and payment_id = $2 and position > $3
  order by position
  limit $4`,
}

/** Say which types are wanted from now on. `locked` has been awaited in the same transaction. */
export function setWants(
  tx: Tx,
  types: readonly string[],
  books: { readonly count: number; readonly currency: string },
): void {
  tx.write(SET_WANTS, [types, books.count, books.currency])
}

/** Wait for everybody who ends payments by what was wanted so far, and let nobody begin. */
export async function lockWants(tx: Tx): Promise<void> {
  await tx.run(LOCK_WANTS, [])
}

/** Which shards of a server have events without a position. */
export async function shardsWithFresh(
  session: Shard,
  { first, last }: Server,
): Promise<readonly number[]> {
  const rows = await session.run(SHARDS_FRESH, [first, last])
  return rows.map(({ number }) => number)
}

/** Give up to `limit` new events of a shard their positions. Returns how many got one. */
export async function feedEvents(shard: Runner, limit: number): Promise<number> {
  const [row] = await shard.run(FEED, [limit])
  return row?.count ?? 0
}

/** Tell of something that is about no payment; `body` is the document that receivers get. */
export async function tellEvent(shard: Runner, type: EventTypeName, body: string): Promise<void> {
  await shard.run(TELL, [type, body])
}

/** The position of the newest event of a shard that has one; 0: none has. */
export async function newestPosition(shard: Runner): Promise<bigint> {
  const [head] = await shard.run(HEAD, [])
  return head?.position ?? 0n
}

/** How many positions one page looks at in a shard, whatever it is asked for. */
const LOOKED_AT_MAX = 10_000n

/** What one look at a shard's events gave. */
interface Look {
  /** In order of position. */
  readonly events: readonly StoredEvent[]
  /** The position behind which the first event is looked for: there is none before it. */
  readonly from: bigint
  /** The last position of which it is known whether it matches. */
  readonly upTo: bigint
  /**
   * Whether events behind the position that was asked for are gone: for their age, or because the
   * database was put back to before that position.
   */
  readonly dropped: boolean
}

/** Up to `limit` events of a shard behind a position; of all types where `types` is null. */
export async function lookAtEvents(
  shard: Runner,
  after: bigint,
  types: readonly string[] | null,
  limit: number,
): Promise<Look> {
  // Read first: what has a position up to here is seen by the statement that follows.
  const [ahead] = await shard.run(AHEAD, [after])
  const { newest = 0n, first = null } = ahead ?? {}
  // A cursor is never ahead, but where the database was put back to an earlier day.
  if (newest < after) return { events: [], from: newest, upTo: newest, dropped: true }
  if (newest === after) return { events: [], from: after, upTo: after, dropped: false }
  const from = first === null ? newest : first - 1n
  const end = from + LOOKED_AT_MAX
  const upTo = newest < end ? newest : end
  const events = first === null ? [] : await shard.run(PAGE, [from, upTo, types, limit])
  // Read last: what was dropped while this looked is known by now.
  const [gone] = await shard.run(DROPPED, [])
  const dropped = (gone?.dropped ?? 0n) > after
  const last = events.at(-1)
  const isFull = events.length === limit && last !== undefined
  return { events, from, upTo: isFull ? last.position : upTo, dropped }
}

/** An event, and whether it is older than it is kept. */
interface Aged {
  readonly id: bigint
  readonly position: bigint
  readonly old: boolean
}

/** The next `limit` events of a shard behind a position; old: created over `days` days ago. */
export function agesOfEvents(
  shard: Runner,
  after: bigint,
  limit: number,
  days: number,
): Promise<Aged[]> {
  return shard.run(AGES, [after, limit, days])
}

/** Lock events that nobody sends again right now. Returns those that are locked, in order. */
export async function lockEvents(tx: Tx, ids: readonly bigint[]): Promise<bigint[]> {
  const rows = await tx.run(LOCK, [numbers(ids)])
  return rows.map(({ id }) => id)
}

/** Drop events. */
export function dropEvents(tx: Tx, ids: readonly bigint[]): void {
  tx.write(DROP, [numbers(ids)])
}

/** Up to `limit` events of a payment behind a position of its shard, oldest first. */
export function eventsOfPayment(
  shard: Runner,
  paymentId: bigint,
  after: bigint,
  limit: number,
): Promise<StoredEvent[]> {
  return shard.run(OF_PAYMENT, [paymentId, after, limit])
}

/**
 * Take out of events what was said about payments: the one change of a body after it was written.
 * Amounts keep their decimals.
 */
const ERASE: Statement<never> = {
  name: 'events_erase',
  text: `
  update events
  set body = (
      jsonb_set(
        body::jsonb,
        '{data}',
        body::jsonb -> 'data' || '{"reference": null, "description": null, "metadata": null}'
      )
    )::text
  where shard = $1 and payment_id = any ($2::bigint[]) and type like 'payment.%'`,
}

/** Erase the texts of payments in their events, in the transaction that erases them. */
export function eraseEvents(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(ERASE, [numbers(paymentIds)])
}
