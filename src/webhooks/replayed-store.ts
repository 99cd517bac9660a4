import type { Runner, Statement } from '../ports.ts'

/** Which events are to be sent to an endpoint again. */
export interface ReplayFilter {
  /** Kinds written out. */
  readonly types: readonly string[]
  /** Only what never arrived and is not on its way: what failed, or was never sent. */
  readonly undelivered: boolean
  /** Since when an event of a type that was never sent counts as undelivered; not there: always. */
  readonly unsentSince?: ReadonlyMap<string, Date>
  readonly createdAfter: Date | null
  readonly createdBefore: Date | null
}

/** An event that matches. */
export interface MatchingEvent {
  readonly id: bigint
  readonly type: string
  readonly createdAt: Date
  readonly position: bigint
}

/** Events that one statement looks at, whatever it is asked for. */
const LOOKED_AT_MAX = 10_000

/**
 * How far times and positions may disagree: an event gets its place after its transaction, which
 * takes less than that.
 */
const SLACK_MS = 600_000
const SLACK = `interval '${SLACK_MS} milliseconds'`

/**
 * The first position at which an event may have been created at `$2` or later: found by
 * halving, as places are given about in the order of time. Each step reads one row of the index,
 * wherever events are no longer kept.
 */
const PLACE: Statement<{ position: bigint }> = {
  name: 'replayed_place',
  text: `
  with recursive search (low, high) as (
    select 1::bigint, position + 1
    from event_wants
    where shard = $1
    union all
    select
      case when probe.created_at < $2::timestamptz - ${SLACK} then probe.position + 1 else low end,
      case when probe.created_at < $2::timestamptz - ${SLACK} then high else middle end
    from search
    cross join lateral (
      select
        (low + high) / 2 as middle
    ) half
    left join lateral (
      select position, created_at
      from events
      where shard = $1 and position >= middle and position < high
      order by position
      limit 1
    ) probe on true
    where low < high
  )
  select low as position
  from search
  where low >= high`,
}

/** What a look at events found; a row without an event where none of them matches. */
interface Looked {
  /** The last position that was looked at. */
  readonly upTo: bigint
  readonly id: bigint | null
  readonly type: string | null
  readonly createdAt: Date | null
  readonly position: bigint | null
}

/**
 * Look at the next 10,000 events behind position `$7`: those that match, in order. No row:
 * there are none any more. The positions keep events out that have no place in the list yet: they
 * are still to be sent for the first time. Each type has in `$9` since when it counts though it was
 * never sent.
 */
const LOOK: Statement<Looked> = {
  name: 'replayed_look',
  text: `
  with looked as materialized (
    select id, type, created_at, position
    from events
    where shard = $1 and position > $7 and position < $8
    order by position
    limit ${LOOKED_AT_MAX}
  )
  select far.position as "upTo", event.id, event.type, event.created_at as "createdAt",
    event.position
  from (
    select max(position) as position
    from looked
  ) far
  left join (
    select *
    from looked
    where type = any ($3::text[])
      and created_at >= $5::timestamptz and created_at < $6::timestamptz
      and not ($4 and exists (
        select
        from deliveries own
        where own.shard = $1 and own.event_id = looked.id and own.endpoint_id = $2
          and own.state <> 'failed'
      ))
      and (
        not $4
        or created_at >= ($9::timestamptz[])[array_position($3::text[], type)]
        or exists (
          select
          from deliveries own
          where own.shard = $1 and own.event_id = looked.id and own.endpoint_id = $2
        )
      )
  ) event on true
  where far.position is not null
  order by event.position`,
}

/** When the first event behind position `$2`, and before `$3`, was created. */
const NEXT: Statement<{ createdAt: Date }> = {
  name: 'replayed_next',
  text: `
  select created_at as "createdAt"
  from events
  where shard = $1 and position > $2 and position < $3
  order by position
  limit 1`,
}

const BEGINNING = new Date(0)
const ALWAYS = new Date('9999-12-31T00:00:00Z')

/** Between which positions the events of a time are: behind `after` and before `end`. */
interface Range {
  readonly after: bigint
  readonly end: bigint
}

/** Where the events of a filter's time are. */
export async function eventRange(
  shard: Runner,
  { createdAfter, createdBefore }: ReplayFilter,
): Promise<Range> {
  const [first] = createdAfter === null ? [] : await shard.run(PLACE, [createdAfter])
  const until = createdBefore === null ? null : new Date(createdBefore.getTime() + 2 * SLACK_MS)
  const [last] = until === null ? [] : await shard.run(PLACE, [until])
  return { after: (first?.position ?? 1n) - 1n, end: last?.position ?? POSITION_MAX }
}

const POSITION_MAX = 9_223_372_036_854_775_807n

/** The next events of a range that match, and how far it was looked; null: to its end. */
export async function matchingEvents(
  shard: Runner,
  endpointId: bigint,
  filter: ReplayFilter,
  { after, end }: Range,
): Promise<{ readonly events: MatchingEvent[]; readonly upTo: bigint | null }> {
  const { types, undelivered, unsentSince, createdAfter, createdBefore } = filter
  const times = [createdAfter ?? BEGINNING, createdBefore ?? ALWAYS]
  const since = types.map((type) => unsentSince?.get(type) ?? BEGINNING)
  const values = [endpointId, types, undelivered, ...times, after, end, since]
  const rows = await shard.run(LOOK, values)
  const events = rows.flatMap(({ id, type, createdAt, position }) =>
    id === null || type === null || createdAt === null || position === null
      ? []
      : [{ id, type, createdAt, position }],
  )
  return { events, upTo: rows[0]?.upTo ?? null }
}

/** When the first event of a range was created; null: there is none. */
export async function createdFirst(shard: Runner, { after, end }: Range): Promise<Date | null> {
  const [next] = await shard.run(NEXT, [after, end])
  return next?.createdAt ?? null
}

/** How many deliveries are in a state. */
interface ReplayState {
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly count: number
}

/** How many of the deliveries that a run has sent again are in a state. */
const REPLAY_STATES: Statement<ReplayState> = {
  name: 'deliveries_replay_states',
  text: `
  select state, count(*)::int as count
  from deliveries
  where shard = $1 and replay_id = $2
  group by state`,
}

/** What the deliveries of a shard that a run has sent again have come to. */
export function replayStates(shard: Runner, replayId: bigint): Promise<ReplayState[]> {
  return shard.run(REPLAY_STATES, [replayId])
}
